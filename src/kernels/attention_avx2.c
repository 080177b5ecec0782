// attention_avx2: attention on vectors of 8 floats; all of it is attention_template.h.
//
// Tiles of 4 queries x 16 positions (or 16 value elements): 8 accumulators, two vectors of keys or
// values, one broadcast; 6 loads for 8 multiply-adds.
#include "simd_avx2.h"

#if CH_X86
#define V(name)   x256_##name
#define AT(name)  at256_##name
#define AT_TARGET X256_TARGET
#define AT_HOW    avx2
#define LANES     8
#define AT_BLOCK  4
#include "attention_template.h"
#endif
