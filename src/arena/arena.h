// arena: one block of memory, laid out in regions, then sealed.
//
// Owns: the block's life (its own or the caller's), the hand-out of regions in order, the seal.
// Refuses: growing, freeing a part, handing out anything once sealed.
// Invariant: ch_arena_room of the same sizes, summed, is exactly what ch_arena_take hands out.
#ifndef CH_ARENA_H
#define CH_ARENA_H

#include "base.h"

typedef struct ch_arena {
    uint8_t *base;
    size_t capacity, used;
    bool owned; // base came from the operating system, not from the caller
    bool sealed;
} ch_arena;

#if defined(__SANITIZE_ADDRESS__)
#define CH_ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CH_ARENA_POISON 1
#endif
#endif
#ifndef CH_ARENA_POISON
#define CH_ARENA_POISON 0
#endif

// Bytes that a region of this size occupies: up to the next boundary, plus a poisoned gap under
// AddressSanitizer.
CH_INLINE uint64_t ch_arena_room(uint64_t bytes) {
    return ((bytes + CH_ALIGN - 1) & ~(uint64_t)(CH_ALIGN - 1)) + (CH_ARENA_POISON ? CH_ALIGN : 0);
}

// Opens an arena of exactly `capacity` bytes: in `memory` (aligned to CH_ALIGN, at least that
// large), or, if that is NULL, from the operating system, zeroed. False when there is no memory.
CH_FN bool ch_arena_open(ch_arena *arena, size_t capacity, void *memory);
CH_FN void ch_arena_close(ch_arena *arena);

// The next region, zeroed on first use of system memory and by clearing the caller's. NULL if it
// does not fit or the arena is sealed: both are bugs of the caller, since sizes are planned.
CH_FN void *ch_arena_take(ch_arena *arena, size_t bytes);

// No region is handed out from now on.
CH_FN void ch_arena_seal(ch_arena *arena);

#endif
