// plant: slowdowns on purpose, to prove that the gates see them. No part of any normal build.
//
// Owns: stand-ins that the linker puts in the place of functions of the library (--wrap), so that
// the library's sources hold no trace of them. The targets plant_... of CMake are the program with:
//   pass        the matrix with the most rows is multiplied twice
//   barrier     one op that had no barrier has one
//   allocation  each token takes and gives back a block
//   spin        each step takes 5 % longer
// The fifth, prefetch, is no code but the lack of it: see CMakeLists.txt.
#include "../src/engine/exec.h"

#include <stdlib.h>

#if defined(CHORD_PLANT_PASS)

// exec.c asks for a kernel and calls it, on the same thread.
static _Thread_local ch_kernel plant_kernel;
static _Thread_local ch_mm_fn *plant_mm;
static int32_t plant_rows;

const ch_kernel *__real_ch_kernel_at(int32_t i);
const ch_kernel *__wrap_ch_kernel_at(int32_t i);

static void plant_twice(const ch_mm_args *a, int32_t row0, int32_t row1) {
    if (a->rows > plant_rows) plant_rows = a->rows;
    if (a->rows == plant_rows && !a->add) plant_mm(a, row0, row1);
    plant_mm(a, row0, row1);
}

const ch_kernel *__wrap_ch_kernel_at(int32_t i) {
    const ch_kernel *kernel = __real_ch_kernel_at(i);
    if (kernel->family != CH_FAMILY_MATVEC) return kernel;
    plant_mm = (ch_mm_fn *)kernel->fn;
    plant_kernel = *kernel;
    plant_kernel.fn = (ch_any_fn *)plant_twice;
    return &plant_kernel;
}

#elif defined(CHORD_PLANT_BARRIER)

void __real_ch_graph_build(const ch_weights *weights, const ch_graph_config *config,
                           const ch_graph_size *size, ch_op *ops);
void __wrap_ch_graph_build(const ch_weights *weights, const ch_graph_config *config,
                           const ch_graph_size *size, ch_op *ops);

void __wrap_ch_graph_build(const ch_weights *weights, const ch_graph_config *config,
                           const ch_graph_size *size, ch_op *ops) {
    __real_ch_graph_build(weights, config, size, ops);
    for (int32_t i = 0; i < size->op_count; i++)
        if (!ops[i].barrier) {
            ops[i].barrier = true;
            return;
        }
}

#else

bool __real_ch_exec_step(ch_exec *exec);
bool __wrap_ch_exec_step(ch_exec *exec);

bool __wrap_ch_exec_step(ch_exec *exec) {
#if defined(CHORD_PLANT_ALLOCATION)
    void *volatile block = malloc(64);
    bool good = __real_ch_exec_step(exec);
    free(block);
#elif defined(CHORD_PLANT_SPIN)
    double begun = ch_os_seconds();
    bool good = __real_ch_exec_step(exec);
    double until = begun + 1.05 * (ch_os_seconds() - begun);
    while (ch_os_seconds() < until) ch_os_relax();
#else
#error "wanted CHORD_PLANT_PASS, _BARRIER, _ALLOCATION or _SPIN"
#endif
    return good;
}

#endif
