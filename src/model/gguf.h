// gguf: a bounded reader of GGUF files (versions 2 and 3, little-endian).
//
// Owns: the file format. Everything is checked before anything is pointed at: counts against the
// bytes left, all sums and products through ch_add and ch_mul, types, alignment, overlaps. No
// recursion; nothing allocated by itself. Refuses: what is malformed or beyond the limits below,
// with a sentence that names it and where it stands. Invariant: after ch_gguf_read every pointer
// and length in ch_gguf lies inside the file, and is never read again from the file's own numbers.
// Source of the format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#ifndef CH_GGUF_H
#define CH_GGUF_H

#include "../arena/arena.h"
#include "../arena/error.h"
#include "../kernels/kernels.h"

// Limits, far above what real files hold.
enum {
    CH_GGUF_MAX_META = 4096,
    CH_GGUF_MAX_TENSORS = 65536,
    CH_GGUF_MAX_KEY = 256, // bytes; the format allows 65535, no known key has over 64
    CH_GGUF_MAX_NAME = 64, // bytes of a tensor's name, fixed by the format
    CH_GGUF_MAX_ALIGNMENT = 1 << 20
};

typedef enum ch_gguf_kind {
    CH_GGUF_U8,
    CH_GGUF_I8,
    CH_GGUF_U16,
    CH_GGUF_I16,
    CH_GGUF_U32,
    CH_GGUF_I32,
    CH_GGUF_F32,
    CH_GGUF_BOOL,
    CH_GGUF_STRING,
    CH_GGUF_ARRAY,
    CH_GGUF_U64,
    CH_GGUF_I64,
    CH_GGUF_F64,
    CH_GGUF_KIND_COUNT
} ch_gguf_kind;

typedef struct ch_gguf_text {
    const char *at; // in the file, not NUL-terminated
    size_t bytes;
} ch_gguf_text;

typedef struct ch_gguf_meta {
    ch_gguf_text key;
    ch_gguf_kind kind;         // of the value
    ch_gguf_kind element_kind; // of an array's elements (never CH_GGUF_ARRAY), else as kind
    uint64_t count;            // elements of an array, else 1
    const uint8_t *value;      // the value, or the array's first element
    uint64_t value_bytes;      // all of it
} ch_gguf_meta;

typedef struct ch_gguf_tensor {
    char name[CH_GGUF_MAX_NAME + 1];
    ch_type type;
    int32_t dims;
    uint64_t shape[4]; // unused ones are 1
    const uint8_t *data;
    uint64_t offset; // of data in the file
    uint64_t bytes;
} ch_gguf_tensor;

typedef struct ch_gguf {
    const uint8_t *data;
    uint64_t bytes;
    uint32_t version;
    ch_gguf_meta *meta;
    int32_t meta_count;
    ch_gguf_tensor *tensors; // in the file's order
    int32_t tensor_count;
    uint32_t *tensor_index; // open-addressing hash by name, UINT32_MAX: free
    uint32_t tensor_slots;  // power of two
} ch_gguf;

// What a first pass finds: all is bounded and well formed as far as bytes go, and this is how much
// the tables take.
typedef struct ch_gguf_size {
    int32_t meta_count, tensor_count;
    uint64_t table_bytes; // sum of ch_arena_room over what ch_gguf_read takes
} ch_gguf_size;
CH_FN chord_result ch_gguf_measure(const uint8_t *data, uint64_t bytes, ch_gguf_size *size,
                                   chord_error *error);

// Fills the tables from `arena`. `size` comes from ch_gguf_measure on the same bytes.
CH_FN chord_result ch_gguf_read(const uint8_t *data, uint64_t bytes, const ch_gguf_size *size,
                                ch_arena *arena, ch_gguf *gguf, chord_error *error);

// NULL if there is none.
CH_FN const ch_gguf_meta *ch_gguf_find(const ch_gguf *gguf, const char *key);
CH_FN const ch_gguf_tensor *ch_gguf_find_tensor(const ch_gguf *gguf, const char *name);

// The number under a key, of any integer kind (a bool is not a number), if it is within low..high.
// Absent: *out keeps its value; that is an error only if `required`. Errors: FORMAT (missing, wrong
// kind, out of range: key, got, wanted).
CH_FN chord_result ch_gguf_get_int(const ch_gguf *gguf, const char *key, bool required, int64_t low,
                                   int64_t high, int64_t *out, chord_error *error);
// A finite f32 or f64 (as float) within low..high.
CH_FN chord_result ch_gguf_get_float(const ch_gguf *gguf, const char *key, bool required, float low,
                                     float high, float *out, chord_error *error);
CH_FN chord_result ch_gguf_get_bool(const ch_gguf *gguf, const char *key, bool required, bool *out,
                                    chord_error *error);
CH_FN chord_result ch_gguf_get_text(const ch_gguf *gguf, const char *key, bool required,
                                    ch_gguf_text *out, chord_error *error);

// Element i of a numeric array as int64 (integer kinds); the caller has checked kind and count.
CH_FN int64_t ch_gguf_array_int(const ch_gguf_meta *meta, uint64_t i);

// Sorts n indices by key(user, index), ascending, in place: O(n log n) whatever the input.
typedef uint64_t ch_sort_key_fn(const void *user, uint32_t index);
CH_FN void ch_sort_indices(uint32_t *indices, uint32_t n, ch_sort_key_fn *key, const void *user);

// FNV-1a over bytes, from CH_HASH_START; ch_hash_slot spreads it before it is cut to a table's
// size.
#define CH_HASH_START 2166136261u
CH_INLINE uint32_t ch_hash_byte(uint32_t hash, uint8_t byte) {
    return (hash ^ byte) * 16777619u;
}
CH_INLINE uint32_t ch_hash_slot(uint32_t hash, uint32_t slots) {
    hash ^= hash >> 15;
    hash *= 2246822519u;
    return (hash ^ hash >> 13) & (slots - 1);
}

// Slots looked at before a table is refused: far above what chance brings to a table that is at
// most half full, so that names chosen to collide cannot make a lookup slow.
enum { CH_HASH_MAX_PROBES = 256 };

CH_FN bool ch_gguf_text_is(ch_gguf_text text, const char *what);
CH_FN const char *ch_gguf_kind_name(ch_gguf_kind kind);

#endif
