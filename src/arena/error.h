// error: filling in a chord_error.
#ifndef CH_ERROR_H
#define CH_ERROR_H

#include "../../include/chord.h"
#include "base.h"

// Writes code and sentence into *error (NULL is ignored) and returns the code, so that `return
// ch_fail(...)` reads well. Text from a file is printed with %.*s through ch_printable.
CH_FN chord_result ch_fail(chord_error *error, chord_result code, const char *format, ...)
    CH_PRINTF(3, 4);

// Copies at most capacity - 1 bytes of a string of a file into `out`, control and non-ASCII bytes
// as '?', "..." at the end if cut, NUL-terminated. Returns out.
CH_FN const char *ch_printable(const char *text, size_t bytes, char *out, size_t capacity);

#endif
