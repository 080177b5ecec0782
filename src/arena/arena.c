// arena: see arena.h.
#include "arena.h"
#include "os.h"

#if CH_ARENA_POISON
#include <sanitizer/asan_interface.h>
#endif

CH_FN bool ch_arena_open(ch_arena *arena, size_t capacity, void *memory) {
    memset(arena, 0, sizeof *arena);
    arena->owned = memory == NULL;
    arena->base = (uint8_t *)(memory ? memory : ch_os_memory_take(capacity));
    arena->capacity = capacity;
    return arena->base != NULL;
}

CH_FN void ch_arena_close(ch_arena *arena) {
    if (!arena->base) return;
#if CH_ARENA_POISON
    __asan_unpoison_memory_region(arena->base, arena->capacity);
#endif
    if (arena->owned) ch_os_memory_release(arena->base, arena->capacity);
    memset(arena, 0, sizeof *arena);
}

CH_FN void *ch_arena_take(ch_arena *arena, size_t bytes) {
    uint64_t room = ch_arena_room(bytes);
    if (arena->sealed || room > arena->capacity - arena->used) return NULL;
    uint8_t *region = arena->base + arena->used;
    arena->used += (size_t)room;
    if (!arena->owned) memset(region, 0, bytes);
#if CH_ARENA_POISON
    __asan_poison_memory_region(region + bytes, (size_t)room - bytes);
#endif
    return region;
}

CH_FN void ch_arena_seal(ch_arena *arena) {
    arena->sealed = true;
}
