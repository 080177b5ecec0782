// checkkern: proves every kernel of the list against the family's C reference, bit for bit, and
// times it (--bench).
//
// Build: cc -std=c11 -O2 -D_GNU_SOURCE tests/checkkern.c src/cli/bench_cases.c src/arena/os.c
//   src/kernels/*.c -lm -pthread -o checkkern
// Owns: the command line and the report. Refuses: knowledge of the engine; only src/kernels is
// used, and the bench's cases.
#include "checkkern.h"
#include "checkkern_matmul.h"
#include "checkkern_vector.h"
#include "checkkern_roof.h"
#include "checkkern_bench.h"
#include "checkkern_claims.h"

static const char ck_help[] =
    "checkkern [options]: compares every kernel with its C reference, bit for bit\n"
    "  --seed N       inputs of another seed (1)\n"
    "  --cpu LEVEL    only kernels of this level: c, avx2, avxvnni, avx512, amx,\n"
    "                 neon, dotprod, i8mm\n"
    "  --only TEXT    only kernels whose name contains TEXT\n"
    "  --quick        fewer shapes, for emulators\n"
    "  --list         print the kernels and what they need\n"
    "  --sabotage     flip one bit of what each kernel writes: every kernel must then FAIL\n"
    "  --digest       print a digest of what each C reference wrote: the same numbers must come\n"
    "                 from every compiler, setting and machine\n"
    "  --bench        time the kernels instead; the C reference in cache only\n"
    "  --n N          bench: columns (gemm 512; matvec 1, 4 and 8)\n"
    "  --dram-mb N    bench: MiB of the matvec matrix in memory (256; 0: none)\n"
    "  --ms N         bench: milliseconds for each measurement (30)\n"
    "The last line of a comparison is `N passed, N failed, N skipped`; the exit status is 1 when "
    "any failed.\n";

static void ck_cpu_text(uint32_t cpu, char *text, size_t size) {
    static const struct {
        uint32_t bit;
        const char *name;
    } bits[] = {{CH_CPU_AVX2, "avx2"},       {CH_CPU_AVXVNNI, "avxvnni"},
                {CH_CPU_AVX512, "avx512"},   {CH_CPU_AVX512BF16, "avx512bf16"},
                {CH_CPU_AMX, "amx"},         {CH_CPU_NEON, "neon"},
                {CH_CPU_DOTPROD, "dotprod"}, {CH_CPU_I8MM, "i8mm"}};
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < CH_COUNT(bits); i++)
        if ((cpu & bits[i].bit) && used < size)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s", used ? "+" : "", bits[i].name);
}

static void ck_test_group(ck_group *g) {
    ck_reseed((uint64_t)g->family * 1000 + (uint64_t)g->variant);
    switch (g->family) {
    case CH_FAMILY_MATVEC:
        ck_test_matmul(g, false, false);
        break;
    case CH_FAMILY_GEMM:
        ck_test_matmul(g, true, false);
        break;
    case CH_FAMILY_BGEMM:
        ck_test_matmul(g, true, true);
        break;
    case CH_FAMILY_QUANTIZE:
        if (g->variant == CH_RECORD_Q8)
            ck_test_quantize(g);
        else
            ck_test_round(g);
        break;
    case CH_FAMILY_DEQUANTIZE:
        ck_test_dequantize(g);
        break;
    case CH_FAMILY_RMSNORM:
        ck_test_pairs(g, false);
        break;
    case CH_FAMILY_GLU:
        ck_test_pairs(g, true);
        break;
    case CH_FAMILY_ROPE:
        ck_test_rope(g);
        break;
    case CH_FAMILY_KV_STORE:
        ck_test_kv_store(g);
        break;
    case CH_FAMILY_ATTENTION:
        ck_test_attention(g);
        break;
    case CH_FAMILY_ROOF_READ:
        ck_test_roof_read(g);
        break;
    case CH_FAMILY_ROOF_PEAK:
        ck_test_roof_peak(g);
        break;
    default:
        break;
    }
}

// Gathers the selected kernels of row i's family and variant; false when row i is not the first of
// them.
static bool ck_gather(int32_t i, ck_group *g) {
    memset(g, 0, sizeof *g);
    g->family = ck_results[i].kernel->family;
    g->variant = ck_results[i].kernel->variant;
    for (int32_t j = 0; j < ch_kernel_count(); j++) {
        ck_result *k = &ck_results[j];
        if (k->kernel->family != g->family || k->kernel->variant != g->variant) continue;
        if (j < i) return false;
        if (k->kernel->cpu == 0 && !g->reference) g->reference = k;
        if (k->selected && !k->skipped && g->count < (int)CH_COUNT(g->kernels))
            g->kernels[g->count++] = k;
    }
    if (!g->reference) ck_die("a family without a C reference");
    return true;
}

static void ck_report(ck_result *k) {
    char needs[64];
    ck_cpu_text(k->kernel->cpu, needs, sizeof needs);
    if (!k->skipped && !k->failed && k->checks == 0) {
        k->failed = true;
        snprintf(k->text, sizeof k->text, "no check was made");
    }
    if (k->skipped)
        printf("skip %-32s skipped: needs %s\n", k->kernel->name, needs);
    else if (k->failed)
        printf("FAIL %-32s %s\n", k->kernel->name, k->text);
    else
        printf("ok   %-32s %lld checks\n", k->kernel->name, (long long)k->checks);
    fflush(stdout);
}

static int ck_test_all(void) {
    int passed = 0, failed = 0, skipped = 0;
    for (int32_t i = 0; i < ch_kernel_count(); i++) {
        ck_group g;
        if (!ck_gather(i, &g)) continue;
        if (g.count > 0) ck_test_group(&g);
        if (g.reference->selected) ck_test_claims(&g);
        if (ck_opt.digest && g.cases > 0)
            printf("digest %-30s %016llx\n", g.reference->kernel->name,
                   (unsigned long long)g.digest);
        for (int32_t j = i; j < ch_kernel_count(); j++) {
            ck_result *k = &ck_results[j];
            if (k->kernel->family != g.family || k->kernel->variant != g.variant) continue;
            if (!k->selected && !k->failed) continue;
            ck_report(k);
            if (k->skipped)
                skipped++;
            else if (k->failed)
                failed++;
            else
                passed++;
        }
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}

static void ck_parse(int argc, char **argv) {
    ck_opt.seed = 1;
    ck_opt.dram_mb = 256;
    ck_opt.ms = 30;
    // OpenBLAS is outside of the canon: test_openblas compares it within rounding.
    (void)ch_cpu_choose("amx", &ck_opt.cpu);
    ck_opt.cpu = ch_cpu_detect() & ~(uint32_t)CH_CPU_OPENBLAS;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        uint32_t mask = 0;
        if (strcmp(arg, "--quick") == 0) {
            ck_opt.quick = true;
        } else if (strcmp(arg, "--sabotage") == 0) {
            ck_opt.sabotage = true;
        } else if (strcmp(arg, "--list") == 0) {
            ck_opt.list = true;
        } else if (strcmp(arg, "--digest") == 0) {
            ck_opt.digest = true;
        } else if (strcmp(arg, "--bench") == 0) {
            ck_opt.bench = true;
        } else if (strcmp(arg, "--n") == 0 && value) {
            ck_opt.n = (int32_t)strtol(value, NULL, 10);
            i++;
        } else if (strcmp(arg, "--dram-mb") == 0 && value) {
            ck_opt.dram_mb = strtol(value, NULL, 10);
            i++;
        } else if (strcmp(arg, "--ms") == 0 && value) {
            ck_opt.ms = (int32_t)strtol(value, NULL, 10);
            i++;
        } else if (strcmp(arg, "--seed") == 0 && value) {
            ck_opt.seed = strtoull(value, NULL, 0);
            i++;
        } else if (strcmp(arg, "--only") == 0 && value) {
            ck_opt.only = value;
            i++;
        } else if (strcmp(arg, "--cpu") == 0 && value && ch_cpu_choose(value, &mask)) {
            ck_opt.cpu &= mask;
            i++;
        } else {
            bool help = strcmp(arg, "--help") == 0;
            fputs(ck_help, help ? stdout : stderr);
            exit(help ? 0 : 2);
        }
    }
}

int main(int argc, char **argv) {
    ck_parse(argc, argv);
    if (ch_kernel_count() > CK_MAX_KERNELS) ck_die("CK_MAX_KERNELS is too small");
    for (int32_t i = 0; i < ch_kernel_count(); i++) {
        ck_result *k = &ck_results[i];
        k->kernel = ch_kernel_at(i);
        k->selected = !ck_opt.only || strstr(k->kernel->name, ck_opt.only) != NULL;
        k->skipped = (k->kernel->cpu & ~ck_opt.cpu) != 0;
        char needs[64];
        ck_cpu_text(k->kernel->cpu, needs, sizeof needs);
        if (ck_opt.list && k->selected) printf("%-32s %s\n", k->kernel->name, needs);
    }
    if (ck_opt.list) return 0;
    if (ck_opt.bench) return ck_bench_all();
    ck_catch_signals();
    return ck_test_all();
}
