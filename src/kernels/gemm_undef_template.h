// gemm_undef_template: ends what gemm_*_template.h and their includer defined, so that the next
// file may define it again.
#undef GM
#undef GM_TARGET
#undef GM_I
#undef GM_F
#undef GM_N
#undef GM_V
#undef GM_STRIPS
#undef GM_MAGIC
#undef GM_HALVES
#undef GM_TIMES
#undef GM_OFFSETS
#undef GM_OFFSETS16
#undef GM_VECTORS
#undef GT_COLUMNS
#undef GT_ACC_BYTES
#undef GT_SHAPES
#undef GT_TILE
#undef GT_TYPE
#undef GT_TYPE_AS
#undef GF_ROWS
#undef GF_COLUMNS
#undef GF_PARTS
#undef GF_STEPS
#undef GM_IN_REGISTER
#undef GF_BLOCK
#undef GF_TYPE
