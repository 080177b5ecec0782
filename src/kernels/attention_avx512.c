// attention_avx512: attention on vectors of 16 floats; all of it is attention_template.h.
//
// Tiles of 8 queries x 32 positions (or 32 value elements): 16 accumulators, two vectors of keys or
// values, one broadcast; 10 loads for 16 multiply-adds.
#include "simd_avx512.h"

#if CH_X86
CH_AVX512_BEGIN
#define V(name)   x512_##name
#define AT(name)  at512_##name
#define AT_TARGET X512_TARGET
#define AT_HOW    avx512
#define LANES     16
#define AT_BLOCK  8
#include "attention_template.h"

CH_AVX512_END
#endif
