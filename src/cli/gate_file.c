// gate_file: reads, checks and rewrites a gates file. See gate.h.
//
// Owns: the file's text and all that points into it. Refuses: unknown keys, missing ones, values
// out of range, two gates of a name; each with the line. Invariant: rewriting changes the numbers
// that were asked for and no other byte, and is a rename of a whole file.
#define _POSIX_C_SOURCE 200809L
#include "gate.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST_BYTES = 1 << 20 };

static const char *const file_levels[GATE_COLUMNS] = {
    "c", "avx2", "avxvnni", "avx512", "amx", "neon", "dotprod", "i8mm", "openblas", "any"};
static const char *const file_kv[] = {"f16", "f32", "q8_0", "q16"}; // of ch_kv_type
static const char *const file_tiers[GATE_TIER_COUNT] = {"exact", "share", "ab"};

static const struct {
    const char *name;
    uint32_t tiers, needs, may;
} file_measures[GATE_MEASURE_COUNT] = {
#define FILE_MEASURE(NAME, name, tiers, needs, may) {name, tiers, needs, may},
    GATE_MEASURES(FILE_MEASURE)
#undef FILE_MEASURE
};

static const struct {
    const char *name;
    int32_t least, most;
} file_numbers[GATE_N_COUNT] = {
#define FILE_NUMBER(NAME, name, least, most) {name, least, most},
    GATE_NUMBERS(FILE_NUMBER)
#undef FILE_NUMBER
};

const char *gate_level_name(int32_t level) {
    return file_levels[level];
}

const char *gate_tier_name(gate_tier tier) {
    return file_tiers[tier];
}

const char *gate_measure_name(gate_measure measure) {
    return file_measures[measure].name;
}

// ---- errors

__attribute__((format(printf, 3, 4))) static int file_fail(const gate_file *file, int32_t line,
                                                           const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "chord: %s:%d: ", file->path, line);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    return CLI_FAILED;
}

// "; did you mean NAME?", or "".
static const char *file_near(const char *word, const char *const *words, int32_t count,
                             char out[64]) {
    const char *near = cli_nearest(word, words, count);
    out[0] = 0;
    if (near) snprintf(out, 64, "; did you mean \"%s\"?", near);
    return out;
}

static int file_kind(const gate_file *file, const json_value *v, const char *key, json_kind kind) {
    if (v->kind == kind) return CLI_OK;
    return file_fail(file, v->line, "\"%s\" wants %s, got %s", key, json_kind_name(kind),
                     json_kind_name(v->kind));
}

// ---- values

static int file_number(const gate_file *file, const json_value *v, int32_t i, int32_t *out) {
    int code = file_kind(file, v, v->key, JSON_NUMBER);
    if (code != CLI_OK) return code;
    double n = v->number;
    if (floor(n) < n || n < file_numbers[i].least || n > file_numbers[i].most)
        return file_fail(file, v->line, "\"%s\" wants a whole number from %d to %d, got %g", v->key,
                         file_numbers[i].least, file_numbers[i].most, n);
    *out = (int32_t)n;
    return CLI_OK;
}

// The place of a string among `count` words.
static int file_word(const gate_file *file, const json_value *v, const char *const *words,
                     int32_t count, int32_t *out) {
    char near[64];
    int code = file_kind(file, v, v->key, JSON_STRING);
    if (code != CLI_OK) return code;
    for (*out = 0; *out < count; (*out)++)
        if (strcmp(v->text, words[*out]) == 0) return CLI_OK;
    return file_fail(file, v->line, "\"%s\" cannot be \"%.40s\"%s", v->key, v->text,
                     file_near(v->text, words, count, near));
}

static int file_type(const gate_file *file, const json_value *v, ch_type *out) {
    const char *names[CH_TYPE_COUNT];
    int32_t i = 0;
    for (int32_t t = 0; t < CH_TYPE_COUNT; t++) names[t] = ch_type_get((ch_type)t)->name;
    int code = file_word(file, v, names, CH_TYPE_COUNT, &i);
    if (code == CLI_OK) *out = (ch_type)i;
    return code;
}

// Reads the member `v` if it is one of the numbers; *bit: which. *bit 0: it is none.
static int file_any_number(const gate_file *file, const json_value *v, int32_t *numbers,
                           uint32_t *bit) {
    *bit = 0;
    for (int32_t i = 0; i < GATE_N_COUNT; i++)
        if (strcmp(v->key, file_numbers[i].name) == 0) {
            *bit = 1u << i;
            return file_number(file, v, i, &numbers[i]);
        }
    return CLI_OK;
}

// A key that does not belong where it stands, with the ones that do.
static int file_unknown(const gate_file *file, const json_value *v, uint32_t fields,
                        const char *const *others, int32_t other_count) {
    const char *names[GATE_N_COUNT + 16];
    int32_t count = 0;
    char near[64];
    for (; count < other_count; count++) names[count] = others[count];
    for (int32_t i = 0; i < GATE_N_COUNT; i++)
        if (fields & 1u << i) names[count++] = file_numbers[i].name;
    return file_fail(file, v->line, "\"%.40s\" does not belong here%s", v->key,
                     file_near(v->key, names, count, near));
}

// ---- models

static int file_read_model(const gate_file *file, const json_value *v, gate_model *model) {
    static const char *const others[] = {"file", "synthetic", "builtin"};
    int code = file_kind(file, v, v->key, JSON_OBJECT);
    int32_t kinds = 0, given = 0;
    model->name = v->key;
    model->line = v->line;
    for (const json_value *m = v->first; m && code == CLI_OK; m = m->next) {
        uint32_t bit = 0;
        if (strcmp(m->key, "file") == 0) {
            code = file_kind(file, m, m->key, JSON_STRING);
            model->file = m->text;
            kinds++;
        } else if (strcmp(m->key, "synthetic") == 0) {
            code = file_type(file, m, &model->type);
            kinds++;
        } else if (strcmp(m->key, "builtin") == 0) {
            code = file_kind(file, m, m->key, JSON_BOOL);
            model->builtin = m->number > 0;
            kinds++;
        } else {
            code = file_any_number(file, m, model->numbers, &bit);
            given++;
            if (code == CLI_OK && !(bit & F_SYNTHETIC))
                code = file_unknown(file, m, F_SYNTHETIC, others, 3);
        }
    }
    if (code == CLI_OK && (kinds != 1 || (given && (model->file || model->builtin))))
        code = file_fail(file, v->line,
                         "model \"%s\" wants one of \"file\", \"builtin\", or \"synthetic\" with "
                         "its sizes",
                         v->key);
    if (code != CLI_OK || model->file || model->builtin) return code;
    static const int32_t defaults[][2] = {{GATE_N_BLOCKS, 2},       {GATE_N_EMBEDDING, 256},
                                          {GATE_N_HEADS, 4},        {GATE_N_KV_HEADS, 2},
                                          {GATE_N_FEED_FORWARD, 0}, {GATE_N_VOCABULARY, 1024},
                                          {GATE_N_CONTEXT, 512}};
    int32_t *n = model->numbers;
    for (size_t i = 0; i < CH_COUNT(defaults); i++)
        if (!n[defaults[i][0]]) n[defaults[i][0]] = defaults[i][1];
    if (!n[GATE_N_FEED_FORWARD]) n[GATE_N_FEED_FORWARD] = 2 * n[GATE_N_EMBEDDING];
    int32_t whole = ch_type_get(model->type)->block_elements;
    if (n[GATE_N_EMBEDDING] % whole || n[GATE_N_FEED_FORWARD] % whole)
        return file_fail(file, v->line,
                         "model \"%s\": embedding and feed_forward want multiples of %d for %s",
                         v->key, whole, ch_type_get(model->type)->name);
    if (n[GATE_N_EMBEDDING] % n[GATE_N_HEADS] || n[GATE_N_HEADS] % n[GATE_N_KV_HEADS] ||
        n[GATE_N_EMBEDDING] / n[GATE_N_HEADS] % 2)
        return file_fail(file, v->line,
                         "model \"%s\": heads must divide embedding evenly, kv_heads the heads",
                         v->key);
    return CLI_OK;
}

static int file_read_models(gate_file *file, const json_value *models) {
    int code = file_kind(file, models, "models", JSON_OBJECT);
    if (code != CLI_OK) return code;
    file->models = calloc((size_t)models->count + 1, sizeof *file->models);
    if (!file->models) return cli_no_memory();
    for (const json_value *v = models->first; v && code == CLI_OK; v = v->next)
        code = file_read_model(file, v, &file->models[file->model_count++]);
    return code;
}

// ---- gates

static int file_limit(const gate_file *file, const json_value *v, gate_spec *gate) {
    if (v->kind == JSON_NUMBER) {
        gate->limits[GATE_ANY] = v;
        return v->number >= 0 ? CLI_OK : file_fail(file, v->line, "a limit is below 0");
    }
    if (v->kind != JSON_OBJECT)
        return file_fail(file, v->line,
                         "\"limit\" wants a number, or an object with one for each "
                         "instruction set, got %s",
                         json_kind_name(v->kind));
    int code = CLI_OK;
    for (const json_value *m = v->first; m && code == CLI_OK; m = m->next) {
        char near[64];
        int32_t i = 0;
        while (i < GATE_COLUMNS && strcmp(m->key, file_levels[i]) != 0) i++;
        if (i == GATE_COLUMNS)
            return file_fail(file, m->line, "there is no instruction set \"%.40s\"%s", m->key,
                             file_near(m->key, file_levels, GATE_COLUMNS, near));
        code = file_kind(file, m, m->key, JSON_NUMBER);
        if (code == CLI_OK && m->number < 0) code = file_fail(file, m->line, "a limit is below 0");
        gate->limits[i] = m;
    }
    return code;
}

static int file_model_of(gate_file *file, const json_value *v, gate_spec *gate) {
    int code = file_kind(file, v, v->key, JSON_STRING);
    if (code != CLI_OK) return code;
    const char **names = calloc((size_t)file->model_count + 1, sizeof *names);
    if (!names) return cli_no_memory();
    for (int32_t i = 0; i < file->model_count; i++) {
        names[i] = file->models[i].name;
        if (strcmp(v->text, names[i]) == 0) gate->model = &file->models[i];
    }
    char near[64];
    file_near(v->text, names, file->model_count, near);
    free(names);
    if (gate->model) return CLI_OK;
    return file_fail(file, v->line, "there is no model \"%.40s\"%s", v->text, near);
}

static const char *const file_keys[] = {"name",  "measure", "tier", "limit",
                                        "model", "type",    "kv",   "file"};

// Reads a member of a gate; *bit: which field it is, 0 for those that every gate has.
static int file_gate_member(gate_file *file, const json_value *v, gate_spec *gate, uint32_t *bit) {
    const char *names[GATE_MEASURE_COUNT];
    int32_t i = 0;
    *bit = 0;
    for (int32_t m = 0; m < GATE_MEASURE_COUNT; m++) names[m] = file_measures[m].name;
    int key = 0;
    while (key < (int)CH_COUNT(file_keys) && strcmp(v->key, file_keys[key]) != 0) key++;
    int code = CLI_OK;
    switch (key) {
    case 0:
        gate->name = v->text;
        return file_kind(file, v, v->key, JSON_STRING);
    case 1:
        code = file_word(file, v, names, GATE_MEASURE_COUNT, &i);
        gate->measure = (gate_measure)i;
        return code;
    case 2:
        code = file_word(file, v, file_tiers, GATE_TIER_COUNT, &i);
        gate->tier = (gate_tier)i;
        return code;
    case 3:
        return file_limit(file, v, gate);
    case 4:
        *bit = F_MODEL;
        return file_model_of(file, v, gate);
    case 5:
        *bit = F_TYPE;
        return file_type(file, v, &gate->type);
    case 6:
        *bit = F_KV;
        return file_word(file, v, file_kv, (int32_t)CH_COUNT(file_kv), &gate->kv);
    case 7:
        *bit = F_FILE;
        gate->file = v->text;
        return file_kind(file, v, v->key, JSON_STRING);
    default:
        return file_any_number(file, v, gate->numbers, bit);
    }
}

// What a measure needs and was not given, as a list of names.
static int file_missing(const gate_file *file, const gate_spec *gate, uint32_t missing) {
    char list[160] = "";
    for (int32_t i = 0; i < GATE_N_COUNT + 4; i++) {
        static const char *const others[] = {"model", "type", "kv", "file"};
        if (!(missing & 1u << i)) continue;
        size_t n = strlen(list);
        snprintf(list + n, sizeof list - n, "%s\"%s\"", n ? ", " : "",
                 i < GATE_N_COUNT ? file_numbers[i].name : others[i - GATE_N_COUNT]);
    }
    return file_fail(file, gate->line, "gate \"%s\": the measure \"%s\" wants %s too", gate->name,
                     file_measures[gate->measure].name, list);
}

// Shapes that a kernel does not take.
static int file_check_shape(const gate_file *file, const gate_spec *gate) {
    const int32_t *n = gate->numbers;
    gate_measure m = gate->measure;
    int32_t whole =
        m == GATE_MATVEC || m == GATE_GEMM ? ch_type_get(gate->type)->block_elements : 1;
    if (m == GATE_QUANTIZE) whole = 32;
    if (n[GATE_N_K] % whole)
        return file_fail(file, gate->line, "gate \"%s\": k wants a multiple of %d", gate->name,
                         whole);
    if (m == GATE_MATVEC && n[GATE_N_COLUMNS] > CH_MATVEC_COLUMNS)
        return file_fail(file, gate->line, "gate \"%s\": a matvec takes at most %d columns",
                         gate->name, CH_MATVEC_COLUMNS);
    if (m == GATE_ATTENTION &&
        (n[GATE_N_HEADS] % n[GATE_N_KV_HEADS] || n[GATE_N_COLUMNS] > n[GATE_N_POSITIONS]))
        return file_fail(file, gate->line,
                         "gate \"%s\": kv_heads must divide heads, and columns (tokens) are among "
                         "the positions",
                         gate->name);
    return CLI_OK;
}

static int file_read_gate(gate_file *file, const json_value *v, gate_spec *gate) {
    static const char *const must[] = {"measure", "name", "tier"};
    uint32_t given = 0, bit = 0;
    gate->value = v;
    gate->line = v->line;
    gate->kv = -1;
    gate->numbers[GATE_N_MARGIN] = -1; // none given
    if (v->kind != JSON_OBJECT)
        return file_fail(file, v->line, "a gate wants an object, got %s", json_kind_name(v->kind));
    const json_value *name = json_member(v, "name");
    for (size_t i = 0; i < CH_COUNT(must); i++) {
        const json_value *m = json_member(v, must[i]);
        if (!m)
            return file_fail(file, v->line, "the gate \"%s\" wants \"%s\"",
                             name && name->text ? name->text : "?", must[i]);
        int code = file_gate_member(file, m, gate, &bit);
        if (code != CLI_OK) return code;
    }
    uint32_t needs = file_measures[gate->measure].needs,
             takes = needs | file_measures[gate->measure].may | F_MARGIN;
    for (const json_value *m = v->first; m; m = m->next) {
        int code = file_gate_member(file, m, gate, &bit);
        if (code != CLI_OK) return code;
        bool known = bit & takes;
        for (int key = 0; key < 4; key++) known = known || strcmp(m->key, file_keys[key]) == 0;
        if (!known) return file_unknown(file, m, takes, file_keys, (int32_t)CH_COUNT(file_keys));
        given |= bit;
    }
    if (needs & ~given) return file_missing(file, gate, needs & ~given);
    if (!(file_measures[gate->measure].tiers & 1u << gate->tier))
        return file_fail(file, gate->line, "gate \"%s\": the tier \"%s\" has no measure \"%s\"",
                         gate->name, file_tiers[gate->tier], file_measures[gate->measure].name);
    if (!json_member(v, "limit") && gate->tier != GATE_AB)
        return file_fail(file, gate->line, "the gate \"%s\" wants \"limit\"", gate->name);
    return file_check_shape(file, gate);
}

static int file_read_gates(gate_file *file, const json_value *gates) {
    int code = file_kind(file, gates, "gates", JSON_ARRAY);
    if (code != CLI_OK) return code;
    file->gates = calloc((size_t)gates->count + 1, sizeof *file->gates);
    if (!file->gates) return cli_no_memory();
    for (const json_value *v = gates->first; v && code == CLI_OK; v = v->next) {
        gate_spec *gate = &file->gates[file->gate_count++];
        code = file_read_gate(file, v, gate);
        for (const gate_spec *other = file->gates; other < gate && code == CLI_OK; other++)
            if (strcmp(other->name, gate->name) == 0)
                code = file_fail(file, gate->line, "the gate \"%s\" stands in line %d too",
                                 gate->name, other->line);
    }
    return code;
}

static int file_read(gate_file *file) {
    static const char *const keys[] = {"version", "models", "gates", "about"};
    const json_value *root = file->json.root;
    char near[64];
    if (root->kind != JSON_OBJECT)
        return file_fail(file, root->line,
                         "wanted an object with \"version\" and \"gates\", got %s",
                         json_kind_name(root->kind));
    const json_value *version = json_member(root, "version"), *models = json_member(root, "models"),
                     *gates = json_member(root, "gates");
    for (const json_value *v = root->first; v; v = v->next)
        if (strcmp(v->key, "version") && strcmp(v->key, "models") && strcmp(v->key, "gates") &&
            strcmp(v->key, "about"))
            return file_fail(file, v->line, "there is no key \"%.40s\"%s", v->key,
                             file_near(v->key, keys, (int32_t)CH_COUNT(keys), near));
    if (!version || version->kind != JSON_NUMBER || version->number < 1 || version->number > 1)
        return file_fail(file, version ? version->line : root->line, "wanted \"version\": 1");
    if (!gates) return file_fail(file, root->line, "wanted \"gates\", an array");
    int code = models ? file_read_models(file, models) : CLI_OK;
    return code == CLI_OK ? file_read_gates(file, gates) : code;
}

// ---- the file

static int file_load(gate_file *file) {
    FILE *stream = fopen(file->path, "rb");
    file->text = malloc(FILE_MOST_BYTES + 1);
    if (stream && file->text) file->bytes = fread(file->text, 1, FILE_MOST_BYTES + 1, stream);
    bool good = stream && file->text && !ferror(stream);
    if (!file->text) {
        cli_no_memory();
    } else if (!good) {
        fprintf(stderr, "chord: cannot read the gates file %s: %s\n", file->path, strerror(errno));
    } else if (file->bytes > FILE_MOST_BYTES) {
        fprintf(stderr, "chord: the gates file %s is over %d bytes long\n", file->path,
                FILE_MOST_BYTES);
        good = false;
    }
    if (stream) fclose(stream);
    return good ? CLI_OK : CLI_FAILED;
}

int gate_file_open(const char *path, gate_file *file) {
    json_error error;
    memset(file, 0, sizeof *file);
    file->path = path;
    int code = file_load(file);
    if (code == CLI_OK && !json_read(file->text, file->bytes, &file->json, &error))
        code = file_fail(file, error.line, "%s", error.message);
    if (code == CLI_OK) code = file_read(file);
    if (code != CLI_OK) gate_file_close(file);
    return code;
}

void gate_file_close(gate_file *file) {
    gate_models_close(file);
    json_free(&file->json);
    free(file->gates);
    free(file->models);
    free(file->text);
    memset(file, 0, sizeof *file);
}

char *gate_file_path(const gate_file *file, const char *path) {
    const char *slash = strrchr(file->path, '/');
    int folder = path[0] == '/' || !slash ? 0 : (int)(slash - file->path + 1);
    size_t room = (size_t)folder + strlen(path) + 1;
    char *out = malloc(room);
    if (out) snprintf(out, room, "%.*s%s", folder, file->path, path);
    return out;
}

// ---- writing

void gate_number_text(double number, char *out, size_t capacity) {
    if (number >= 1000 || floor(number) >= number)
        snprintf(out, capacity, "%.0f", number);
    else
        snprintf(out, capacity, "%.3g", number);
}

static bool file_write_edited(const gate_file *file, const gate_edit *edits, int32_t count,
                              FILE *out) {
    size_t at = 0;
    for (int32_t i = 0; i < count; i++) {
        size_t kept = edits[i].at - at;
        if (fwrite(file->text + at, 1, kept, out) != kept) return false;
        if (fputs(edits[i].text, out) == EOF) return false;
        at = edits[i].end;
    }
    return fwrite(file->text + at, 1, file->bytes - at, out) == file->bytes - at;
}

int gate_file_edit(const gate_file *file, const gate_edit *edits, int32_t count) {
    size_t room = strlen(file->path) + 8;
    char *temporary = malloc(room);
    if (!temporary) return cli_no_memory();
    snprintf(temporary, room, "%s.part", file->path);
    FILE *out = fopen(temporary, "wb");
    if (out) cli_set_temporary(temporary);
    bool good = out && file_write_edited(file, edits, count, out);
    if (out && (fflush(out) != 0 || fsync(fileno(out)) != 0)) good = false;
    int reason = errno;
    if (out && fclose(out) != 0 && good) {
        reason = errno;
        good = false;
    }
    if (good && rename(temporary, file->path) != 0) {
        reason = errno;
        good = false;
    }
    if (out && !good) remove(temporary);
    cli_set_temporary(NULL);
    if (!good)
        fprintf(stderr, "chord: cannot write the gates file %s, which stays as it was: %s\n",
                file->path, strerror(reason));
    free(temporary);
    return good ? CLI_OK : CLI_FAILED;
}
