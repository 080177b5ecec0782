// bench, html.
#include "bench.h"

bool bench_write_html(FILE *file, const bench_report *report, const char *history) {
    (void)history;
    bench_write_md(file, report);
    return true;
}
