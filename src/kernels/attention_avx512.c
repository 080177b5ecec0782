// attention_avx512: attention on vectors of 16 floats or pairs of integers; all of it is in
// attention_template.h and attention_int_template.h.
//
// Tiles of 8 queries x 32 positions (or 32 value elements): 16 accumulators, two vectors of keys or
// values, one broadcast; 10 loads for 16 multiply-adds.
#include "kv_store_int.h"
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

#define V(name)     x512_##name
#define AQ(name)    aq512_##name
#define AQ_TARGET   X512_TARGET
#define LANES       16
#define AQ_HOW      avx512
#define AQ_DOT      dot16
#define AQ_INTEGERS ch_integers__avx512
#define AQ_BLOCK    8
#include "attention_int_template.h"

CH_AVX512_END
#endif
