/* every_feature.c: a processor with everything, in the place of processor.c, where instructions are emulated. */
#include "processor.h"

uint32_t cpu_features(void) { return UINT32_MAX; }

void cpu_name(char *text, size_t n) {
    if (n > 0) text[0] = '\0';
}

uint32_t cpu_count(void) { return 2; }
uint64_t cpu_l2_bytes(void) { return 0; }
