// cache: where keys and values of a KV head stand, in words of its block's cache.
//
// Keys lie in chunks of 64 positions, four elements of each position side by side, so that threads
// of neighbouring positions read neighbouring words: [chunk][element / 4][64][4]. Values are rows.
// Defines: KV_F16 (two elements a word) or not (one).
#ifdef KV_F16
#define KEY_WORDS 2u
#else
#define KEY_WORDS 4u
#endif

// Of the four elements 4 * quad .. of a position.
uint key_at(uint head, uint capacity, uint quads, uint position, uint quad) {
    return ((head * (capacity >> 6u) + (position >> 6u)) * quads + quad) * 64u + (position & 63u);
}
