// error: see error.h.
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

CH_FN chord_result ch_fail(chord_error *error, chord_result code, const char *format, ...) {
    if (!error) return code;
    error->code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(error->message, sizeof error->message, format, args);
    va_end(args);
    return code;
}

CH_FN const char *ch_printable(const char *text, size_t bytes, char *out, size_t capacity) {
    size_t n = bytes < capacity ? bytes : capacity - 1;
    for (size_t i = 0; i < n; i++) out[i] = text[i] >= 32 && text[i] < 127 ? text[i] : '?';
    if (n < bytes && n >= 3) memcpy(out + n - 3, "...", 3);
    out[n] = 0;
    return out;
}

const char *chord_result_text(chord_result code) {
    switch (code) {
#define CH_RESULT_CASE(name, number, text)                                                         \
    case name:                                                                                     \
        return text;
        CHORD_RESULTS(CH_RESULT_CASE)
#undef CH_RESULT_CASE
    }
    return "unknown error";
}

const char *chord_version(void) {
    return CHORD_VERSION;
}
