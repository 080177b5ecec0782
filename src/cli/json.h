// json: reads JSON, and knows where everything stood.
//
// Owns: the values of one text, each with its line and its bytes, so that an error can name the
// line and a number can be replaced without touching what stands around it. Refuses: what RFC 8259
// refuses, a key that stands twice in an object, a depth of more than 32.
#ifndef CLI_JSON_H
#define CLI_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum json_kind {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind;

typedef struct json_value {
    json_kind kind;
    int32_t line;              // from 1 on
    size_t at, end;            // its bytes in the text
    const char *key;           // of a member of an object, else NULL
    const char *text;          // of a string, UTF-8, NUL-terminated
    double number;             // of a number; of a bool 0 or 1
    int32_t count;             // members or elements
    struct json_value *first;  // of them, or NULL
    struct json_value *parent; // or NULL
    struct json_value *next;   // sibling, or NULL
} json_value;

typedef struct json_text {
    json_value *root;
    json_value *values; // from malloc
    char *strings;      // from malloc
} json_text;

typedef struct json_error {
    int32_t line;
    char message[128]; // what was wanted, and what stands there
} json_error;

// Reads `bytes` of text. False: *error tells why, and nothing is left to free.
bool json_read(const char *text, size_t bytes, json_text *out, json_error *error);
void json_free(json_text *json);

// The member of an object, or NULL.
const json_value *json_member(const json_value *object, const char *key);

// "a number", "an object": for sentences.
const char *json_kind_name(json_kind kind);

#endif
