/* tiles.h: Intel's AMX. Eight registers hold a tile each, up to 16 rows of 64 bytes; an instruction multiplies two of them. Goes with
 * simd.h.
 *
 *   vf_of_bytes   VF_WIDTH int8
 *   half_lookup   the values of 32 low nibbles, and of the high ones
 *   vf_twice      each lane of the lower or the upper half of a vector, twice
 *   store_pairs   low, then high, rounded to bfloat16
 *   store_split   the same of two bfloat16 that add up to each
 *   vf_split      floats to three bfloat16 that add up to each
 *   tiles_shape   tiles 0 to 5, sums, and LEFT have `rows` rows, RIGHT has 16
 *   tiles_clear   gives the registers back: a system that switches threads needn't save them any more
 *   tile_load     a tile from rows of 64 bytes that lie `stride` bytes apart
 *   tile_store    and to there
 *   tile_zero     a tile to zeros
 *   tile_dot      tile sum [rows][16] of float32 += LEFT [rows][16 pairs] times RIGHT [16 pairs][16 columns], of bfloat16 pairs
 *
 * Assembly, since GCC 12 doesn't know that its own tile functions read memory. A tile's number is part of the instruction: it should
 * be a constant where it is called. */
#ifndef CLIPGO_TILES_H
#define CLIPGO_TILES_H

#include "simd.h"

enum { MOST_TILE_ROWS = 16, TILE_DEPTH = 32 /* k of a product of tiles */, SUM_TILES = 6, LEFT = 6, RIGHT = 7 };

#if defined(CLIPGO_TILES)
#define BF16_TILES 1

static inline vf vf_of_bytes(const uint8_t *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

static inline vf vf_twice(vf a, int upper) {
    const __m512i pairs = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(_mm512_add_epi32(pairs, _mm512_set1_epi32(upper ? 8 : 0)), a);
}

static inline void store_pairs(void *p, vf low, vf high) {
    _mm512_storeu_si512(p, (__m512i)_mm512_cvtne2ps_pbh(high, low));
}

/* The first 8 bits of low, then of high, and what they leave of numbers of at most 16. */
static inline void store_split(float *first, float *rest, vf low, vf high) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u);
    for (int i = 0; i < 2; i++) {
        __m512i a = _mm512_castps_si512(low), b = _mm512_castps_si512(high); /* the upper halves of both: */
        _mm512_store_si512(i == 0 ? first : rest, _mm512_ternarylogic_epi32(_mm512_srli_epi32(a, 16), upper, b, 0xf8));
        low = _mm512_sub_ps(low, _mm512_castsi512_ps(_mm512_and_si512(a, upper)));
        high = _mm512_sub_ps(high, _mm512_castsi512_ps(_mm512_and_si512(b, upper)));
    }
}

/* Three times VF_WIDTH bfloat16, `stride` apart, that add up to x: its first 8 bits, the next rounded to 8, and the rest. */
static inline void vf_split(uint16_t *to, size_t stride, vf x) {
    const __m512i upper = _mm512_set1_epi32((int)0xffff0000u), half = _mm512_set1_epi32(0x8000);
    for (int i = 0; i < 3; i++) {
        __m512i part = _mm512_castps_si512(x);
        if (i == 1) part = _mm512_add_epi32(part, half);
        part = _mm512_and_si512(part, upper);
        _mm256_storeu_si256((__m256i *)(void *)(to + (size_t)i * stride),
                            _mm512_cvtepi32_epi16(_mm512_srli_epi32(part, 16)));
        x = _mm512_sub_ps(x, _mm512_castsi512_ps(part));
    }
}

/* The values of 32 pairs of nibbles: of the low ones, and of the high ones. */
static inline void half_lookup(uint8_t *low, uint8_t *high, __m512i values, const uint8_t *codes) {
    const __m256i table = _mm512_castsi512_si256(values), all = _mm256_set1_epi8(15);
    __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)codes);
    _mm256_store_si256((__m256i *)(void *)low, _mm256_shuffle_epi8(table, _mm256_and_si256(pairs, all)));
    _mm256_store_si256((__m256i *)(void *)high,
                       _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(pairs, 4), all)));
}

#define EACH_SUM(X) X(0) X(1) X(2) X(3) X(4) X(5)
#define EACH_TILE(X) EACH_SUM(X) X(6) X(7)

#if !defined(TILES_EMULATED) /* a test for processors without has its own */
/* What LDTILECFG reads, palette 1 (Intel SDM, volume 1, 18.2). */
typedef struct tile_shapes {
    uint8_t palette, first_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_shapes;

static inline void tiles_shape(size_t rows) {
    tile_shapes shapes = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        shapes.row_bytes[i] = 64;
        shapes.rows[i] = i == RIGHT ? MOST_TILE_ROWS : (uint8_t)rows;
    }
    __asm__ volatile("ldtilecfg %0" : : "m"(shapes));
}

static inline void tiles_clear(void) { __asm__ volatile("tilerelease"); }

static inline __attribute__((always_inline)) void tile_load(const int tile, const void *from, size_t stride) {
    switch (tile) {
#define CASE(n) \
    case n: __asm__ volatile("tileloadd (%0,%1,1), %%tmm" #n : : "r"(from), "r"(stride) : "memory"); break;
        EACH_TILE(CASE)
#undef CASE
    default: break;
    }
}

static inline __attribute__((always_inline)) void tile_store(const int tile, void *to, size_t stride) {
    switch (tile) {
#define CASE(n) \
    case n: __asm__ volatile("tilestored %%tmm" #n ", (%0,%1,1)" : : "r"(to), "r"(stride) : "memory"); break;
        EACH_SUM(CASE)
#undef CASE
    default: break;
    }
}

static inline __attribute__((always_inline)) void tile_zero(const int tile) {
    switch (tile) {
#define CASE(n) \
    case n: __asm__ volatile("tilezero %%tmm" #n : :); break;
        EACH_SUM(CASE)
#undef CASE
    default: break;
    }
}

static inline __attribute__((always_inline)) void tile_dot(const int sum) {
    switch (sum) {
#define CASE(n) \
    case n: __asm__ volatile("tdpbf16ps %%tmm7, %%tmm6, %%tmm" #n : :); break;
        EACH_SUM(CASE)
#undef CASE
    default: break;
    }
}
#endif

#else
#define BF16_TILES 0
static inline void tiles_shape(size_t rows) { (void)rows; } /* never called */
static inline void tiles_clear(void) {}
static inline void vf_split(uint16_t *to, size_t stride, vf x) { (void)to, (void)stride, (void)x; }
#endif

#endif
