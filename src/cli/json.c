// json: see json.h. The grammar is that of RFC 8259.
#include "json.h"

#include "cli.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_MOST_DEPTH = 32 };

typedef struct json_reader {
    const char *text;
    size_t bytes, at;
    int32_t line;
    json_text *out;
    size_t values; // taken of out->values
    char *strings; // the next free byte of out->strings
    json_error *error;
} json_reader;

static bool json_fail(json_reader *r, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool json_fail(json_reader *r, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(r->error->message, sizeof r->error->message, format, args);
    va_end(args);
    r->error->line = r->line;
    return false;
}

// What stands at the reader, for a sentence: "'}'", "the end".
static const char *json_here(const json_reader *r, char out[16]) {
    unsigned char c = r->at < r->bytes ? (unsigned char)r->text[r->at] : 0;
    if (r->at >= r->bytes)
        snprintf(out, 16, "the end");
    else if (c < 32 || c > 126)
        snprintf(out, 16, "byte %u", c);
    else
        snprintf(out, 16, "'%c'", c);
    return out;
}

static bool json_wanted(json_reader *r, const char *what) {
    char here[16];
    return json_fail(r, "wanted %s, got %s", what, json_here(r, here));
}

static void json_blanks(json_reader *r) {
    for (; r->at < r->bytes && strchr(" \t\r\n", r->text[r->at]) && r->text[r->at]; r->at++)
        r->line += r->text[r->at] == '\n';
}

static bool json_take(json_reader *r, char c) {
    if (r->at >= r->bytes || r->text[r->at] != c) return false;
    r->at++;
    return true;
}

// ---- strings

static bool json_hex(json_reader *r, uint32_t *out) {
    *out = 0;
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        char c = r->at < r->bytes ? r->text[r->at] : 0;
        const char *digit = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
        if (!digit) return json_wanted(r, "four hexadecimal digits after \\u");
        *out = *out * 16 + (uint32_t)(digit - digits);
        r->at++;
    }
    return true;
}

static void json_put_utf8(json_reader *r, uint32_t c) {
    if (c < 0x80) {
        *r->strings++ = (char)c;
    } else if (c < 0x800) {
        *r->strings++ = (char)(0xc0 | c >> 6);
        *r->strings++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *r->strings++ = (char)(0xe0 | c >> 12);
        *r->strings++ = (char)(0x80 | (c >> 6 & 63));
        *r->strings++ = (char)(0x80 | (c & 63));
    } else {
        *r->strings++ = (char)(0xf0 | c >> 18);
        *r->strings++ = (char)(0x80 | (c >> 12 & 63));
        *r->strings++ = (char)(0x80 | (c >> 6 & 63));
        *r->strings++ = (char)(0x80 | (c & 63));
    }
}

static bool json_escape(json_reader *r) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->bytes ? r->text[r->at] : 0;
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        r->at++;
        *r->strings++ = to[found - from];
        return true;
    }
    if (!json_take(r, 'u')) return json_wanted(r, "an escape that JSON knows");
    uint32_t high = 0, low = 0;
    if (!json_hex(r, &high)) return false;
    if (high >= 0xd800 && high < 0xdc00) {
        if (!json_take(r, '\\') || !json_take(r, 'u'))
            return json_wanted(r, "the second half of a surrogate pair");
        if (!json_hex(r, &low)) return false;
        if (low < 0xdc00 || low > 0xdfff) return json_fail(r, "a surrogate pair is broken");
        high = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
    } else if ((high >= 0xdc00 && high <= 0xdfff) || high == 0) {
        return json_fail(r, "\\u%04x is not a character of a text", (unsigned)high);
    }
    json_put_utf8(r, high);
    return true;
}

// The reader stands at the quotation mark. A decoded string is never longer than its source.
static bool json_string(json_reader *r, const char **out) {
    *out = r->strings;
    if (!json_take(r, '"')) return json_wanted(r, "a string");
    while (r->at < r->bytes && r->text[r->at] != '"') {
        const char *from = r->text + r->at;
        if ((unsigned char)*from < 32) return json_wanted(r, "the end of a string");
        size_t length = cli_utf8((const unsigned char *)from, r->bytes - r->at);
        if (length == 0) return json_wanted(r, "UTF-8");
        r->at += length;
        if (*from == '\\') {
            if (!json_escape(r)) return false;
        } else {
            memcpy(r->strings, from, length);
            r->strings += length;
        }
    }
    if (!json_take(r, '"')) return json_wanted(r, "the end of a string");
    *r->strings++ = 0;
    return true;
}

// ---- the other values

static size_t json_digits(json_reader *r) {
    size_t from = r->at;
    while (r->at < r->bytes && r->text[r->at] >= '0' && r->text[r->at] <= '9') r->at++;
    return r->at - from;
}

static bool json_read_number(json_reader *r, json_value *value) {
    size_t from = r->at;
    char copy[64];
    json_take(r, '-');
    if (!json_take(r, '0') && !json_digits(r)) return json_wanted(r, "a value");
    if (json_take(r, '.') && !json_digits(r)) return json_wanted(r, "digits after the point");
    if (json_take(r, 'e') || json_take(r, 'E')) {
        if (!json_take(r, '+')) json_take(r, '-');
        if (!json_digits(r)) return json_wanted(r, "digits of an exponent");
    }
    if (r->at - from >= sizeof copy) return json_fail(r, "a number is over 63 bytes long");
    memcpy(copy, r->text + from, r->at - from);
    copy[r->at - from] = 0;
    value->kind = JSON_NUMBER;
    value->number = strtod(copy, NULL);
    return isfinite(value->number) ? true : json_fail(r, "the number %s is too large", copy);
}

static bool json_word(json_reader *r, json_value *value) {
    static const struct {
        const char *word;
        json_kind kind;
        double number;
    } words[] = {{"null", JSON_NULL, 0}, {"true", JSON_BOOL, 1}, {"false", JSON_BOOL, 0}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i].word);
        if (r->bytes - r->at < length || memcmp(r->text + r->at, words[i].word, length) != 0)
            continue;
        r->at += length;
        value->kind = words[i].kind;
        value->number = words[i].number;
        return true;
    }
    return json_wanted(r, "a value");
}

static bool json_value_read(json_reader *r, int32_t depth, json_value *value);

// The reader stands behind the opening bracket.
static bool json_children(json_reader *r, int32_t depth, json_value *parent) {
    bool object = parent->kind == JSON_OBJECT;
    char close = object ? '}' : ']';
    json_value **link = &parent->first;
    json_blanks(r);
    if (json_take(r, close)) return true;
    for (;;) {
        json_value *child = &r->out->values[r->values++];
        const char *key = NULL;
        json_blanks(r);
        if (object) {
            if (r->at >= r->bytes || r->text[r->at] != '"') return json_wanted(r, "a key");
            if (!json_string(r, &key)) return false;
            if (json_member(parent, key))
                return json_fail(r, "the key \"%.40s\" stands twice", key);
            json_blanks(r);
            if (!json_take(r, ':')) return json_wanted(r, "':'");
        }
        if (!json_value_read(r, depth + 1, child)) return false;
        child->key = key;
        child->parent = parent;
        *link = child;
        link = &child->next;
        parent->count++;
        json_blanks(r);
        if (json_take(r, close)) return true;
        if (!json_take(r, ',')) return json_wanted(r, object ? "',' or '}'" : "',' or ']'");
    }
}

static bool json_value_read(json_reader *r, int32_t depth, json_value *value) {
    json_blanks(r);
    if (depth > JSON_MOST_DEPTH) return json_fail(r, "more than %d levels deep", JSON_MOST_DEPTH);
    value->line = r->line;
    value->at = r->at;
    bool good;
    if (json_take(r, '{')) {
        value->kind = JSON_OBJECT;
        good = json_children(r, depth, value);
    } else if (json_take(r, '[')) {
        value->kind = JSON_ARRAY;
        good = json_children(r, depth, value);
    } else if (r->at < r->bytes && r->text[r->at] == '"') {
        value->kind = JSON_STRING;
        good = json_string(r, &value->text);
    } else if (r->at < r->bytes && strchr("ntf", r->text[r->at]) && r->text[r->at]) {
        good = json_word(r, value);
    } else {
        good = json_read_number(r, value);
    }
    value->end = r->at;
    return good;
}

// ---- the public part

bool json_read(const char *text, size_t bytes, json_text *out, json_error *error) {
    memset(out, 0, sizeof *out);
    json_reader r = {.text = text, .bytes = bytes, .line = 1, .out = out, .error = error};
    // Every value has a byte of its own; one more is taken before it is known to be there.
    out->values = calloc(bytes + 2, sizeof *out->values);
    out->strings = malloc(bytes + 1);
    r.strings = out->strings;
    bool good = out->values && out->strings;
    if (!good) json_fail(&r, "there is no memory to read it");
    if (good) {
        out->root = &out->values[r.values++];
        good = json_value_read(&r, 0, out->root);
        json_blanks(&r);
        if (good && r.at < r.bytes) good = json_wanted(&r, "the end");
    }
    if (!good) json_free(out);
    return good;
}

void json_free(json_text *json) {
    free(json->values);
    free(json->strings);
    memset(json, 0, sizeof *json);
}

const json_value *json_member(const json_value *object, const char *key) {
    for (const json_value *v = object->first; v; v = v->next)
        if (v->key && strcmp(v->key, key) == 0) return v;
    return NULL;
}

const char *json_kind_name(json_kind kind) {
    static const char *const names[] = {"null",     "true or false", "a number",
                                        "a string", "an array",      "an object"};
    return names[kind];
}
