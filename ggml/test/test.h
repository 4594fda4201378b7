/* test.h: checks that count, and numbers that look random and never change. */
#ifndef CLIPGO_TEST_H
#define CLIPGO_TEST_H

#include <stdint.h>
#include <stdio.h>

/* Each test is a program: main runs its cases and returns test_result(). */
static int test_checks, test_failures;

#define CHECK(condition, ...)                                      \
    do {                                                           \
        test_checks++;                                             \
        if (!(condition) && ++test_failures <= 20) {               \
            printf("%s:%d: %s: ", __FILE__, __LINE__, #condition); \
            printf(__VA_ARGS__);                                   \
            printf("\n");                                          \
        }                                                          \
    } while (0)

static inline int test_result(void) {
    printf("%d checks, %d failures\n", test_checks, test_failures);
    return test_failures != 0 || test_checks == 0;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
static inline uint64_t random_bits(uint64_t *state) {
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline uint32_t random_below(uint64_t *state, uint32_t n) { return (uint32_t)(random_bits(state) % n); }

/* in (-1, 1) */
static inline float random_float(uint64_t *state) {
    return (float)((int64_t)(random_bits(state) >> 40) - (1 << 23)) / (float)(1 << 23);
}

#endif
