// test_measure: statistics of samples, and the watch over disturbances. Nothing here times
// anything.
#include "../src/cli/measure.h"

#include <criterion/criterion.h>

static measure_summary summarize(const double *samples, int32_t n) {
    measure_summary s;
    cr_assert(measure_summarize(samples, n, 0.95, &s));
    return s;
}

Test(measure, median_and_percentiles_do_not_depend_on_the_order) {
    const double a[] = {5, 1, 4, 2, 3}, b[] = {1, 2, 3, 4, 5};
    measure_summary x = summarize(a, 5), y = summarize(b, 5);
    cr_assert(x.median == 3 && x.least == 1 && x.most == 5);
    cr_assert_float_eq(x.p10, 1.4, 1e-12);
    cr_assert_float_eq(x.p90, 4.6, 1e-12);
    cr_assert(memcmp(&x, &y, sizeof x) == 0);
    cr_assert(a[0] == 5, "the samples are not changed");
}

Test(measure, even_and_single_and_no_samples) {
    const double a[] = {4, 1, 3, 2};
    cr_assert(summarize(a, 4).median == 2.5);
    measure_summary one = summarize(a, 1);
    cr_assert(one.median == 4 && one.low == 4 && one.high == 4 && one.confidence == 0);
    measure_summary none = summarize(a, 0);
    cr_assert(none.n == 0 && isnan(none.median) && isnan(none.low));
}

// The ranks of the tables of the sign test, counted from 0.
Test(measure, interval_ranks_are_those_of_the_tables) {
    static const struct {
        int32_t n, low, high;
        double confidence;
    } rows[] = {{5, 0, 4, 0.9375},  {6, 0, 5, 0.96875},  {8, 0, 7, 0.9922},   {9, 1, 7, 0.9609},
                {10, 1, 8, 0.9785}, {20, 5, 14, 0.9586}, {25, 7, 17, 0.9567}, {50, 17, 32, 0.9672}};
    for (size_t i = 0; i < CH_COUNT(rows); i++) {
        int32_t low = -1, high = -1;
        double confidence = measure_ranks(rows[i].n, 0.95, &low, &high);
        cr_assert(low == rows[i].low && high == rows[i].high, "n %d: %d..%d", (int)rows[i].n,
                  (int)low, (int)high);
        cr_assert_float_eq(confidence, rows[i].confidence, 6e-5);
    }
}

// Of many series from a skewed distribution, at least 95 % of the intervals hold its median.
Test(measure, interval_holds_the_median_as_often_as_it_says) {
    uint64_t state = 1;
    for (int32_t n = 6; n <= 30; n += 8) {
        int32_t held = 0, runs = 4000;
        for (int32_t run = 0; run < runs; run++) {
            double samples[30];
            for (int32_t i = 0; i < n; i++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                samples[i] = -log(1 - (double)(state >> 11) * 0x1p-53); // exponential: median ln 2
            }
            measure_summary s = summarize(samples, n);
            held += s.low <= log(2) && log(2) <= s.high;
        }
        cr_assert(held >= 0.94 * runs, "n %d: %d of %d", (int)n, (int)held, (int)runs);
    }
}

Test(measure, ratio_of_pairs_loses_what_both_share) {
    double a[20], b[20];
    for (int32_t i = 0; i < 20; i++) {
        double drift = 1 + 0.5 * i; // the machine gets ten times as fast
        a[i] = 3 * drift;
        b[i] = 4 * drift;
    }
    measure_summary s;
    cr_assert(measure_ratio(a, b, 20, 0.95, &s));
    cr_assert_float_eq(s.median, 0.75, 1e-12);
    cr_assert_float_eq(s.high - s.low, 0, 1e-12);
}

Test(measure, samples_grow) {
    measure_samples samples = {NULL, 0, 0};
    for (int32_t i = 0; i < 1000; i++) cr_assert(measure_add(&samples, i));
    cr_assert(samples.count == 1000 && samples.items[999] == 999);
    measure_free(&samples);
    cr_assert(samples.count == 0 && samples.items == NULL);
}

Test(measure, the_roof_is_measured_and_its_kernels_do_what_they_say) {
    measure_roof roof;
    cr_assert(measure_roof_open(&roof, 2, 100000, NULL));
    cr_assert(roof.working_set == 100000);
    for (int i = 0; i < MEASURE_LIMITS; i++) {
        cr_assert(measure_roof_take(&roof, (measure_limit)i, 0.001) > 0);
        cr_assert(roof.samples[i].count == 1 && roof.samples[i].items[0] == roof.last[i]);
    }
    cr_assert(ch_roof_sound(&roof.roof));
    cr_assert(roof.seconds > 0.003);
    measure_roof_close(&roof);
}

Test(measure, disturbances_are_said_with_their_limit) {
    measure_watch watch;
    measure_roof roof;
    char text[400];
    memset(&watch, 0, sizeof watch);
    memset(&roof, 0, sizeof roof);
    cr_assert_not(measure_disturbed(&watch, NULL, text, sizeof text));
    cr_assert_str_empty(text);
    for (int32_t i = 0; i < 10; i++) measure_add(&roof.samples[MEASURE_READ], 100 + i);
    cr_assert_not(measure_disturbed(&watch, &roof, text, sizeof text), "%s", text);
    for (int32_t i = 0; i < 5; i++) measure_add(&roof.samples[MEASURE_READ], 70);
    cr_assert(measure_disturbed(&watch, &roof, text, sizeof text));
    cr_assert(strstr(text, "read roof") && strstr(text, "limit 15 %"), "%s", text);
    watch.others_share = 0.12;
    watch.steal_share = 0.5;
    watch.switch_rate = 1000;
    cr_assert(measure_disturbed(&watch, &roof, text, sizeof text));
    cr_assert(strstr(text, "other processes' share of the CPUs was 12 % (limit 5 %)"), "%s", text);
    cr_assert(strstr(text, "hypervisor") && strstr(text, "1000 times a second"), "%s", text);
    cr_assert(measure_disturbed(&watch, &roof, text, 20) && strlen(text) < 20);
    measure_free(&roof.samples[MEASURE_READ]);
}
