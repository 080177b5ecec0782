// bench, html: the report as one page: figures, roofline, depth, lanes, operations, kernels,
// history.
//
// Owns: the page. It holds all that it needs: no script, no font, no picture from elsewhere.
#include "bench.h"
#include "bench_chart.h"
#include "json.h"

#include <stdlib.h>

enum { HTML_WIDE = 980, HTML_HALF = 480, HTML_MOST_TRENDS = 24, HTML_MOST_LINES = 400 };

static const char html_head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
    "<title>chord bench</title>\n<style>\n"
    ":root{color-scheme:light dark;--page:#fbfbfa;--card:#fff;--ink:#1c1e21;--soft:#626871;"
    "--rule:#e3e5e8;--faint:#f0f1f3;--warn:#8a4b00;--warn-page:#fff4e0;--limit:#8b9099;"
    "--c0:#2563c9;--c1:#d9622b;--c2:#1a8f6a;--c3:#9b45b2;--c4:#b3861a;--c5:#c93a5b;--c6:#3b8ea5;"
    "--c7:#6b7280}\n"
    "@media(prefers-color-scheme:dark){:root{--page:#14161a;--card:#1b1e24;--ink:#e8eaed;"
    "--soft:#9aa1ab;--rule:#2d323a;--faint:#23272e;--warn:#ffc46b;--warn-page:#33270f;"
    "--limit:#777e89;--c0:#6ea8fe;--c1:#ff9a62;--c2:#4fd0a3;--c3:#d08ae6;--c4:#e5c15a;"
    "--c5:#ff7f9b;--c6:#6fc7dd;--c7:#a3abb8}}\n"
    "*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}"
    "main{max-width:1060px;margin:0 auto;padding:36px 24px 64px}"
    "h1{font-size:27px;margin:0;letter-spacing:-.02em}h2{font-size:19px;margin:44px 0 4px;"
    "letter-spacing:-.01em}h3{font-size:15px;margin:0 0 2px}"
    "p{margin:4px 0 14px;color:var(--soft);max-width:78ch}.sub{color:var(--soft);margin:4px 0 0}"
    ".warn{background:var(--warn-page);color:var(--warn);border-radius:8px;padding:9px 14px;"
    "margin:10px 0;max-width:none}\n"
    ".card{background:var(--card);border:1px solid var(--rule);border-radius:12px;padding:18px "
    "20px;"
    "margin:14px 0}.grid{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,"
    "minmax(440px,1fr))}.grid .card{margin:0}"
    ".small{grid-template-columns:repeat(auto-fit,minmax(300px,1fr))}"
    "@media(max-width:560px){.grid,.small{grid-template-columns:1fr}}\n"
    ".figures{display:flex;flex-wrap:wrap;gap:10px 34px;margin:12px 0 4px}"
    ".figure b{display:block;font-size:25px;font-weight:650;letter-spacing:-.02em;"
    "font-variant-numeric:tabular-nums;line-height:1.25}.figure b i{font-size:14px;"
    "font-style:normal;font-weight:400;color:var(--soft)}.figure span{color:var(--soft);"
    "font-size:13px}\n"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:13.5px;"
    "font-variant-numeric:tabular-nums}th{font-weight:500;color:var(--soft);text-align:right;"
    "padding:5px 8px;border-bottom:1px solid var(--rule);white-space:nowrap}"
    "td{text-align:right;padding:5px 8px;border-bottom:1px solid var(--faint);white-space:nowrap}"
    "th.l,td.l{text-align:left}tr:last-child td{border-bottom:0}td.s{color:var(--soft)}"
    ".bar{display:inline-block;width:84px;height:9px;border-radius:5px;background:var(--faint);"
    "overflow:hidden;vertical-align:middle;margin-right:8px}.bar i{display:block;height:100%;"
    "border-radius:5px}.stack{display:flex;height:26px;border-radius:7px;overflow:hidden;"
    "margin:8px 0 12px;gap:1px}.stack i{display:block;height:100%;"
    "overflow:hidden;text-align:center}.stack b{font-style:normal;font-weight:500;"
    "font-size:12px;line-height:26px;color:var(--card)}\n"
    "svg{display:block;width:100%;height:auto;font-size:11px}"
    "line.grid{stroke:var(--rule)}line.faint{stroke:var(--faint)}"
    ".axis{stroke:var(--limit)}.tick,.name{fill:var(--soft)}.label{fill:var(--ink)}"
    ".limit{stroke:var(--limit);stroke-width:1.6}.limit-name{fill:var(--soft);font-weight:600}"
    ".line{fill:none;stroke:currentColor;stroke-width:2.2;stroke-linejoin:round}"
    ".band{fill:currentColor;opacity:.14}.dot{fill:currentColor;fill-opacity:.72;"
    "stroke:var(--card);stroke-width:1.2}\n"
    ".legend{display:flex;flex-wrap:wrap;gap:4px 18px;font-size:13px;color:var(--soft);"
    "margin:2px 0 8px}.legend i,.key{display:inline-block;width:11px;height:11px;"
    "border-radius:3px;background:currentColor;margin-right:6px;vertical-align:-1px}"
    "summary{cursor:pointer;color:var(--soft)}code{font-size:.93em}footer{margin-top:48px;"
    "border-top:1px solid var(--rule);padding-top:14px;font-size:13px;color:var(--soft)}\n"
    ".c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}"
    ".c4{color:var(--c4)}.c5{color:var(--c5)}.c6{color:var(--c6)}.c7{color:var(--c7)}\n"
    "</style></head><body><main>\n";

// ---- small parts

// The file's name without its folders.
static const char *html_model(const bench_config *c) {
    const char *name = bench_model_name(c), *slash = strrchr(name, '/');
    return slash && slash[1] ? slash + 1 : name;
}

static void html_bar(FILE *file, int colour, double share) {
    double shown = share > 1 ? 1 : share;
    fprintf(file,
            "<span class=\"bar c%d\"><i style=\"width:%.1f%%;background:currentColor\"></i></span>",
            colour, shown * 100);
}

// The colour says which limit binds.
static int html_limit_colour(measure_limit limit) {
    return limit == MEASURE_READ ? 0 : limit == MEASURE_INT8 ? 1 : limit == MEASURE_F32 ? 2 : 3;
}

static void html_share(FILE *file, double share, measure_limit limit) {
    fputs("<td class=\"l\">", file);
    html_bar(file, html_limit_colour(limit), share);
    fprintf(file, "%.1f %% of %s</td>", share * 100, measure_limit_names[limit]);
}

static void html_legend(FILE *file, const chart_series *series, int32_t count) {
    fputs("<div class=\"legend\">", file);
    for (int32_t i = 0; i < count; i++) {
        fprintf(file, "<span><i class=\"c%d\"></i>", series[i].colour);
        chart_text(file, series[i].name);
        fputs("</span>", file);
    }
    fputs("</div>\n", file);
}

// What points are set against: operations are those of the fastest round.
static double html_limit(const bench_config *c, int limit) {
    measure_summary s = bench_summary(&c->roof[limit]);
    return c->profile_count ? s.most : s.median;
}

// ---- figures

static void html_figure(FILE *file, const char *name, double value, const char *unit) {
    char text[32];
    fprintf(file, "<div class=\"figure\"><b>%s <i>%s</i></b><span>",
            chart_number(value, text, sizeof text), unit);
    chart_text(file, name);
    fputs("</span></div>", file);
}

static void html_figures(FILE *file, const bench_config *c) {
    bool shown[BENCH_FIRST + 1] = {false};
    fputs("<div class=\"figures\">", file);
    for (int32_t t = 0; t < c->test_count; t++) {
        const bench_test *test = &c->tests[t];
        // The first of each kind; the table has the others.
        if (test->kind == BENCH_TOKENIZE || test->kind == BENCH_SAMPLE || shown[test->kind])
            continue;
        shown[test->kind] = true;
        const char *name = test->kind == BENCH_LOAD    ? "to open"
                           : test->kind == BENCH_FIRST ? "to the first token"
                                                       : test->name;
        html_figure(file, name, bench_summary(&test->samples).median, test->unit);
    }
    uint64_t own = c->plan.arena_bytes + c->plan.table_bytes;
    html_figure(file, "of memory, planned", (double)own / 1048576, "MiB");
    if (c->private_bytes)
        html_figure(file, "of memory, measured", (double)c->private_bytes / 1048576, "MiB");
    fputs("</div>\n", file);
}

static void html_tests(FILE *file, const bench_config *c) {
    fputs("<div class=\"scroll\"><table><tr><th class=\"l\">test</th><th>median</th><th>p10</th>"
          "<th>p90</th><th>unit</th><th>GB/s</th><th class=\"l\">share of the roof</th></tr>\n",
          file);
    for (int32_t t = 0; t < c->test_count; t++) {
        const bench_test *test = &c->tests[t];
        measure_summary s = bench_summary(&test->samples), share = bench_summary(&test->shares);
        char text[4][32];
        double gb = bench_gb(test, &s);
        fprintf(file,
                "<tr><td class=\"l\">%s</td><td><b>%s</b></td><td class=\"s\">%s</td><td "
                "class=\"s\">%s</td><td class=\"s\">%s</td><td>%s</td>",
                test->name, chart_number(s.median, text[0], 32), chart_number(s.p10, text[1], 32),
                chart_number(s.p90, text[2], 32), test->unit,
                isnan(gb) ? "" : chart_number(gb, text[3], 32));
        if (share.n)
            html_share(file, share.median, test->limit);
        else
            fputs("<td></td>", file);
        fputs("</tr>\n", file);
    }
    fputs("</table></div>\n", file);
}

static void html_config(FILE *file, const bench_config *c) {
    char a[32], size[32];
    fputs("<div class=\"card\"><h3>", file);
    chart_text(file, html_model(c));
    fprintf(file, "</h3><div class=\"sub\">%s, %s parameters in %s, %d lane%s, batch %d, KV %s, %s",
            c->architecture, chart_number((double)c->parameters, a, sizeof a), c->type,
            c->plan.lanes, c->plan.lanes == 1 ? "" : "s", c->plan.batch, cli_kv_name(c->plan.kv),
            c->isa);
    fputs("</div>\n", file);
    html_figures(file, c);
    if (c->disturbance[0]) {
        fputs("<p class=\"warn\">Disturbed: ", file);
        chart_text(file, c->disturbance);
        fputs(". Shares of the roof hold up better than the figures themselves.</p>", file);
    }
    html_tests(file, c);
    fprintf(file,
            "<p class=\"sub\">The roof at %d lane%s, reading %s over and over: ", c->plan.lanes,
            c->plan.lanes == 1 ? "" : "s", cli_size(c->working_set, size, sizeof size));
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        measure_summary s = bench_summary(&c->roof[i]);
        fprintf(file, "%s%s %.1f %s (%.1f to %.1f)", i ? ", " : "", measure_limit_names[i],
                s.median / 1e9, i == MEASURE_READ ? "GB/s" : "GMAC/s", s.p10 / 1e9, s.p90 / 1e9);
    }
    fputs(".</p></div>\n", file);
}

// ---- the roofline

static double html_flops(const ch_need *need) {
    double macs = 0;
    for (int k = 0; k < MEASURE_LIMITS; k++) macs += need->macs[k];
    return 2 * macs;
}

static void html_roofline_point(chart_point *p, const char *test, const char *name,
                                const ch_need *need, double seconds, double share,
                                measure_limit limit, double radius) {
    double flops = html_flops(need);
    memset(p, 0, sizeof *p);
    p->x = flops / need->bytes;
    p->y = flops / seconds / 1e9;
    p->radius = radius;
    snprintf(p->label, sizeof p->label, "%s", name);
    snprintf(p->title, sizeof p->title,
             "%s, %s: %.4g ms, %.1f GB/s, %.1f GFLOP/s, %.2f FLOP a byte, %.0f %% of %s", test,
             name, seconds * 1e3, need->bytes / seconds / 1e9, p->y, p->x, share * 100,
             measure_limit_names[limit]);
}

// Whether an earlier profile is of the same kind of test: the roofline shows one of each.
static bool html_is_more(const bench_config *c, int32_t profile) {
    for (int32_t i = 0; i < profile; i++)
        if (strncmp(c->profiles[i].test, c->profiles[profile].test, 2) == 0) return true;
    return false;
}

// The points of a profile: the greater the time, the greater the dot; what takes nearly none is
// left out.
static void html_roofline_ops(const bench_profile *profile, chart_series *s) {
    for (int32_t i = 0; i < profile->count; i++) {
        const bench_op *op = &profile->ops[i];
        double part = op->seconds / profile->seconds;
        if (part < 0.002 || html_flops(&op->need) <= 0) continue;
        html_roofline_point(&s->points[s->count++], profile->test, part < 0.01 ? "" : op->name,
                            &op->need, op->seconds, op->share, op->limit, 3.5 + 26 * sqrt(part));
    }
}

static void html_roofline_limits(const bench_config *c, chart_plot *chart, chart_limit *limits) {
    double read = html_limit(c, MEASURE_READ), most = 0;
    for (int i = MEASURE_INT8; i < MEASURE_LIMITS; i++) most = CH_MAX(most, html_limit(c, i));
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        chart_limit *l = &limits[chart->limit_count];
        double rate = html_limit(c, i);
        memset(l, 0, sizeof *l);
        if (i == MEASURE_READ) {
            l->x0 = chart->x0;
            l->y0 = read * l->x0 / 1e9;
            l->x1 = 2 * most / read;
            l->y1 = 2 * most / 1e9;
            snprintf(l->name, sizeof l->name, "reading, %.1f GB/s", read / 1e9);
        } else {
            l->x0 = 2 * rate / read;
            l->x1 = CH_MAX(chart->x1, l->x0 * 2);
            l->y0 = l->y1 = 2 * rate / 1e9;
            snprintf(l->name, sizeof l->name, "%s, %.0f GFLOP/s", measure_limit_names[i],
                     2 * rate / 1e9);
        }
        // The slope begins where the plot does.
        chart->y0 = CH_MIN(chart->y0, l->y0);
        chart->y1 = CH_MAX(chart->y1, l->y1 * 1.9);
        chart->x1 = CH_MAX(chart->x1, l->x1);
        chart->limit_count++;
    }
}

static void html_roofline(FILE *file, const bench_config *c) {
    chart_series series[64];
    chart_limit limits[MEASURE_LIMITS];
    chart_plot chart;
    memset(&chart, 0, sizeof chart);
    bool ops = c->profile_count > 0;
    size_t room = 1;
    for (int32_t i = 0; i < c->profile_count; i++) room += (size_t)c->profiles[i].count;
    chart_point *points = calloc(room + (size_t)c->test_count, sizeof *points), *next = points;
    if (!points) return;
    for (int32_t i = 0; i < (ops ? c->profile_count : c->test_count); i++) {
        chart_series *s = &series[chart.series_count];
        const bench_test *test = &c->tests[i];
        if (chart.series_count == (int32_t)CH_COUNT(series)) break;
        if (ops ? html_is_more(c, i) : test->shares.count == 0) continue;
        memset(s, 0, sizeof *s);
        s->points = next;
        s->colour = chart.series_count % CHART_COLOURS;
        snprintf(s->name, sizeof s->name, "%s", ops ? c->profiles[i].test : test->name);
        if (ops)
            html_roofline_ops(&c->profiles[i], s);
        else
            html_roofline_point(&s->points[s->count++], "whole", test->name, &test->need,
                                test->n / bench_summary(&test->samples).median,
                                bench_summary(&test->shares).median, test->limit, 7);
        next += s->count;
        chart.series_count++;
    }
    chart.x_name = "arithmetic intensity: FLOP for each byte that must be moved";
    chart.y_name = "GFLOP/s";
    chart.width = HTML_WIDE;
    chart.height = 470;
    chart.log_x = chart.log_y = true;
    chart.series = series;
    chart.limits = limits;
    chart_fit(&chart);
    html_roofline_limits(c, &chart, limits);
    fputs("<div class=\"card\"><h3>", file);
    chart_text(file, html_model(c));
    fprintf(file, ", %d lane%s</h3>", c->plan.lanes, c->plan.lanes == 1 ? "" : "s");
    html_legend(file, series, chart.series_count);
    chart_write(file, &chart);
    fputs("</div>\n", file);
    free(points);
}

// ---- against depth, against lanes

typedef enum html_axis { HTML_DEPTH, HTML_LANES } html_axis;

static double html_place(const bench_config *c, const bench_test *t, html_axis axis) {
    return axis == HTML_DEPTH ? t->depth : c->plan.lanes;
}

// What a series has in common, but for what is on the axis.
static void html_series_name(const bench_config *c, const bench_test *t, html_axis axis,
                             char name[128]) {
    const char *letters = t->kind == BENCH_PROMPT ? "pp" : "tg";
    if (axis == HTML_DEPTH)
        snprintf(name, 128, "%s%d, %.40s, %d lane%s, batch %d", letters, t->n, html_model(c),
                 c->plan.lanes, c->plan.lanes == 1 ? "" : "s", c->plan.batch);
    else
        snprintf(name, 128, "%s, %.40s, batch %d", t->name, html_model(c), c->plan.batch);
}

static int html_by_x(const void *a, const void *b) {
    double x = ((const chart_point *)a)->x, y = ((const chart_point *)b)->x;
    return (x > y) - (x < y);
}

// Gathers the tests of a kind into lines; returns how many lines have at least two points.
static int32_t html_gather(const bench_report *r, bench_kind kind, html_axis axis,
                           chart_series *series, chart_point *points, int32_t each) {
    int32_t count = 0, kept = 0;
    for (int32_t i = 0; i < r->config_count; i++)
        for (int32_t t = 0; t < r->configs[i].test_count; t++) {
            const bench_test *test = &r->configs[i].tests[t];
            char name[128];
            int32_t at = 0;
            if (test->kind != kind) continue;
            html_series_name(&r->configs[i], test, axis, name);
            while (at < count && strcmp(series[at].name, name) != 0) at++;
            if (at == CHART_COLOURS) continue;
            chart_series *s = &series[at];
            if (at == count) {
                memset(s, 0, sizeof *s);
                memcpy(s->name, name, sizeof s->name);
                s->line = true;
                s->points = points + (ptrdiff_t)at * each;
                count++;
            }
            measure_summary sum = bench_summary(&test->samples);
            chart_point *p = &s->points[s->count++];
            memset(p, 0, sizeof *p);
            p->x = html_place(&r->configs[i], test, axis);
            p->y = sum.median;
            p->low = sum.p10;
            p->high = sum.p90;
            snprintf(p->title, sizeof p->title, "%s at %s %g: %.2f t/s (%.2f to %.2f)", name,
                     axis == HTML_DEPTH ? "depth" : "lanes", p->x, p->y, p->low, p->high);
        }
    for (int32_t i = 0; i < count; i++) {
        if (series[i].count < 2) continue;
        qsort(series[i].points, (size_t)series[i].count, sizeof *series[i].points, html_by_x);
        series[kept] = series[i];
        series[kept].colour = kept;
        kept++;
    }
    return kept;
}

// A chart of one kind of test; false if there is nothing to draw.
static bool html_lines(FILE *file, const bench_report *r, bench_kind kind, html_axis axis,
                       bool begin) {
    chart_series series[CHART_COLOURS];
    chart_plot chart;
    double ticks[64];
    int32_t each = 1;
    for (int32_t i = 0; i < r->config_count; i++) each += r->configs[i].test_count;
    chart_point *points = calloc((size_t)each * CHART_COLOURS, sizeof *points);
    if (!points) return false;
    memset(&chart, 0, sizeof chart);
    chart.series_count = html_gather(r, kind, axis, series, points, each);
    for (int32_t i = 0; i < chart.series_count; i++)
        for (int32_t j = 0; j < series[i].count; j++) {
            int32_t at = 0;
            while (at < chart.x_tick_count && ticks[at] < series[i].points[j].x) at++;
            if (at < chart.x_tick_count && ticks[at] == series[i].points[j].x) continue;
            if (chart.x_tick_count == (int32_t)CH_COUNT(ticks)) continue;
            memmove(ticks + at + 1, ticks + at, (size_t)(chart.x_tick_count - at) * sizeof *ticks);
            ticks[at] = series[i].points[j].x;
            chart.x_tick_count++;
        }
    bool some = chart.series_count > 0;
    if (some) {
        if (begin)
            fprintf(file, "<h2>Against %s</h2><div class=\"grid\">\n",
                    axis == HTML_DEPTH ? "depth" : "lanes");
        chart.x_name = axis == HTML_DEPTH ? "tokens that stand before" : "lanes";
        chart.y_name = "tokens per second";
        chart.width = HTML_HALF;
        chart.height = 300;
        chart.x_ticks = ticks;
        chart.series = series;
        chart_fit(&chart);
        fprintf(file, "<div class=\"card\"><h3>%s</h3>",
                kind == BENCH_PROMPT ? "Reading a prompt" : "Writing");
        html_legend(file, series, chart.series_count);
        chart_write(file, &chart);
        fputs("</div>\n", file);
    }
    free(points);
    return some;
}

static void html_against(FILE *file, const bench_report *r, html_axis axis) {
    bool prompt = html_lines(file, r, BENCH_PROMPT, axis, true);
    bool write = html_lines(file, r, BENCH_WRITE, axis, !prompt);
    if (prompt || write) fputs("</div>\n", file);
}

// ---- operations

static void html_op_row(FILE *file, const bench_profile *profile, const bench_op *op, int colour) {
    double seconds = op->seconds > 0 ? op->seconds : (double)NAN;
    char text[5][32];
    fprintf(file,
            "<tr><td class=\"l\"><span class=\"key c%d\"></span>%s</td><td>%d</td><td class=\"l "
            "s\">%s</td><td>%s</td><td>%s</td><td>%.1f %%</td><td>%s</td><td>%s</td>",
            colour, op->name, op->count, op->shape, chart_number(op->need.bytes / 1e6, text[0], 32),
            chart_number(op->seconds * 1e3, text[1], 32), 100 * op->seconds / profile->seconds,
            chart_number(op->need.bytes / seconds / 1e9, text[2], 32),
            chart_number(html_flops(&op->need) / seconds / 1e9, text[3], 32));
    html_share(file, op->share, op->limit);
    fputs("</tr>\n", file);
}

static void html_profile(FILE *file, const bench_config *c, const bench_profile *profile) {
    double sum = 0;
    fputs("<div class=\"card\"><h3>", file);
    fprintf(file, "%s, ", profile->test);
    chart_text(file, html_model(c));
    fprintf(file, ", %d lane%s", c->plan.lanes, c->plan.lanes == 1 ? "" : "s");
    fputs("</h3><div class=\"stack\">", file);
    for (int32_t i = 0; i < profile->count; i++) {
        const bench_op *op = &profile->ops[i];
        sum += op->seconds;
        if (op->seconds < 0.001 * profile->seconds) continue;
        fprintf(file,
                "<i class=\"c%d\" style=\"flex:%.4f;background:currentColor\" title=\"%s: %.1f "
                "%%\"><b>%s</b></i>",
                i % CHART_COLOURS, op->seconds / profile->seconds, op->name,
                100 * op->seconds / profile->seconds,
                op->seconds > 0.075 * profile->seconds ? op->name : "");
    }
    fputs("</div><div class=\"scroll\"><table><tr><th class=\"l\">operation</th><th>n</th><th "
          "class=\"l\">shape</th><th>MB</th><th>ms</th><th>of the time</th><th>GB/s</th>"
          "<th>GFLOP/s</th><th class=\"l\">share of the roof</th></tr>\n",
          file);
    for (int32_t i = 0; i < profile->count; i++)
        html_op_row(file, profile, &profile->ops[i], i % CHART_COLOURS);
    fprintf(file,
            "</table></div><p class=\"sub\">Together %.3f ms of the %.3f ms that %s took: %.1f "
            "%%.</p></div>\n",
            sum * 1e3, profile->seconds * 1e3, profile->test, 100 * sum / profile->seconds);
}

// ---- kernels

static void html_kernels(FILE *file, const bench_report *r) {
    if (r->kernel_count == 0) return;
    fprintf(file,
            "<h2>Kernels</h2><p>Each kernel that this machine can run, on one lane, with what it "
            "reads in a cache and in memory. The fastest sample counts. One lane reads %.1f GB/s "
            "from the cache and %.1f from memory.</p><div class=\"card\"><details><summary>%d "
            "measurements</summary><div class=\"scroll\"><table><tr><th class=\"l\">kernel</th>"
            "<th class=\"l\">case</th><th>us</th><th>GB/s</th><th>GMAC/s</th><th class=\"l\">share "
            "of the roof</th></tr>\n",
            r->kernel_roof[0][MEASURE_READ] / 1e9, r->kernel_roof[1][MEASURE_READ] / 1e9,
            r->kernel_count);
    for (int32_t i = 0; i < r->kernel_count; i++) {
        const bench_kernel *k = &r->kernels[i];
        char text[3][32];
        fprintf(file,
                "<tr><td class=\"l\">%s</td><td class=\"l s\">%s</td><td>%s</td><td>%s</td>"
                "<td>%s</td>",
                k->name, k->what, chart_number(k->ns / 1e3, text[0], 32),
                k->bytes > 0 ? chart_number(k->bytes / k->ns, text[1], 32) : "",
                k->macs > 0 ? chart_number(k->macs / k->ns, text[2], 32) : "");
        html_share(file, k->share, k->limit);
        fputs("</tr>\n", file);
    }
    fputs("</table></div></details></div>\n", file);
}

// ---- history

// One test over the lines of a history.
typedef struct html_trend {
    const bench_config *config;
    const bench_test *test;
    chart_series series;
    double ticks[HTML_MOST_LINES];
    char times[HTML_MOST_LINES][12];
    const char *names[HTML_MOST_LINES];
} html_trend;

static double html_member_number(const json_value *object, const char *key) {
    const json_value *v = json_member(object, key);
    return v && v->kind == JSON_NUMBER ? v->number : (double)NAN;
}

static bool html_member_is(const json_value *object, const char *key, const char *text) {
    const json_value *v = json_member(object, key);
    return v && v->kind == JSON_STRING && strcmp(v->text, text) == 0;
}

// "2026-11-21T03:32:52Z" as "11-21 03:32".
static void html_short_time(const json_value *line, char out[12]) {
    const json_value *v = json_member(line, "time");
    out[0] = 0;
    if (!v || v->kind != JSON_STRING || strlen(v->text) < 16) return;
    memcpy(out, v->text + 5, 11);
    out[5] = ' ';
    out[11] = 0;
}

static void html_trend_add(html_trend *trend, const json_value *line, int32_t number) {
    const json_value *results = json_member(line, "results"), *commit = json_member(line, "commit");
    for (const json_value *v = results ? results->first : NULL; v; v = v->next) {
        int32_t n = trend->series.count;
        if (n == HTML_MOST_LINES || v->kind != JSON_OBJECT) return;
        if (!html_member_is(v, "name", trend->test->name) ||
            !html_member_is(v, "model", bench_model_name(trend->config)) ||
            html_member_number(v, "lanes") != trend->config->plan.lanes ||
            html_member_number(v, "batch") != trend->config->plan.batch)
            continue;
        chart_point *p = &trend->series.points[n];
        memset(p, 0, sizeof *p);
        p->x = number;
        p->y = html_member_number(v, "median");
        p->low = html_member_number(v, "p10");
        p->high = html_member_number(v, "p90");
        if (!isfinite(p->y)) continue;
        html_short_time(line, trend->times[n]);
        trend->ticks[n] = number;
        trend->names[n] = trend->times[n];
        snprintf(p->title, sizeof p->title, "%s %.40s: %.2f t/s, %.0f %% of the roof",
                 trend->times[n], commit && commit->kind == JSON_STRING ? commit->text : "", p->y,
                 html_member_number(v, "roof_share") * 100);
        trend->series.count++;
        return;
    }
}

static void html_trend_draw(FILE *file, html_trend *trend) {
    chart_plot chart;
    char text[32];
    memset(&chart, 0, sizeof chart);
    trend->series.line = true;
    trend->series.colour = trend->test->kind == BENCH_PROMPT ? 1 : 0;
    chart.x_name = "run";
    chart.y_name = "t/s";
    chart.width = 330;
    chart.height = 200;
    chart.series = &trend->series;
    chart.series_count = 1;
    chart.x_ticks = trend->ticks;
    chart.x_names = trend->names;
    chart.x_tick_count = trend->series.count;
    chart_fit(&chart);
    fprintf(file, "<div class=\"card\"><h3>%s: %s t/s</h3><div class=\"sub\">", trend->test->name,
            chart_number(trend->series.points[trend->series.count - 1].y, text, sizeof text));
    chart_text(file, html_model(trend->config));
    fprintf(file, ", %d lane%s</div>", trend->config->plan.lanes,
            trend->config->plan.lanes == 1 ? "" : "s");
    chart_write(file, &chart);
    fputs("</div>\n", file);
}

// The lines of the history, each added to every trend; returns how many there are.
static int32_t html_read_history(const char *path, html_trend *trends, int32_t count) {
    cli_text text = {NULL, 0};
    int32_t lines = 0;
    if (cli_get_text(NULL, NULL, path, &text) != CLI_OK) return 0;
    for (char *at = text.bytes; *at;) {
        size_t bytes = strcspn(at, "\n");
        json_text json;
        json_error error;
        if (bytes > 0 && json_read(at, bytes, &json, &error)) {
            lines++;
            for (int32_t i = 0; i < count; i++) html_trend_add(&trends[i], json.root, lines);
            json_free(&json);
        }
        at += bytes + (at[bytes] != 0);
    }
    free(text.bytes);
    return lines;
}

static bool html_history(FILE *file, const bench_report *r, const char *path) {
    int32_t count = 0, lines = 0;
    html_trend *trends = calloc(HTML_MOST_TRENDS, sizeof *trends);
    chart_point *points = calloc((size_t)HTML_MOST_TRENDS * HTML_MOST_LINES, sizeof *points);
    if (trends && points) {
        for (int32_t i = 0; i < r->config_count; i++)
            for (int32_t t = 0; t < r->configs[i].test_count; t++) {
                const bench_test *test = &r->configs[i].tests[t];
                if (count == HTML_MOST_TRENDS || test->shares.count == 0) continue;
                trends[count].config = &r->configs[i];
                trends[count].test = test;
                trends[count].series.points = points + (ptrdiff_t)count * HTML_MOST_LINES;
                count++;
            }
        lines = html_read_history(path, trends, count);
        fprintf(file, "<h2>History</h2><p>The %d runs in <code>", lines);
        chart_text(file, path);
        fputs("</code>, this one last; the band is from the tenth to the ninetieth percentile.</p>"
              "<div class=\"grid small\">\n",
              file);
        for (int32_t i = 0; i < count; i++)
            if (trends[i].series.count > 0) html_trend_draw(file, &trends[i]);
        fputs("</div>\n", file);
    }
    bool good = trends && points;
    free(trends);
    free(points);
    return good;
}

// ---- the page

static void html_title(FILE *file, const bench_report *r) {
    char when[32] = "", size[32];
    struct tm *utc = gmtime(&r->when);
    if (utc) strftime(when, sizeof when, "%Y-%m-%d %H:%M UTC", utc);
    fprintf(file, "<h1>chord bench</h1><div class=\"sub\">%s, chord %s (%s), median of %d rounds",
            when, chord_version(), bench_commit(), r->options->rounds);
    fputs("</div><div class=\"sub\">", file);
    chart_text(file, r->machine.cpu);
    fprintf(file, ", %d core%s, %s, %s of memory, ", r->machine.cores,
            r->machine.cores == 1 ? "" : "s", r->machine.isa,
            cli_size(r->machine.memory_bytes, size, sizeof size));
    chart_text(file, r->machine.system);
    fputs("</div>\n", file);
}

bool bench_write_html(FILE *file, const bench_report *r, const char *history) {
    bool good = true, ops = false;
    fputs(html_head, file);
    html_title(file, r);
    if (r->config_count) fputs("<h2>Results</h2>\n", file);
    for (int32_t i = 0; i < r->config_count; i++) html_config(file, &r->configs[i]);
    if (r->config_count)
        fputs("<h2>Roofline</h2><p>What can be reached, and what is: on the left, where few "
              "operations are made for each byte, reading decides; on the right arithmetic. The "
              "lines are this machine's own limits, measured in turn with the work. The larger a "
              "dot, the more time is spent there.</p>\n",
              file);
    for (int32_t i = 0; i < r->config_count; i++) html_roofline(file, &r->configs[i]);
    html_against(file, r, HTML_DEPTH);
    html_against(file, r, HTML_LANES);
    for (int32_t i = 0; i < r->config_count; i++) ops = ops || r->configs[i].profile_count > 0;
    if (ops)
        fputs("<h2>Operations</h2><p>Where the time goes, all blocks together, in the fastest of "
              "the rounds.</p>\n",
              file);
    for (int32_t i = 0; i < r->config_count; i++)
        for (int32_t p = 0; p < r->configs[i].profile_count; p++)
            html_profile(file, &r->configs[i], &r->configs[i].profiles[p]);
    html_kernels(file, r);
    if (history && r->config_count) good = html_history(file, r, history);
    fputs("<footer>pp: tokens of a prompt at once. tg: tokens one at a time. @d: after so many "
          "others. The share of the roof is the least time that the machine's limits allow for the "
          "bytes and the multiply-adds of the work, of the time that it took. A FLOP is an "
          "operation of any kind of number; a multiply-add (MAC) is two.</footer>\n"
          "</main></body></html>\n",
          file);
    return good;
}
