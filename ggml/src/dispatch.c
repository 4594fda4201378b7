#include "dispatch.h"

#include "processor.h"

#include <string.h>

#define ISA(id, name, needs) extern const clipgo_kernels clipgo_kernels_##id;
#include "isa.def"
#undef ISA

static const struct {
    const clipgo_kernels *kernels;
    uint32_t needs;
} sets[] = {
#define ISA(id, name, needs) {&clipgo_kernels_##id, needs},
#include "isa.def"
#undef ISA
};

enum { SETS = sizeof sets / sizeof sets[0] };

/* The i-th best set. Where products of bfloat16 are slower than those of float32, the set that has them comes after the one
 * that it adds them to. */
static size_t ranked(size_t i, uint32_t have) {
    if (!(have & CPU_SLOW_BF16)) return i;
    if ((sets[i].needs & CPU_AVX512BF16) && i + 1 < SETS) return i + 1;
    return i > 0 && (sets[i - 1].needs & CPU_AVX512BF16) ? i - 1 : i;
}

const clipgo_kernels *dispatch_nth(uint32_t n) {
    uint32_t have = cpu_features();
    for (size_t i = 0; i < SETS; i++) {
        size_t set = ranked(i, have);
        if ((sets[set].needs & have) == sets[set].needs && n-- == 0) return sets[set].kernels;
    }
    return NULL;
}

const clipgo_kernels *dispatch_find(const char *name) {
    const clipgo_kernels *k;
    for (uint32_t i = 0; (k = dispatch_nth(i)) != NULL; i++)
        if (name[0] == '\0' || strcmp(name, k->isa) == 0) return k;
    return NULL;
}

int32_t dispatch_direct(void) { return (cpu_features() & CPU_SPARE_UNITS) != 0; }
