/* simde_isa.h: AVX-512, VNNI, bfloat16 and AMX instructions in plain C, by SIMDe (Debian: libsimde-dev), so that the kernels
 * of those instruction sets run on processors that lack them. A test build compiles each isa_*.c that the processor
 * doesn't run with -mavx2 -mfma -mf16c -include simde_isa.h -DCLIPGO_SIMDE_<feature>... in the place of its own flags.
 */
#ifndef CLIPGO_SIMDE_ISA_H
#define CLIPGO_SIMDE_ISA_H

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wshadow"
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/f16c.h>
#include <simde/x86/fma.h>
#pragma GCC diagnostic pop

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(CLIPGO_SIMDE_AVXVNNI)
#define __AVXVNNI__ 1
#define _mm256_dpbusd_avx_epi32(sum, a, b) simde_mm256_dpbusd_epi32(sum, a, b)
#define _mm256_dpwssd_avx_epi32(sum, a, b) simde_mm256_dpwssd_epi32(sum, a, b)
#endif

#define UNROLL
#define sum_keep(p) ((void)(p)) /* simd_int.h; a vector of SIMDe's is no register */

#if defined(CLIPGO_SIMDE_AVX512)
#define __AVX512F__ 1
#define __AVX512BW__ 1
#define __AVX512DQ__ 1
#define __AVX512VL__ 1

/* What SIMDe 0.7.4 lacks, from the instructions' definitions. */
static inline simde__m512 clipgo_cvtepi32_ps(simde__m512i a) {
    int32_t from[16];
    float to[16];
    memcpy(from, &a, 64);
    for (int i = 0; i < 16; i++) to[i] = (float)from[i];
    return simde_mm512_loadu_ps(to);
}
static inline simde__m512i clipgo_cvtps_epi32(simde__m512 a) {
    float from[16];
    int32_t to[16];
    memcpy(from, &a, 64);
    for (int i = 0; i < 16; i++) to[i] = fabsf(from[i]) < 0x1p31f ? (int32_t)nearbyintf(from[i]) : INT32_MIN;
    return simde_mm512_loadu_si512(to);
}
#define CLIPGO_WIDEN(name, vector, from_type, to_type) \
    static inline simde__m512i name(vector a) {        \
        from_type from[16];                            \
        to_type to[16];                                \
        memcpy(from, &a, sizeof from);                 \
        for (int i = 0; i < 16; i++) to[i] = from[i];  \
        return simde_mm512_loadu_si512(to);            \
    }
CLIPGO_WIDEN(clipgo_cvtepu16_epi32, __m256i, uint16_t, uint32_t)
CLIPGO_WIDEN(clipgo_cvtepu8_epi32, __m128i, uint8_t, uint32_t)
static inline __m128i clipgo_cvtusepi32_epi8(simde__m512i a) {
    uint32_t from[16];
    uint8_t to[16];
    memcpy(from, &a, 64);
    for (int i = 0; i < 16; i++) to[i] = (uint8_t)(from[i] < 255 ? from[i] : 255);
    return _mm_loadu_si128((const __m128i *)(const void *)to);
}
static inline __m256i clipgo_cvtepi32_epi16(simde__m512i a) {
    uint32_t from[16];
    uint16_t to[16];
    memcpy(from, &a, 64);
    for (int i = 0; i < 16; i++) to[i] = (uint16_t)from[i];
    return _mm256_loadu_si256((const __m256i *)(const void *)to);
}
static inline simde__m512i clipgo_sra_epi32(simde__m512i a, __m128i bits) {
    int32_t x[16];
    memcpy(x, &a, 64);
    for (int i = 0; i < 16; i++) x[i] >>= _mm_cvtsi128_si32(bits);
    return simde_mm512_loadu_si512(x);
}
static inline simde__m512 clipgo_cvtph_ps(__m256i a) {
    float to[16];
    _mm256_storeu_ps(to, _mm256_cvtph_ps(_mm256_castsi256_si128(a)));
    _mm256_storeu_ps(to + 8, _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1)));
    return simde_mm512_loadu_ps(to);
}
static inline simde__m512 clipgo_maskz_loadu_ps(unsigned mask, const void *p) {
    float to[16] = {0};
    for (unsigned i = 0; i < 16; i++)
        if (mask >> i & 1) memcpy(&to[i], (const char *)p + 4 * i, 4);
    return simde_mm512_loadu_ps(to);
}
static inline void clipgo_mask_storeu_ps(void *p, unsigned mask, simde__m512 a) {
    float from[16];
    memcpy(from, &a, 64);
    for (unsigned i = 0; i < 16; i++)
        if (mask >> i & 1) memcpy((char *)p + 4 * i, &from[i], 4);
}
static inline float clipgo_reduce_add_ps(simde__m512 a) {
    float x[16];
    memcpy(x, &a, 64);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) x[i] += x[i + n];
    return x[0];
}
static inline float clipgo_reduce_max_ps(simde__m512 a) {
    float x[16];
    memcpy(x, &a, 64);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) x[i] = x[i] > x[i + n] ? x[i] : x[i + n];
    return x[0];
}
static inline int32_t clipgo_reduce_max_epi32(simde__m512i a) {
    int32_t x[16];
    memcpy(x, &a, 64);
    for (int n = 8; n; n /= 2)
        for (int i = 0; i < n; i++) x[i] = x[i] > x[i + n] ? x[i] : x[i + n];
    return x[0];
}
static inline simde__m512d clipgo_shuffle_f64x2(simde__m512d a, simde__m512d b, int lanes) {
    double from[2][8], to[8];
    memcpy(from[0], &a, 64);
    memcpy(from[1], &b, 64);
    for (int i = 0; i < 4; i++) memcpy(to + 2 * i, from[i / 2] + 2 * (lanes >> 2 * i & 3), 16);
    return simde_mm512_loadu_pd(to);
}
#undef _mm512_madd_epi16 /* SIMDe 0.7.4 gives it the arguments of the masked one */
#define _mm512_madd_epi16(a, b) simde_mm512_madd_epi16(a, b)
#define _mm512_cvtepi32_ps(a) clipgo_cvtepi32_ps(a)
#define _mm512_cvtps_epi32(a) clipgo_cvtps_epi32(a)
#define _mm512_cvtepu16_epi32(a) clipgo_cvtepu16_epi32(a)
#define _mm512_cvtepu8_epi32(a) clipgo_cvtepu8_epi32(a)
#define _mm512_cvtusepi32_epi8(a) clipgo_cvtusepi32_epi8(a)
#define _mm512_cvtepi32_epi16(a) clipgo_cvtepi32_epi16(a)
#define _mm512_sra_epi32(a, bits) clipgo_sra_epi32(a, bits)
#define _mm512_cvtph_ps(a) clipgo_cvtph_ps(a)
#define _mm512_maskz_loadu_ps(mask, p) clipgo_maskz_loadu_ps(mask, p)
#define _mm512_mask_storeu_ps(p, mask, a) clipgo_mask_storeu_ps(p, mask, a)
#define _mm512_reduce_add_ps(a) clipgo_reduce_add_ps(a)
#define _mm512_reduce_max_ps(a) clipgo_reduce_max_ps(a)
#define _mm512_reduce_max_epi32(a) clipgo_reduce_max_epi32(a)
#undef _mm512_shuffle_f64x2
#define _mm512_shuffle_f64x2(a, b, lanes) clipgo_shuffle_f64x2(a, b, lanes)
#endif

#if defined(CLIPGO_SIMDE_AVX512VNNI)
#define __AVX512VNNI__ 1
#endif
#if defined(CLIPGO_SIMDE_AVX512BF16)
#define __AVX512BF16__ 1
static inline __m256i clipgo_cvtneps_pbh(simde__m512 a) { /* to nearest even */
    uint32_t from[16];
    uint16_t to[16];
    memcpy(from, &a, 64);
    for (int i = 0; i < 16; i++) {
        int nan = (from[i] & 0x7fffffffu) > 0x7f800000u;
        to[i] = (uint16_t)((nan ? from[i] | 0x400000u : from[i] + 0x7fffu + (from[i] >> 16 & 1)) >> 16);
    }
    return _mm256_loadu_si256((const __m256i *)(const void *)to);
}
#define _mm512_cvtneps_pbh(a) clipgo_cvtneps_pbh(a)
#endif
#if defined(CLIPGO_SIMDE_AMX)
static inline simde__m512i clipgo_cvtne2ps_pbh(simde__m512 high, simde__m512 low) {
    __m256i halves[2] = {clipgo_cvtneps_pbh(low), clipgo_cvtneps_pbh(high)};
    return simde_mm512_loadu_si512(halves);
}
#define _mm512_cvtne2ps_pbh(high, low) clipgo_cvtne2ps_pbh(high, low)
CLIPGO_WIDEN(clipgo_cvtepi8_epi32, __m128i, int8_t, int32_t)
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(a) clipgo_cvtepi8_epi32(a)

/* tiles.h's registers and what it does with them; the products are of bfloat16, subnormal ones being zero. */
#define TILES_EMULATED 1
static _Thread_local uint8_t clipgo_tiles[8][16][64];
static _Thread_local size_t clipgo_tile_rows;
static inline size_t clipgo_rows_of(int tile) { return tile == 7 ? 16 : clipgo_tile_rows; }
static inline void tiles_shape(size_t rows) {
    memset(clipgo_tiles, 0, sizeof clipgo_tiles);
    clipgo_tile_rows = rows;
}
static inline void tiles_clear(void) { clipgo_tile_rows = 0; }
static inline void tile_load(int tile, const void *from, size_t stride) {
    for (size_t r = 0; r < clipgo_rows_of(tile); r++)
        memcpy(clipgo_tiles[tile][r], (const uint8_t *)from + r * stride, 64);
}
static inline void tile_store(int tile, void *to, size_t stride) {
    for (size_t r = 0; r < clipgo_rows_of(tile); r++) memcpy((uint8_t *)to + r * stride, clipgo_tiles[tile][r], 64);
}
static inline void tile_zero(int tile) { memset(clipgo_tiles[tile], 0, sizeof clipgo_tiles[tile]); }
static inline float clipgo_bf16_at(const uint8_t *row, size_t i) {
    uint32_t bits = (uint32_t)row[2 * i + 1] << 24 | (uint32_t)row[2 * i] << 16;
    float x;
    if ((bits & 0x7f800000u) == 0) bits &= 0x80000000u;
    memcpy(&x, &bits, 4);
    return x;
}
static inline void tile_dot(int sum) {
    for (size_t r = 0; r < clipgo_tile_rows; r++)
        for (size_t c = 0; c < 16; c++) {
            float total;
            memcpy(&total, clipgo_tiles[sum][r] + 4 * c, 4);
            for (size_t k = 0; k < 32; k++)
                total += clipgo_bf16_at(clipgo_tiles[6][r], k) * clipgo_bf16_at(clipgo_tiles[7][k / 2], 2 * c + k % 2);
            memcpy(clipgo_tiles[sum][r] + 4 * c, &total, 4);
        }
}
#endif

#endif
