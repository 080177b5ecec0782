// options: the parser of command lines, and the help, both from one table.
#include "cli.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_usage(const cli_command *command, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("chord: ", stderr);
    vfprintf(stderr, format, args);
    va_end(args);
    if (command)
        fprintf(stderr, "\nMore: chord %s --help\n", command->name);
    else
        fputs("\nMore: chord --help\n", stderr);
    return CLI_USAGE;
}

// ---- the nearest word

// Letters to insert, remove, replace or swap to make b of a (optimal string alignment); words of 31
// bytes at most.
static int option_distance(const char *a, const char *b) {
    enum { LIMIT = 32 };
    int n = (int)strlen(a), m = (int)strlen(b), d[LIMIT][LIMIT];
    if (n >= LIMIT || m >= LIMIT) return LIMIT;
    for (int i = 0; i <= n; i++) d[i][0] = i;
    for (int j = 0; j <= m; j++) d[0][j] = j;
    for (int i = 1; i <= n; i++)
        for (int j = 1; j <= m; j++) {
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
                d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[n][m];
}

const char *cli_nearest(const char *word, const char *const *words, int32_t count) {
    const char *nearest = NULL;
    int best = (int)strlen(word) < 4 ? 2 : 3; // from here on a suggestion would only puzzle
    for (int32_t i = 0; i < count; i++) {
        int distance = option_distance(word, words[i]);
        // What was begun and not finished is near, whatever its length.
        if (strlen(word) >= 2 && strncmp(word, words[i], strlen(word)) == 0) distance = 0;
        if (distance >= best || distance >= (int)strlen(words[i])) continue;
        best = distance;
        nearest = words[i];
    }
    return nearest;
}

// ---- values

static bool option_int(const char *text, double low, double high, int32_t *out) {
    char *end = NULL;
    errno = 0;
    if (!((*text >= '0' && *text <= '9') || *text == '-')) return false;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno) return false;
    if ((double)number < low || (double)number > high) return false;
    *out = (int32_t)number;
    return true;
}

static bool option_number(const char *text, double low, double high, float *out) {
    char *end = NULL;
    if (!((*text >= '0' && *text <= '9') || *text == '.' || *text == '-')) return false;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number) || number < low || number > high) return false;
    *out = (float)number;
    return true;
}

static bool option_u64(const char *text, bool suffixes, uint64_t *out) {
    char *end = NULL;
    errno = 0;
    if (!(*text >= '0' && *text <= '9')) return false;
    unsigned long long number = strtoull(text, &end, 10);
    if (end == text || errno) return false;
    static const char units[] = "KMGT";
    if (suffixes && *end) {
        const char lower[] = "kmgt";
        const char *unit = strchr(units, *end) ? strchr(units, *end) : strchr(lower, *end);
        if (!unit) return false;
        size_t power = (strchr(units, *end) ? (size_t)(strchr(units, *end) - units)
                                            : (size_t)(strchr(lower, *end) - lower)) +
                       1;
        if (number > UINT64_MAX >> (10 * power)) return false;
        number <<= 10 * power;
        end++;
    }
    if (*end || (suffixes && number == 0)) return false;
    *out = number;
    return true;
}

enum { OPTION_MAX_ITEMS = 1 << 16 };

static bool option_append(cli_list *list, int64_t number) {
    if (list->count == OPTION_MAX_ITEMS) return false;
    if ((list->count & (list->count - 1)) == 0) { // full: the room is the next power of two
        size_t room = list->count ? (size_t)list->count * 2 : 1;
        int32_t *items = realloc(list->items, room * sizeof *items);
        if (!items) return false;
        list->items = items;
    }
    list->items[list->count++] = (int32_t)number;
    return true;
}

// One part of a list: a number, or "first-last" with a step behind it: ":128" adds, "*2"
// multiplies. `text` is changed. A number may be negative, an end of a range not.
static bool option_range(char *text, double low, double high, cli_list *out) {
    int32_t first = 0, last = 0, step = 1;
    if (option_int(text, low, high, &first)) return option_append(out, first);
    char *dash = strchr(text, '-'), *by = strpbrk(text, ":*");
    if (!dash || (by && by < dash)) return false;
    bool times = by && *by == '*';
    *dash = 0;
    if (by) *by = 0;
    if (!option_int(text, low, high, &first) || !option_int(dash + 1, low, high, &last))
        return false;
    if (by && !option_int(by + 1, times ? 2 : 1, INT32_MAX, &step)) return false;
    if (first < 0 || last < first || (times && first == 0)) return false;
    for (int64_t at = first; at <= last; at = times ? at * step : at + step)
        if (!option_append(out, at)) return false;
    return true;
}

static bool option_list(const char *text, double low, double high, cli_list *out) {
    cli_list list = {NULL, 0};
    char *copy = malloc(strlen(text) + 1);
    bool good = copy != NULL;
    if (copy) memcpy(copy, text, strlen(text) + 1);
    for (char *at = copy; good && at;) {
        char *comma = strchr(at, ',');
        if (comma) *comma = 0;
        good = option_range(at, low, high, &list);
        at = comma ? comma + 1 : NULL;
    }
    free(copy);
    if (!good) {
        free(list.items);
        return false;
    }
    free(out->items);
    *out = list;
    return true;
}

static bool option_texts(cli_texts *texts, const char *text) {
    if (texts->count == (int32_t)(sizeof texts->items / sizeof *texts->items)) return false;
    texts->items[texts->count++] = text;
    return true;
}

enum { OPTION_MAX_CHOICES = 16 };

// Splits "f16|f32" in place; returns how many words there are.
static int32_t option_words(char *text, const char **words) {
    int32_t count = 0;
    for (char *at = text; at && count < OPTION_MAX_CHOICES;) {
        words[count++] = at;
        at = strchr(at, '|');
        if (at) *at++ = 0;
    }
    return count;
}

static int option_choice(const cli_command *command, const cli_option *option, const char *text) {
    char copy[128];
    const char *words[OPTION_MAX_CHOICES];
    snprintf(copy, sizeof copy, "%s", option->argument);
    int32_t count = option_words(copy, words);
    for (int32_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) {
            *(int32_t *)option->value = i;
            return CLI_CONTINUE;
        }
    const char *near = cli_nearest(text, words, count);
    return cli_usage(command, "--%s cannot be '%.40s': it is one of %s%s%s%s", option->name, text,
                     option->argument, near ? "; did you mean " : "", near ? near : "",
                     near ? "?" : "");
}

static int option_set(const cli_command *command, const cli_option *option, const char *text) {
    bool good = true;
    switch (option->kind) {
    case CLI_FLAG:
        *(bool *)option->value = true;
        break;
    case CLI_TEXT:
        *(const char **)option->value = text;
        break;
    case CLI_INT:
        good = option_int(text, option->low, option->high, (int32_t *)option->value);
        break;
    case CLI_SEED:
        good = option_u64(text, false, (uint64_t *)option->value);
        break;
    case CLI_SIZE:
        good = option_u64(text, true, (uint64_t *)option->value);
        break;
    case CLI_NUMBER:
        good = option_number(text, option->low, option->high, (float *)option->value);
        break;
    case CLI_LIST:
        good = option_list(text, option->low, option->high, (cli_list *)option->value);
        break;
    case CLI_TEXTS:
        if (option_texts((cli_texts *)option->value, text)) return CLI_CONTINUE;
        return cli_usage(command, "--%s is given too often: at most 16 times", option->name);
    case CLI_CHOICE:
        return option_choice(command, option, text);
    }
    if (good) return CLI_CONTINUE;
    if (option->kind == CLI_SIZE)
        return cli_usage(command, "--%s wants a size as 512M or 2G, not '%.40s'", option->name,
                         text);
    if (option->kind == CLI_SEED)
        return cli_usage(command, "--%s wants a whole number, not '%.40s'", option->name, text);
    const char *kind =
        option->kind == CLI_LIST
            ? "whole numbers with commas between, or ranges (1-4, 128-512:128, 128-4096*2), each"
        : option->kind == CLI_INT ? "a whole number"
                                  : "a number";
    if (option->high >= INT32_MAX)
        return cli_usage(command, "--%s wants %s of at least %g, not '%.40s'", option->name, kind,
                         option->low, text);
    return cli_usage(command, "--%s wants %s from %g to %g, not '%.40s'", option->name, kind,
                     option->low, option->high, text);
}

// ---- finding a row

static const cli_option *option_by_letter(const cli_option *options, char letter) {
    for (const cli_option *o = options; o->name; o++)
        if (o->letter == letter) return o;
    return NULL;
}

static const cli_option *option_by_name(const cli_option *options, const char *name, size_t bytes) {
    for (const cli_option *o = options; o->name; o++)
        if (strlen(o->name) == bytes && memcmp(o->name, name, bytes) == 0) return o;
    return NULL;
}

// ---- help

static void option_help(const cli_command *command, const cli_option *options) {
    printf("usage: chord %s\n\n%s\n\noptions:\n", command->usage, command->summary);
    for (const cli_option *o = options; o->name; o++) {
        if (option_by_name(options, o->name, strlen(o->name)) != o) continue;
        char left[96], letter[5] = "    ";
        if (o->letter) snprintf(letter, sizeof letter, "-%c, ", o->letter);
        snprintf(left, sizeof left, "%s--%s%s%s", letter, o->name, o->argument ? " " : "",
                 o->argument ? o->argument : "");
        printf("  %-26s%s%s\n", left, strlen(left) > 25 ? "\n                            " : "",
               o->help);
    }
    printf("  %-26s%s\n", "-h, --help", "this text");
    if (command->notes) printf("\n%s\n", command->notes);
}

// ---- the parser

static int option_unknown(const cli_command *command, const cli_option *options, const char *arg) {
    enum { MOST = 64 };
    const char *names[MOST];
    char word[32];
    int32_t count = 0;
    for (const cli_option *o = options; o->name && count < MOST - 1; o++) names[count++] = o->name;
    names[count++] = "help";
    const char *from = arg + strspn(arg, "-");
    snprintf(word, sizeof word, "%.*s", (int)strcspn(from, "="), from);
    const char *near = cli_nearest(word, names, count);
    return cli_usage(command, "%s has no option '%.*s'%s%s%s", command->name,
                     (int)strcspn(arg, "="), arg, near ? "; did you mean --" : "", near ? near : "",
                     near ? "?" : "");
}

int cli_parse(const cli_command *command, const cli_option *options, int argc, char **argv) {
    const cli_option *word = option_by_name(options, "model", 5);
    if (!word) word = option_by_name(options, "gates", 5);
    if (!word) word = option_by_name(options, "output", 6);
    bool words_only = false;
    for (int i = 0; i < argc; i++) {
        const char *arg = argv[i], *value = NULL;
        const cli_option *option = NULL;
        if (!words_only && strcmp(arg, "--") == 0) {
            words_only = true;
            continue;
        }
        if (words_only || arg[0] != '-' || arg[1] == 0) {
            if (word && word->kind == CLI_TEXTS) {
                int code = option_set(command, word, arg);
                if (code != CLI_CONTINUE) return code;
                continue;
            }
            if (!word || *(const char **)word->value)
                return cli_usage(command, "'%.80s' is one word too many", arg);
            *(const char **)word->value = arg;
            continue;
        }
        if (strcmp(arg, "-h") == 0 || strcmp(arg, "--help") == 0) {
            option_help(command, options);
            return cli_finish(CLI_OK);
        }
        if (arg[1] == '-') {
            size_t bytes = strcspn(arg + 2, "=");
            option = option_by_name(options, arg + 2, bytes);
            if (arg[2 + bytes]) value = arg + 3 + bytes;
        } else {
            option = option_by_letter(options, arg[1]);
            if (arg[2]) value = arg + 2;
        }
        if (!option) return option_unknown(command, options, arg);
        if (option->kind == CLI_FLAG && value)
            return cli_usage(command, "--%s takes no value", option->name);
        if (option->kind != CLI_FLAG && !value) {
            if (i + 1 == argc)
                return cli_usage(command, "--%s needs a value: %s", option->name, option->argument);
            value = argv[++i];
        }
        int code = option_set(command, option, value);
        if (code != CLI_CONTINUE) return code;
    }
    return CLI_CONTINUE;
}
