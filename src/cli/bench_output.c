// bench, output: the report as tables and as CSV.
#include "bench.h"

#ifndef CHORD_COMMIT
#define CHORD_COMMIT "unknown" // the build defines it
#endif

const char *bench_commit(void) {
    return CHORD_COMMIT;
}

measure_summary bench_summary(const measure_samples *samples) {
    measure_summary s;
    if (!measure_summarize(samples->items, samples->count, BENCH_CONFIDENCE, &s))
        memset(&s, 0, sizeof s);
    return s;
}

double bench_gb(const bench_test *test, const measure_summary *s) {
    return test->need.bytes > 0 ? test->need.bytes / test->n * s->median / 1e9 : (double)NAN;
}

const char *bench_model_name(const bench_config *config) {
    return config->path ? config->path : "the built-in model";
}

// ---- the table

// A number with about four digits.
static const char *output_number(double value, char *text, size_t capacity) {
    if (isnan(value))
        snprintf(text, capacity, " ");
    else
        snprintf(text, capacity, "%.*f", value >= 1000 ? 0 : value >= 100 ? 1 : 2, value);
    return text;
}

static void output_md_test(FILE *file, const bench_test *test) {
    measure_summary s = bench_summary(&test->samples), share = bench_summary(&test->shares);
    char text[4][32];
    fprintf(file, "| %s | %s | %s | %s | %s | %s |", test->name, test->unit,
            output_number(s.median, text[0], 32), output_number(s.p10, text[1], 32),
            output_number(s.p90, text[2], 32), output_number(bench_gb(test, &s), text[3], 32));
    if (share.n > 0)
        fprintf(file, " %.1f %% of %s |\n", share.median * 100, measure_limit_names[test->limit]);
    else
        fputs("   |\n", file);
}

static void output_md_roof(FILE *file, const bench_config *config) {
    static const char *const units[MEASURE_LIMITS] = {"GB/s", "GMAC/s", "GMAC/s", "GMAC/s"};
    char size[32];
    if (config->device[0])
        fprintf(file, "\n%d dispatches a token. The roof of %s: ", config->dispatches,
                config->device);
    else
        fprintf(file, "\nThe roof at %d lane%s: ", config->plan.lanes,
                config->plan.lanes == 1 ? "" : "s");
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        measure_summary s = bench_summary(&config->roof[i]);
        fprintf(file, "%s%s %.1f %s (%.1f to %.1f)", i ? ", " : "", measure_limit_names[i],
                s.median / 1e9, units[i], s.p10 / 1e9, s.p90 / 1e9);
    }
    if (config->device[0])
        fputs(", measured once; it multiplies floats, whatever the weights are.\n", file);
    else
        fprintf(file, ", reading %s.\n", cli_size(config->working_set, size, sizeof size));
}

static void output_md_memory(FILE *file, const bench_config *config) {
    char a[32], b[32], c[32], d[32];
    uint64_t taken = config->plan.arena_bytes + config->plan.table_bytes;
    fprintf(file, "Memory: planned %s and %s of mapped weights", cli_size(taken, a, sizeof a),
            cli_size(config->plan.weight_bytes, b, sizeof b));
    if (config->peak_bytes)
        fprintf(file, "; measured %s of its own, %s at the peak",
                cli_size(config->private_bytes, c, sizeof c),
                cli_size(config->peak_bytes, d, sizeof d));
    fputs(".\n", file);
    if (config->disturbance[0])
        fprintf(file, "**Disturbed**: %s. Do not compare these figures with others.\n",
                config->disturbance);
}

static void output_md_ops(FILE *file, const bench_profile *p) {
    double sum = 0;
    fprintf(file,
            "\n| %s: op | n | shape | MB | MFLOP | ms | %% of time | GB/s | GFLOP/s | %% of the "
            "roof |\n|---|---:|---|---:|---:|---:|---:|---:|---:|---|\n",
            p->test);
    for (int32_t i = 0; i < p->count; i++) {
        const bench_op *op = &p->ops[i];
        double flops = 0, seconds = op->seconds > 0 ? op->seconds : (double)NAN;
        for (int k = 0; k < MEASURE_LIMITS; k++) flops += 2 * op->need.macs[k];
        sum += op->seconds;
        fprintf(file,
                "| %s | %d | %s | %.2f | %.2f | %.3f | %.1f | %.1f | %.1f | %.0f %% of %s |\n",
                op->name, op->count, op->shape, op->need.bytes / 1e6, flops / 1e6,
                op->seconds * 1e3, 100 * op->seconds / p->seconds, op->need.bytes / seconds / 1e9,
                flops / seconds / 1e9, op->share * 100, measure_limit_names[op->limit]);
    }
    fprintf(file, "\nThe ops took %.3f ms of the %.3f ms that %s took: %.1f %%.\n", sum * 1e3,
            p->seconds * 1e3, p->test, 100 * sum / p->seconds);
}

static void output_md_kernels(FILE *file, const bench_report *report) {
    fputs(
        "\n| kernel | case | us | GB/s | GMAC/s | % of the roof |\n|---|---|---:|---:|---:|---|\n",
        file);
    for (int32_t i = 0; i < report->kernel_count; i++) {
        const bench_kernel *k = &report->kernels[i];
        char gb[32], mac[32];
        output_number(k->bytes > 0 ? k->bytes / k->ns : (double)NAN, gb, sizeof gb);
        output_number(k->macs > 0 ? k->macs / k->ns : (double)NAN, mac, sizeof mac);
        fprintf(file, "| %s | %s | %.2f | %s | %s |", k->name, k->what, k->ns / 1e3, gb, mac);
        if (isnan(k->share))
            fputs("   |\n", file);
        else
            fprintf(file, " %.0f %% of %s |\n", k->share * 100, measure_limit_names[k->limit]);
    }
    fprintf(file, "\nThe roof of one lane: reads %.1f GB/s from the cache and %.1f from memory",
            report->kernel_roof[0][MEASURE_READ] / 1e9, report->kernel_roof[1][MEASURE_READ] / 1e9);
    for (int i = MEASURE_INT8; i < MEASURE_LIMITS; i++)
        fprintf(file, ", %s %.1f GMAC/s", measure_limit_names[i], report->kernel_roof[0][i] / 1e9);
    fputs(".\n", file);
}

void bench_write_md(FILE *file, const bench_report *report) {
    const bench_machine *m = &report->machine;
    fprintf(file, "chord %s (%s) on %s, %d cores, %s\n", chord_version(), bench_commit(), m->cpu,
            m->cores, m->isa);
    for (int32_t i = 0; i < report->config_count; i++) {
        const bench_config *config = &report->configs[i];
        fprintf(file, "\n%s, %s, %d lane%s, KV %s, %s, batch %d; median of %d\n\n",
                bench_model_name(config), config->type, config->plan.lanes,
                config->plan.lanes == 1 ? "" : "s", cli_kv_name(config->plan.kv), config->isa,
                config->plan.batch, report->options->rounds);
        fputs("| test | unit | median | p10 | p90 | GB/s | % of the roof |\n"
              "|---|---|---:|---:|---:|---:|---|\n",
              file);
        for (int32_t t = 0; t < config->test_count; t++) output_md_test(file, &config->tests[t]);
        output_md_roof(file, config);
        output_md_memory(file, config);
        for (int32_t p = 0; p < config->profile_count; p++)
            output_md_ops(file, &config->profiles[p]);
    }
    if (report->kernel_count > 0) output_md_kernels(file, report);
}

// ---- CSV

static void output_csv_text(FILE *file, const char *text) {
    fputc('"', file);
    for (; *text; text++) {
        if (*text == '"') fputc('"', file);
        fputc(*text, file);
    }
    fputc('"', file);
}

static void output_csv_number(FILE *file, double value) {
    fputc(',', file);
    if (!isnan(value)) fprintf(file, "%.9g", value);
}

static void output_csv_kernels(FILE *file, const bench_report *report) {
    fputs("kernel,case,ns,bytes,macs,roof_share,limit,commit\n", file);
    for (int32_t i = 0; i < report->kernel_count; i++) {
        const bench_kernel *k = &report->kernels[i];
        fprintf(file, "%s,%s,%.6g,%.0f,%.0f", k->name, k->what, k->ns, k->bytes, k->macs);
        output_csv_number(file, k->share);
        fprintf(file, ",%s,%s\n", isnan(k->share) ? "" : measure_limit_names[k->limit],
                bench_commit());
    }
}

void bench_write_csv(FILE *file, const bench_report *report) {
    if (report->config_count == 0) {
        output_csv_kernels(file, report);
        return;
    }
    fputs("model,type,lanes,batch,kv,cpu,name,n,depth,unit,median,p10,p90,low,high,samples,gb_s,"
          "roof_share,limit,roof_read,roof_int8,roof_f32,roof_bf16,disturbed,commit\n",
          file);
    for (int32_t i = 0; i < report->config_count; i++) {
        const bench_config *c = &report->configs[i];
        for (int32_t t = 0; t < c->test_count; t++) {
            const bench_test *test = &c->tests[t];
            measure_summary s = bench_summary(&test->samples), share = bench_summary(&test->shares);
            output_csv_text(file, bench_model_name(c));
            fprintf(file, ",%s,%d,%d,%s,%s,%s,%d,%d,%s", c->type, c->plan.lanes, c->plan.batch,
                    cli_kv_name(c->plan.kv), c->isa, test->name, test->n, test->depth, test->unit);
            const double numbers[] = {s.median, s.p10, s.p90, s.low, s.high};
            for (size_t k = 0; k < CH_COUNT(numbers); k++) output_csv_number(file, numbers[k]);
            fprintf(file, ",%d", s.n);
            output_csv_number(file, bench_gb(test, &s));
            output_csv_number(file, share.median);
            fprintf(file, ",%s", share.n ? measure_limit_names[test->limit] : "");
            for (int k = 0; k < MEASURE_LIMITS; k++)
                output_csv_number(file, bench_summary(&c->roof[k]).median);
            fprintf(file, ",%s,%s\n", c->disturbance[0] ? "yes" : "no", bench_commit());
        }
    }
}
