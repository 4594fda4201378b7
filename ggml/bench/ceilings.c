#define _POSIX_C_SOURCE 200809L
#include "ceilings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Twelve independent sums hide the latency of any of these instructions. Results go nowhere: the registers named are
 * declared clobbered. */
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

enum { SUMS = 12 };

#if defined(__x86_64__)
#define YMM_CLOBBERS                                                                                           \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", \
        "xmm13", "xmm14", "xmm15"
#define LOOP(name, zero, clear, step)                                                                               \
    static void name(uint64_t n) {                                                                                  \
        __asm__ volatile(zero TWELVE(clear) "1:\n\t" TWELVE(step) TWELVE(step) "dec %0\n\tjnz 1b\n\tvzeroupper\n\t" \
                         : "+r"(n)                                                                                  \
                         :                                                                                          \
                         : "cc", YMM_CLOBBERS);                                                                     \
    }
#define ZERO_YMM "vpxor %%xmm13, %%xmm13, %%xmm13\n\t"
#define ZERO_ZMM "vpxord %%zmm13, %%zmm13, %%zmm13\n\t"
#define CLEAR_YMM(i) "vpxor %%xmm" #i ", %%xmm" #i ", %%xmm" #i "\n\t"
#define CLEAR_ZMM(i) "vpxord %%zmm" #i ", %%zmm" #i ", %%zmm" #i "\n\t"
#define FMA_YMM(i) "vfmadd231ps %%ymm13, %%ymm13, %%ymm" #i "\n\t"
#define FMA_ZMM(i) "vfmadd231ps %%zmm13, %%zmm13, %%zmm" #i "\n\t"
#define MADD_YMM(i)                                                                                          \
    "vpmaddubsw %%ymm13, %%ymm13, %%ymm12\n\tvpmaddwd %%ymm13, %%ymm12, %%ymm12\n\tvpaddd %%ymm12, %%ymm" #i \
    ", %%ymm" #i "\n\t"
#define MADD_ZMM(i)                                                                                          \
    "vpmaddubsw %%zmm13, %%zmm13, %%zmm12\n\tvpmaddwd %%zmm13, %%zmm12, %%zmm12\n\tvpaddd %%zmm12, %%zmm" #i \
    ", %%zmm" #i "\n\t"
#define VNNI_YMM(i) "%{vex%} vpdpbusd %%ymm13, %%ymm13, %%ymm" #i "\n\t"
#define VNNI_ZMM(i) "vpdpbusd %%zmm13, %%zmm13, %%zmm" #i "\n\t"
#define BF16_ZMM(i) "vdpbf16ps %%zmm13, %%zmm13, %%zmm" #i "\n\t"
LOOP(fma_ymm, ZERO_YMM, CLEAR_YMM, FMA_YMM)
LOOP(fma_zmm, ZERO_ZMM, CLEAR_ZMM, FMA_ZMM)
LOOP(madd_ymm, ZERO_YMM, CLEAR_YMM, MADD_YMM)
LOOP(madd_zmm, ZERO_ZMM, CLEAR_ZMM, MADD_ZMM)
LOOP(vnni_ymm, ZERO_YMM, CLEAR_YMM, VNNI_YMM)
LOOP(vnni_zmm, ZERO_ZMM, CLEAR_ZMM, VNNI_ZMM)
LOOP(bf16_zmm, ZERO_ZMM, CLEAR_ZMM, BF16_ZMM)
#elif defined(__aarch64__)
#define LOOP(name, step)                                                                                          \
    static void name(uint64_t n) {                                                                                \
        __asm__ volatile(".arch armv8.6-a\n\tmovi v13.16b, #0\n\t"                                                \
                         "1:\n\t" TWELVE(step) TWELVE(step) "subs %0, %0, #1\n\tb.ne 1b\n\t"                      \
                         : "+r"(n)                                                                                \
                         :                                                                                        \
                         : "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", \
                           "v13");                                                                                \
    }
#define FMLA(i) "fmla v" #i ".4s, v13.4s, v13.4s\n\t"
#define MULL(i) "smull v12.8h, v13.8b, v13.8b\n\tsmlal2 v12.8h, v13.16b, v13.16b\n\tsadalp v" #i ".4s, v12.8h\n\t"
#define SDOT(i) "sdot v" #i ".4s, v13.16b, v13.16b\n\t"
#define SMMLA(i) "smmla v" #i ".4s, v13.16b, v13.16b\n\t"
#define BFMMLA(i) "bfmmla v" #i ".4s, v13.8h, v13.8h\n\t"
LOOP(fmla, FMLA)
LOOP(mull, MULL)
LOOP(sdot, SDOT)
LOOP(smmla, SMMLA)
LOOP(bfmmla, BFMMLA)
#endif

/* The best of several short runs: a ceiling is what the core can do undisturbed. */
static double rate(void (*loop)(uint64_t), double ops_per_step) {
    const uint64_t n = 200000;
    double best = 0;
    for (int i = 0; i < 12; i++) {
        double start = thread_seconds();
        loop(n);
        double ops = (double)n * 2 * SUMS * ops_per_step / (thread_seconds() - start);
        if (ops > best) best = ops;
    }
    return best;
}

ceilings measure_ceilings(const char *isa) {
    ceilings c = {0, 0, 0};
#if defined(__x86_64__)
    if (strncmp(isa, "avx512", 6) == 0) {
        c.f32 = rate(fma_zmm, 32);
        c.int8 = strcmp(isa, "avx512") == 0 ? rate(madd_zmm, 128) : rate(vnni_zmm, 128);
        if (strcmp(isa, "avx512bf16") == 0) c.bf16 = rate(bf16_zmm, 64);
    } else if (strncmp(isa, "avx", 3) == 0) {
        c.f32 = rate(fma_ymm, 16);
        c.int8 = strcmp(isa, "avxvnni") == 0 ? rate(vnni_ymm, 64) : rate(madd_ymm, 64);
    }
#elif defined(__aarch64__)
    if (strcmp(isa, "scalar") != 0) {
        c.f32 = rate(fmla, 8);
        c.int8 = strcmp(isa, "i8mm") == 0      ? rate(smmla, 64)
                 : strcmp(isa, "dotprod") == 0 ? rate(sdot, 32)
                                               : rate(mull, 32);
        if (strcmp(isa, "i8mm") == 0) c.bf16 = rate(bfmmla, 32);
    }
#else
    (void)isa, (void)rate;
#endif
    return c;
}

double measure_read(size_t n) {
    uint64_t *p = malloc(n), sums[8] = {0};
    double best = 0;
    if (!p) return 0;
    memset(p, 1, n);
    for (int i = 0; i < 5; i++) {
        double start = thread_seconds();
        for (size_t k = 0; k + 8 <= n / 8; k += 8)
            for (size_t j = 0; j < 8; j++) sums[j] += p[k + j];
        __asm__ volatile("" : : "r"(sums) : "memory");
        double speed = (double)n / (thread_seconds() - start);
        if (speed > best) best = speed;
    }
    free(p);
    return best;
}
