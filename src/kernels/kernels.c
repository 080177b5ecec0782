// kernels: the type table, the kernel list as an array, and CPU detection.
#include "kernels.h"
#include "../arena/os.h"

#if CH_X86
#include <cpuid.h>
#endif
#if CH_ARM64 && defined(__linux__)
#include <sys/auxv.h>
#endif

static const ch_type_info type_table[CH_TYPE_COUNT] = {
#define CH_TYPE(NAME, name, id, elements, bytes, activation)                                       \
    {#name, id, elements, bytes, CH_ACTIVATION_##activation},
#include "types.def"
#undef CH_TYPE
};

CH_FN const ch_type_info *ch_type_get(ch_type type) {
    return &type_table[type];
}

CH_FN ch_type ch_type_from_id(uint32_t id) {
    int32_t type = 0;
    while (type < CH_TYPE_COUNT && type_table[type].id != id) type++;
    return (ch_type)type;
}

static const ch_kernel kernel_list[] = {
#define CH_KERNEL(FAMILY, variant, what, how, cpu)                                                 \
    {#what "__" #how, CH_FAMILY_##FAMILY, (int32_t)(variant), (uint32_t)(cpu),                     \
     (ch_any_fn *)ch_##what##__##how},
#include "kernels.def"
#undef CH_KERNEL
};

CH_FN const ch_kernel *ch_kernel_at(int32_t i) {
    return &kernel_list[i];
}

CH_FN int32_t ch_kernel_count(void) {
    return (int32_t)CH_COUNT(kernel_list);
}

static const char *const family_names[CH_FAMILY_COUNT] = {
    "matvec", "gemm", "bgemm",    "quantize",  "dequantize", "rmsnorm",
    "glu",    "rope", "kv_store", "attention", "roof_read",  "roof_peak",
};

CH_FN const char *ch_family_name(ch_family family) {
    return family_names[family];
}

CH_FN int32_t ch_kernel_find(ch_family family, int32_t variant, uint32_t cpu) {
    int32_t found = -1;
    for (int32_t i = 0; i < (int32_t)CH_COUNT(kernel_list); i++) {
        const ch_kernel *kernel = &kernel_list[i];
        if (kernel->family == family && kernel->variant == variant && (kernel->cpu & ~cpu) == 0)
            found = i;
    }
    return found;
}

CH_FN int32_t ch_matvec_columns(uint32_t cpu) {
    return cpu & (CH_CPU_AVX512 | CH_CPU_AVXVNNI) ? 5 : CH_MATVEC_COLUMNS; // docs/SPEED.md
}

#if CH_X86

// The registers that the operating system saves on a context switch (XCR0), read without -mxsave.
static uint64_t read_xcr0(void) {
    uint32_t low = 0, high = 0;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

// Bit numbers: Intel SDM volume 2, CPUID leaves 1 and 7.
static uint32_t kernels_detect(void) {
    uint32_t a = 0, b = 0, c = 0, d = 0, found = 0;
    if (!__get_cpuid(1, &a, &b, &c, &d)) return 0;
    uint32_t fma_f16c_osxsave_avx = 1u << 12 | 1u << 29 | 1u << 27 | 1u << 28;
    if ((c & fma_f16c_osxsave_avx) != fma_f16c_osxsave_avx) return 0;
    uint64_t saved = read_xcr0();
    if ((saved & 0x06) != 0x06) return 0;
    uint32_t max_subleaf = 0, b7 = 0, c7 = 0, d7 = 0;
    if (!__get_cpuid_count(7, 0, &max_subleaf, &b7, &c7, &d7)) return 0;
    if ((b7 & (1u << 5)) && (b7 & (1u << 8))) found |= CH_CPU_AVX2;
    uint32_t f_dq_bw_vl = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;
    uint32_t vbmi_gfni_vnni = 1u << 1 | 1u << 8 | 1u << 11;
    if (found && (saved & 0xe6) == 0xe6 && (b7 & f_dq_bw_vl) == f_dq_bw_vl &&
        (c7 & vbmi_gfni_vnni) == vbmi_gfni_vnni)
        found |= CH_CPU_AVX512;
    if (found && max_subleaf >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        if (a & (1u << 4)) found |= CH_CPU_AVXVNNI;
        if ((found & CH_CPU_AVX512) && (a & (1u << 5))) found |= CH_CPU_AVX512BF16;
    }
    uint32_t tile_bf16 = 1u << 24 | 1u << 22;
    if ((found & CH_CPU_AVX512BF16) && (saved & 0x60000) == 0x60000 &&
        (d7 & tile_bf16) == tile_bf16 && ch_os_has_tiles())
        found |= CH_CPU_AMX;
    return found;
}

#elif CH_ARM64

static uint32_t kernels_detect(void) {
    uint32_t found = CH_CPU_NEON;
#if defined(__linux__)
    // Bits of the kernel's AT_HWCAP and AT_HWCAP2: Documentation/arch/arm64/elf_hwcaps.rst.
    if (getauxval(AT_HWCAP) & (1ul << 20)) found |= CH_CPU_DOTPROD;
    if (getauxval(AT_HWCAP2) & (1ul << 13)) found |= CH_CPU_I8MM;
#elif defined(__APPLE__)
    found |= CH_CPU_DOTPROD; // every Apple CPU that runs aarch64 macOS has it
#endif
    return found;
}

#else

static uint32_t kernels_detect(void) {
    return 0;
}

#endif

CH_FN uint32_t ch_cpu_detect(void) {
#if defined(CHORD_OPENBLAS)
    return kernels_detect() | CH_CPU_OPENBLAS;
#else
    return kernels_detect();
#endif
}

// The bits that a level leaves.
static bool kernels_level(const char *name, uint32_t *mask) {
    static const struct {
        const char *name;
        uint32_t mask;
    } levels[] = {
        {"c", 0},
        {"openblas", CH_CPU_OPENBLAS},
        {"avx2", CH_CPU_AVX2},
        {"avxvnni", CH_CPU_AVX2 | CH_CPU_AVXVNNI},
        {"avx512", CH_CPU_AVX2 | CH_CPU_AVXVNNI | CH_CPU_AVX512 | CH_CPU_AVX512BF16},
        {"amx", CH_CPU_AVX2 | CH_CPU_AVXVNNI | CH_CPU_AVX512 | CH_CPU_AVX512BF16 | CH_CPU_AMX},
        {"neon", CH_CPU_NEON},
        {"dotprod", CH_CPU_NEON | CH_CPU_DOTPROD},
        {"i8mm", CH_CPU_NEON | CH_CPU_DOTPROD | CH_CPU_I8MM},
    };
    for (size_t i = 0; i < CH_COUNT(levels); i++)
        if (strcmp(name, levels[i].name) == 0) {
            *mask = levels[i].mask;
            return true;
        }
    return false;
}

CH_FN bool ch_cpu_choose(const char *level, uint32_t *bits) {
    uint32_t mask = ~(uint32_t)CH_CPU_AMX;
    if (level && !kernels_level(level, &mask)) return false;
    if (level && (mask & CH_CPU_AMX)) (void)ch_os_allow_tiles();
    *bits = ch_cpu_detect() & mask;
    return true;
}
