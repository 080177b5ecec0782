// fixture: a synthetic model in memory and sessions of it, for Criterion tests; a failure to open
// one is the test's failure.
#ifndef CHORD_TESTS_FIXTURE_H
#define CHORD_TESTS_FIXTURE_H

#include "../include/chord.h"
#include "gguf_builder.h"

#include <criterion/criterion.h>

typedef struct fixture {
    gguf_builder builder;
    chord_model *model;
} fixture;

CH_INLINE void fixture_open(fixture *f, gb_model m) {
    if (m.seed == 0) m.seed = 7;
    gb_build_model(&f->builder, &m);
    size_t bytes = 0;
    const uint8_t *data = gb_finish(&f->builder, &bytes);
    chord_error error;
    chord_model_desc desc = {.data = data, .data_bytes = bytes};
    cr_assert_eq(chord_model_open(&desc, &f->model, &error), CHORD_OK, "%s", error.message);
}

CH_INLINE void fixture_close(fixture *f) {
    chord_model_close(f->model);
    gb_close(&f->builder);
}

CH_INLINE chord_session *session_open(const chord_model *model, chord_session_desc desc) {
    chord_session *session = NULL;
    chord_error error;
    cr_assert_eq(chord_session_open(model, &desc, &session, &error), CHORD_OK, "%s", error.message);
    return session;
}

#endif
