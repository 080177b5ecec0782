// bench, chart: charts as inline SVG, without a script: axes, grid, lines, points, labels.
//
// Owns: scales, ticks, the placing of labels so that none covers another. Refuses: knowing what is
// drawn. All colours are classes, c0 to c7, that the page defines for light and dark.
#ifndef CLI_BENCH_CHART_H
#define CLI_BENCH_CHART_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct chart_point {
    double x, y;
    double low, high; // drawn as a band or a whisker where low < high
    double radius;    // pixels, 0: the usual
    char label[48];   // drawn beside the point where there is room; "": none
    char title[200];  // shown when pointed at
} chart_point;

enum { CHART_COLOURS = 8 };

typedef struct chart_series {
    char name[128];
    int colour; // 0..7
    bool line;  // points are joined, and their low..high is a band
    chart_point *points;
    int32_t count;
} chart_series;

// A line that limits: from (x0, y0) to (x1, y1), named at its end.
typedef struct chart_limit {
    double x0, y0, x1, y1;
    char name[64];
} chart_limit;

typedef struct chart_plot {
    const char *x_name, *y_name;
    int32_t width, height;
    bool log_x, log_y;
    double x0, x1, y0, y1;      // ends of the axes
    const double *x_ticks;      // NULL: chosen
    const char *const *x_names; // of x_ticks; NULL: the numbers
    int32_t x_tick_count;
    const chart_series *series;
    int32_t series_count;
    const chart_limit *limits;
    int32_t limit_count;
} chart_plot;

// Sets x0..y1 so that everything has room; linear axes of y begin at 0.
void chart_fit(chart_plot *c);
void chart_write(FILE *file, const chart_plot *c);

// A number for people: "0.5", "37", "1,204", "15.2k", "3.4M".
const char *chart_number(double value, char *out, size_t capacity);

// Text in HTML and SVG: what has a meaning there is escaped.
void chart_text(FILE *file, const char *text);

#endif
