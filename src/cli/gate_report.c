// gate_report: results as a table, as JSON, as JUnit's XML.
//
// Owns: how a run is shown. Refuses: judging. Source of the XML: the schema that Jenkins, GitLab
// and the GitHub reporters read, https://github.com/testmoapp/junitxml
#include "gate.h"

#include <stdarg.h>
#include <string.h>

static const char *const report_verdicts[] = {"passed", "FAILED", "skipped", "BROKEN"};

// ---- results

static void report_set(gate_result *result, const char *format, va_list args) {
    vsnprintf(result->note, sizeof result->note, format, args);
}

void gate_note(gate_result *result, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report_set(result, format, args);
    va_end(args);
}

bool gate_skip(gate_result *result, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report_set(result, format, args);
    va_end(args);
    result->verdict = GATE_SKIPPED;
    return false;
}

bool gate_error(gate_result *result, const char *format, ...) {
    va_list args;
    va_start(args, format);
    report_set(result, format, args);
    va_end(args);
    result->verdict = GATE_BROKEN;
    return false;
}

int32_t gate_run_count(const gate_run *run, gate_verdict verdict) {
    int32_t count = 0;
    for (int32_t i = 0; i < run->count; i++) count += run->results[i].verdict == verdict;
    return count;
}

static bool report_measured(const gate_result *r) {
    return r->verdict == GATE_PASSED || r->verdict == GATE_FAILED;
}

const char *gate_value_text(const gate_spec *spec, double value, char out[32]) {
    if (spec->tier == GATE_SHARE)
        snprintf(out, 32, value < 0.1 ? "%.2f %%" : "%.1f %%", value * 100);
    else if (spec->tier == GATE_AB)
        snprintf(out, 32, "%.3f", value);
    else
        gate_number_text(value, out, 32);
    return out;
}

static void report_interval(const gate_result *r, char out[72]) {
    char low[32], high[32];
    out[0] = 0;
    if (r->interval)
        snprintf(out, 72, "%s to %s", gate_value_text(r->spec, r->low, low),
                 gate_value_text(r->spec, r->high, high));
}

// ---- the table

static void report_md(const gate_run *run) {
    puts("| gate | limit | measured | interval | verdict |\n|---|---:|---:|---|---|");
    for (int32_t i = 0; i < run->count; i++) {
        const gate_result *r = &run->results[i];
        char limit[32] = "", measured[32] = "", interval[72] = "", again[32] = "";
        if (report_measured(r)) {
            gate_value_text(r->spec, r->limit, limit);
            gate_value_text(r->spec, r->measured, measured);
            report_interval(r, interval);
        }
        if (r->attempts > 1) snprintf(again, sizeof again, " at attempt %d", r->attempts);
        fputs("| ", stdout);
        cli_print_text(r->spec->name);
        printf(" | %s | %s | %s | %s%s%s", limit, measured, interval, report_verdicts[r->verdict],
               again, r->note[0] ? ": " : "");
        cli_print_text(r->note);
        puts(" |");
    }
    printf("\n%d passed, %d failed, %d skipped, %d broken: %d gates, %s, in %.1f s\n",
           gate_run_count(run, GATE_PASSED), gate_run_count(run, GATE_FAILED),
           gate_run_count(run, GATE_SKIPPED), gate_run_count(run, GATE_BROKEN), run->count,
           run->level, run->seconds);
    if (run->disturbed[0]) printf("the run was disturbed: %s\n", run->disturbed);
}

// ---- JSON

static void report_json_text(const char *key, const char *text) {
    printf(",\"%s\":", key);
    cli_print_json(text, strlen(text));
}

static void report_json(const gate_run *run) {
    fputs("{\"schema\":1", stdout);
    report_json_text("gates_file", run->path);
    report_json_text("level", run->level);
    if (run->against) report_json_text("against", run->against);
    printf(",\"version\":\"%s\",\"passed\":%d,\"failed\":%d,\"skipped\":%d,\"broken\":%d,"
           "\"seconds\":%.3f",
           chord_version(), gate_run_count(run, GATE_PASSED), gate_run_count(run, GATE_FAILED),
           gate_run_count(run, GATE_SKIPPED), gate_run_count(run, GATE_BROKEN), run->seconds);
    report_json_text("disturbed", run->disturbed);
    fputs(",\"gates\":[", stdout);
    for (int32_t i = 0; i < run->count; i++) {
        static const char *const verdicts[] = {"passed", "failed", "skipped", "broken"};
        const gate_result *r = &run->results[i];
        fputs(i ? ",\n{\"name\":" : "\n{\"name\":", stdout);
        cli_print_json(r->spec->name, strlen(r->spec->name));
        report_json_text("tier", gate_tier_name(r->spec->tier));
        report_json_text("measure", gate_measure_name(r->spec->measure));
        report_json_text("verdict", verdicts[r->verdict]);
        if (report_measured(r))
            printf(",\"limit\":%.10g,\"measured\":%.10g", r->limit, r->measured);
        if (report_measured(r) && r->interval)
            printf(",\"low\":%.10g,\"high\":%.10g", r->low, r->high);
        printf(",\"attempts\":%d,\"seconds\":%.3f", r->attempts, r->seconds);
        report_json_text("note", r->note);
        putchar('}');
    }
    puts("]}");
}

// ---- JUnit

// Text as the value of an attribute. Control bytes, which XML 1.0 has no way to write, become '?'.
static void report_xml(const char *text) {
    static const char special[] = "&<>\"'";
    static const char *const names[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&apos;"};
    for (const char *p = text; *p; p++) {
        const char *found = strchr(special, *p);
        if (found)
            fputs(names[found - special], stdout);
        else
            putchar((unsigned char)*p < 32 || *p == 127 ? '?' : *p);
    }
}

static void report_junit_case(const gate_result *r) {
    static const char *const elements[] = {NULL, "failure", "skipped", "error"};
    char limit[32], measured[32], interval[72];
    fputs("    <testcase classname=\"chord.gate.", stdout);
    fputs(gate_tier_name(r->spec->tier), stdout);
    fputs("\" name=\"", stdout);
    report_xml(r->spec->name);
    printf("\" time=\"%.3f\"", r->seconds);
    report_interval(r, interval);
    if (!elements[r->verdict]) {
        puts("/>");
        return;
    }
    printf(">\n      <%s message=\"", elements[r->verdict]);
    if (r->verdict == GATE_FAILED)
        printf("measured %s, limit %s%s%s. ", gate_value_text(r->spec, r->measured, measured),
               gate_value_text(r->spec, r->limit, limit), interval[0] ? ", interval " : "",
               interval);
    report_xml(r->note);
    puts("\"/>\n    </testcase>");
}

static void report_junit(const gate_run *run) {
    puts("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>");
    printf("  <testsuite name=\"chord gate\" tests=\"%d\" failures=\"%d\" skipped=\"%d\" "
           "errors=\"%d\" time=\"%.3f\">\n",
           run->count, gate_run_count(run, GATE_FAILED), gate_run_count(run, GATE_SKIPPED),
           gate_run_count(run, GATE_BROKEN), run->seconds);
    for (int32_t i = 0; i < run->count; i++) report_junit_case(&run->results[i]);
    puts("  </testsuite>\n</testsuites>");
}

void gate_report(gate_output output, const gate_run *run) {
    static void (*const reports[])(const gate_run *) = {report_md, report_json, report_junit};
    reports[output](run);
}
