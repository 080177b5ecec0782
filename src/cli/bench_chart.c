// bench, chart: see bench_chart.h.
#include "bench_chart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHART_LEFT = 58, CHART_RIGHT = 18, CHART_TOP = 14, CHART_BOTTOM = 44, CHART_BOXES = 512 };

// Rectangles that are taken: points and labels.
typedef struct chart_box {
    double x0, y0, x1, y1;
} chart_box;

typedef struct chart_canvas {
    FILE *file;
    const chart_plot *c;
    chart_box boxes[CHART_BOXES];
    int32_t box_count;
} chart_canvas;

const char *chart_number(double value, char *out, size_t capacity) {
    double size = fabs(value);
    if (size >= 999.5e6)
        snprintf(out, capacity, "%.3gG", value / 1e9);
    else if (size >= 999.5e3)
        snprintf(out, capacity, "%.3gM", value / 1e6);
    else if (size >= 9999.5)
        snprintf(out, capacity, "%.3gk", value / 1e3);
    else if (size >= 999.5)
        snprintf(out, capacity, "%d,%03d", (int)lround(value) / 1000,
                 abs((int)lround(value)) % 1000);
    else
        snprintf(out, capacity, "%.3g", value);
    return out;
}

void chart_text(FILE *file, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            fputc((unsigned char)*text < 32 ? ' ' : *text, file);
        }
    }
}

// ---- scales

static double chart_part(double v, double from, double to, bool logarithmic) {
    if (!logarithmic) return (v - from) / (to - from);
    return (log(v) - log(from)) / (log(to) - log(from));
}

static double chart_x(const chart_plot *c, double x) {
    double room = c->width - CHART_LEFT - CHART_RIGHT;
    return CHART_LEFT + room * chart_part(x, c->x0, c->x1, c->log_x);
}

static double chart_y(const chart_plot *c, double y) {
    double room = c->height - CHART_TOP - CHART_BOTTOM;
    return CHART_TOP + room * (1 - chart_part(y, c->y0, c->y1, c->log_y));
}

static void chart_range(double v, double *least, double *most) {
    if (v < *least) *least = v;
    if (v > *most) *most = v;
}

void chart_fit(chart_plot *c) {
    double x0 = 1e300, x1 = -1e300, y0 = 1e300, y1 = -1e300;
    for (int32_t s = 0; s < c->series_count; s++)
        for (int32_t i = 0; i < c->series[s].count; i++) {
            const chart_point *p = &c->series[s].points[i];
            chart_range(p->x, &x0, &x1);
            chart_range(p->y, &y0, &y1);
            if (p->low < p->high) {
                chart_range(p->low, &y0, &y1);
                chart_range(p->high, &y0, &y1);
            }
        }
    for (int32_t i = 0; i < c->limit_count; i++) chart_range(c->limits[i].y1, &y0, &y1);
    if (x0 > x1) x0 = x1 = y0 = y1 = 1;
    if (c->log_x) {
        c->x0 = x0 / 2;
        c->x1 = x1 * 2;
    } else {
        double room = x1 > x0 ? (x1 - x0) * 0.04 : 0.5;
        c->x0 = x0 - room;
        c->x1 = x1 + room;
    }
    c->y0 = c->log_y ? y0 / 2 : 0;
    c->y1 = c->log_y ? y1 * 1.6 : y1 > 0 ? y1 * 1.12 : 1;
}

// ---- text and labels

// Whether a box covers none that is taken and lies within the plot.
static bool chart_is_free(const chart_canvas *v, const chart_box *b) {
    const chart_plot *c = v->c;
    if (b->x0 < CHART_LEFT || b->x1 > c->width - 2 || b->y0 < 2 || b->y1 > c->height - CHART_BOTTOM)
        return false;
    for (int32_t i = 0; i < v->box_count; i++) {
        const chart_box *o = &v->boxes[i];
        if (b->x0 < o->x1 && o->x0 < b->x1 && b->y0 < o->y1 && o->y0 < b->y1) return false;
    }
    return true;
}

static void chart_take(chart_canvas *v, chart_box b) {
    if (v->box_count < CHART_BOXES) v->boxes[v->box_count++] = b;
}

static void chart_say(const chart_canvas *v, double x, double y, const char *anchor,
                      const char *class, const char *text) {
    fprintf(v->file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
            class);
    chart_text(v->file, text);
    fputs("</text>", v->file);
}

// Writes a label beside a point, in the first of eight places that is free; or not at all.
static void chart_label(chart_canvas *v, double x, double y, double r, const char *text) {
    static const double ways[8][2] = {{1, 0},      {-1, 0},     {0, -1},    {0, 1},
                                      {0.7, -0.7}, {-0.7, -.7}, {0.7, 0.7}, {-0.7, 0.7}};
    double width = 5.9 * (double)strlen(text) + 2, height = 12;
    for (int i = 0; i < 8; i++) {
        double cx = x + ways[i][0] * (r + 4), cy = y + ways[i][1] * (r + 8);
        double left = ways[i][0] > 0 ? cx : ways[i][0] < 0 ? cx - width : cx - width / 2;
        chart_box b = {left, cy - height / 2, left + width, cy + height / 2};
        if (!chart_is_free(v, &b)) continue;
        chart_take(v, b);
        chart_say(v, left + 1, cy + 3.7, "start", "label", text);
        return;
    }
}

// ---- axes

static void chart_grid(const chart_canvas *v, bool of_x, double at, const char *name) {
    const chart_plot *c = v->c;
    double x0 = CHART_LEFT, x1 = c->width - CHART_RIGHT, y0 = CHART_TOP,
           y1 = c->height - CHART_BOTTOM;
    double place = of_x ? chart_x(c, at) : chart_y(c, at);
    if (of_x)
        x0 = x1 = place;
    else
        y0 = y1 = place;
    fprintf(v->file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>", x0, y0,
            x1, y1, name ? "grid" : "grid faint");
    if (!name) return;
    if (of_x)
        chart_say(v, place, c->height - CHART_BOTTOM + 16, "middle", "tick", name);
    else
        chart_say(v, CHART_LEFT - 7, place + 3.7, "end", "tick", name);
}

static void chart_linear_ticks(const chart_canvas *v, bool of_x, double from, double to,
                               int32_t most) {
    double step = pow(10, floor(log10((to - from) / most)));
    static const double times[] = {1, 2, 5, 10};
    for (int i = 0; i < 4; i++)
        if ((to - from) / (step * times[i]) <= most || i == 3) {
            step *= times[i];
            break;
        }
    for (double at = ceil(from / step) * step; at <= to; at += step) {
        char name[32];
        chart_grid(v, of_x, at, chart_number(fabs(at) < step / 2 ? 0 : at, name, sizeof name));
    }
}

static void chart_log_ticks(const chart_canvas *v, bool of_x, double from, double to) {
    bool few = log10(to / from) < 2.2;
    for (double decade = pow(10, floor(log10(from))); decade <= to; decade *= 10)
        for (int i = 1; i < 10; i++) {
            double at = decade * i;
            char name[32];
            if (at < from || at > to) continue;
            bool named = i == 1 || (few && (i == 2 || i == 5));
            chart_grid(v, of_x, at, named ? chart_number(at, name, sizeof name) : NULL);
        }
}

// Ticks at given places; a name too near to the last one is left out.
static void chart_given_ticks(const chart_canvas *v) {
    const chart_plot *c = v->c;
    double last = -1e9;
    for (int32_t i = 0; i < c->x_tick_count; i++) {
        char number[32];
        const char *name =
            c->x_names ? c->x_names[i] : chart_number(c->x_ticks[i], number, sizeof number);
        double at = chart_x(c, c->x_ticks[i]), half = 3.2 * (double)strlen(name);
        bool room = at - half > last + 6;
        chart_grid(v, true, c->x_ticks[i], room ? name : NULL);
        if (room) last = at + half;
    }
}

static void chart_axes(const chart_canvas *v) {
    const chart_plot *c = v->c;
    if (c->x_ticks)
        chart_given_ticks(v);
    else if (c->log_x)
        chart_log_ticks(v, true, c->x0, c->x1);
    else
        chart_linear_ticks(v, true, c->x0, c->x1, c->width / 90);
    if (c->log_y)
        chart_log_ticks(v, false, c->y0, c->y1);
    else
        chart_linear_ticks(v, false, c->y0, c->y1, c->height / 45);
    double bottom = c->height - CHART_BOTTOM;
    fprintf(v->file, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" class=\"axis\"/>",
            CHART_LEFT, bottom, c->width - CHART_RIGHT, bottom);
    chart_say(v, (CHART_LEFT + c->width - CHART_RIGHT) / 2.0, c->height - 8, "middle", "name",
              c->x_name);
    double middle = (CHART_TOP + bottom) / 2;
    fprintf(v->file,
            "<text x=\"13\" y=\"%.1f\" text-anchor=\"middle\" class=\"name\" "
            "transform=\"rotate(-90 13 %.1f)\">",
            middle, middle);
    chart_text(v->file, c->y_name);
    fputs("</text>", v->file);
}

// ---- what is drawn

static void chart_draw_limits(chart_canvas *v) {
    const chart_plot *c = v->c;
    for (int32_t i = 0; i < c->limit_count; i++) {
        const chart_limit *l = &c->limits[i];
        double x0 = chart_x(c, l->x0), y0 = chart_y(c, l->y0), x1 = chart_x(c, l->x1),
               y1 = chart_y(c, l->y1);
        fprintf(v->file, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"limit\"/>",
                x0, y0, x1, y1);
        bool flat = fabs(y1 - y0) < 1;
        double width = 6.1 * (double)strlen(l->name);
        if (flat) {
            // Below it, where it leaves the slope: the slope of the higher ones passes above.
            chart_say(v, x0 + 8, y0 + 13, "start", "limit-name", l->name);
            chart_box b = {x0 + 8, y0 + 3, x0 + 8 + width, y0 + 16};
            chart_take(v, b);
        } else {
            // Along the slope, above it, near its lower end.
            double angle = atan2(y1 - y0, x1 - x0) * 180 / 3.14159265358979;
            double x = x0 + 8, y = y0 + (y1 - y0) * 8 / (x1 - x0) - 7;
            fprintf(v->file,
                    "<text x=\"%.1f\" y=\"%.1f\" class=\"limit-name\" transform=\"rotate(%.1f %.1f "
                    "%.1f)\">",
                    x, y, angle, x, y);
            chart_text(v->file, l->name);
            fputs("</text>", v->file);
            for (double part = 0; part < width; part += 12) {
                double cx = x + part * cos(angle / 57.29578), cy = y + part * sin(angle / 57.29578);
                chart_box b = {cx, cy - 12, cx + 12, cy + 4};
                chart_take(v, b);
            }
        }
    }
}

static void chart_draw_line(const chart_canvas *v, const chart_series *s) {
    const chart_plot *c = v->c;
    if (s->count > 1) {
        fprintf(v->file, "<path class=\"band c%d\" d=\"", s->colour);
        for (int32_t i = 0; i < s->count; i++)
            fprintf(v->file, "%c%.1f %.1f", i ? 'L' : 'M', chart_x(c, s->points[i].x),
                    chart_y(c, fmax(s->points[i].high, s->points[i].y)));
        for (int32_t i = s->count - 1; i >= 0; i--)
            fprintf(v->file, "L%.1f %.1f", chart_x(c, s->points[i].x),
                    chart_y(c, s->points[i].low < s->points[i].high ? s->points[i].low
                                                                    : s->points[i].y));
        fputs("Z\"/>", v->file);
    }
    fprintf(v->file, "<path class=\"line c%d\" d=\"", s->colour);
    for (int32_t i = 0; i < s->count; i++)
        fprintf(v->file, "%c%.1f %.1f", i ? 'L' : 'M', chart_x(c, s->points[i].x),
                chart_y(c, s->points[i].y));
    fputs("\"/>", v->file);
}

static void chart_draw_points(chart_canvas *v, const chart_series *s) {
    const chart_plot *c = v->c;
    for (int32_t i = 0; i < s->count; i++) {
        const chart_point *p = &s->points[i];
        double x = chart_x(c, p->x), y = chart_y(c, p->y), r = p->radius > 0 ? p->radius : 3.5;
        fprintf(v->file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" class=\"dot c%d\"><title>", x,
                y, r, s->colour);
        chart_text(v->file, p->title);
        fputs("</title></circle>", v->file);
        chart_box b = {x - r, y - r, x + r, y + r};
        chart_take(v, b);
    }
}

void chart_write(FILE *file, const chart_plot *c) {
    chart_canvas v;
    v.file = file;
    v.c = c;
    v.box_count = 0;
    fprintf(file, "<svg viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"", c->width, c->height);
    chart_text(file, c->y_name);
    fputs(" over ", file);
    chart_text(file, c->x_name);
    fputs("\">", file);
    chart_axes(&v);
    chart_draw_limits(&v);
    for (int32_t s = 0; s < c->series_count; s++)
        if (c->series[s].line) chart_draw_line(&v, &c->series[s]);
    for (int32_t s = 0; s < c->series_count; s++) chart_draw_points(&v, &c->series[s]);
    for (int32_t s = 0; s < c->series_count; s++)
        for (int32_t i = 0; i < c->series[s].count; i++) {
            const chart_point *p = &c->series[s].points[i];
            if (p->label[0])
                chart_label(&v, chart_x(c, p->x), chart_y(c, p->y), p->radius > 0 ? p->radius : 3.5,
                            p->label);
        }
    fputs("</svg>\n", file);
}
