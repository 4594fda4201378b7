/* processor.h: what this processor, its system and this process's share of it can do. */
#ifndef CLIPGO_PROCESSOR_H
#define CLIPGO_PROCESSOR_H

#include <stddef.h>
#include <stdint.h>

/* Features count only where the system saves the registers that they need. */
enum {
    CPU_AVX2 = 1 << 0, /* with FMA and F16C */
    CPU_AVXVNNI = 1 << 1,
    CPU_AVX512 = 1 << 2, /* F, BW, DQ, VL */
    CPU_AVX512VNNI = 1 << 3,
    CPU_AVX512BF16 = 1 << 4,
    CPU_NEON = 1 << 5,
    CPU_DOTPROD = 1 << 6,
    CPU_I8MM = 1 << 7,        /* with BF16, as every core with the one has the other */
    CPU_SLOW_BF16 = 1 << 8,   /* AVX512BF16's products take longer than those of float32 */
    CPU_SPARE_UNITS = 1 << 9, /* for vectors of 512 bits, beside the two that multiply */
    CPU_AMX = 1 << 10         /* with BF16 and INT8, AVX512BF16, and the system's leave to use tiles */
};

uint32_t cpu_features(void);

/* The processor's name for people, NUL-terminated, at most n bytes. */
void cpu_name(char *text, size_t n);

/* The processors that this process may use: its affinity and, in a container, its CPU quota rounded up. At least 1. */
uint32_t cpu_count(void);

/* Bytes of a core's second-level cache, or 0: the system doesn't tell. */
uint64_t cpu_l2_bytes(void);

#endif
