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

const clipgo_kernels *dispatch_nth(uint32_t n) {
    uint32_t have = cpu_features();
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if ((sets[i].needs & have) == sets[i].needs && n-- == 0) return sets[i].kernels;
    return NULL;
}

const clipgo_kernels *dispatch_find(const char *name) {
    const clipgo_kernels *k;
    for (uint32_t i = 0; (k = dispatch_nth(i)) != NULL; i++)
        if (name[0] == '\0' || strcmp(name, k->isa) == 0) return k;
    return NULL;
}
