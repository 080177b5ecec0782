// attention_avx2: attention on vectors of 8 floats or pairs of integers; all of it is in
// attention_template.h and attention_int_template.h.
//
// Tiles of 4 queries x 16 positions (or 16 value elements): 8 accumulators, two vectors of keys or
// values, one broadcast; 6 loads for 8 multiply-adds.
#include "kv_store_int.h"
#include "simd_avx2.h"

#if CH_X86
#define V(name)   x256_##name
#define AT(name)  at256_##name
#define AT_TARGET X256_TARGET
#define AT_HOW    avx2
#define LANES     8
#define AT_BLOCK  4
#include "attention_template.h"

#define V(name)     x256_##name
#define AQ(name)    aq256_##name
#define AQ_TARGET   X256_TARGET
#define LANES       8
#define AQ_HOW      avx2
#define AQ_DOT      dot16
#define AQ_INTEGERS ch_integers__avx2
#define AQ_BLOCK    4
#include "attention_int_template.h"

#define V(name)     x256_##name
#define AQ(name)    aqvnni_##name
#define AQ_TARGET   CH_TARGET_AVXVNNI
#define LANES       8
#define AQ_HOW      avxvnni
#define AQ_DOT      dot16_vnni
#define AQ_INTEGERS ch_integers__avx2
#define AQ_BLOCK    4
#include "attention_int_template.h"
#endif
