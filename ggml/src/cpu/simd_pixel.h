/* simd_pixel.h: bytes of pictures as vectors of integers. Goes with simd_int.h.
 *
 *   vi_sub        a - b, modulo 2^32
 *   vi_mla        sum + a * b, modulo 2^32
 *   vi_sar        a >> bits, the sign kept
 *   vi_clip_u8    each lane clipped to 0..255
 *   vi_load_u8    VF_WIDTH bytes
 *   vi_store_u8   VF_WIDTH bytes, clipped to 0..255
 *   vi_store_u16  the low 16 bits of each lane, which are all that it has
 *   vi_store_rgb  the low 3 bytes of each lane; up to 4 bytes behind them become anything
 *
 * Where VF_WIDTH >= 4, PIXEL_ROWS rows of a picture are side by side in a vector:
 *
 *   vx            16 bytes of each row
 *   vx_load       those from rows[r] + at on
 *   vx_order      16 indices into them, the same for each row; 0x80 stands for a zero
 *   vx_pick       the bytes that an order names, as 4 int32 of each row
 *   vx_store      the 4 int32 of row r, clipped to bytes, to rows[r] + at; the first n of them only
 */
#ifndef CLIPGO_SIMD_PIXEL_H
#define CLIPGO_SIMD_PIXEL_H

#include "simd_int.h"

#define PIXEL_ROWS (VF_WIDTH / 4)

#if CLIPGO_SIMD_AVX512

typedef __m512i vx;
static inline vi vi_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
static inline vi vi_mla(vi sum, vi a, vi b) { return _mm512_add_epi32(sum, _mm512_mullo_epi32(a, b)); }
static inline vi vi_sar(vi a, uint32_t bits) { return _mm512_sra_epi32(a, _mm_cvtsi32_si128((int)bits)); }
static inline vi vi_load_u8(const uint8_t *p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
static inline __m128i vi_clip(vi a) { return _mm512_cvtusepi32_epi8(_mm512_max_epi32(a, _mm512_setzero_si512())); }
static inline vi vi_clip_u8(vi a) {
    return _mm512_min_epi32(_mm512_max_epi32(a, _mm512_setzero_si512()), _mm512_set1_epi32(255));
}
static inline void vi_store_u8(uint8_t *p, vi a) { _mm_storeu_si128((__m128i *)(void *)p, vi_clip(a)); }
static inline void vi_store_u16(uint8_t *p, vi a) {
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(a));
}
static inline void vi_store_rgb(uint8_t *p, vi a) {
    const __m128i three_of_four = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    _mm_storeu_si128((__m128i *)(void *)p, _mm_shuffle_epi8(_mm512_extracti32x4_epi32(a, 0), three_of_four));
    _mm_storeu_si128((__m128i *)(void *)(p + 12), _mm_shuffle_epi8(_mm512_extracti32x4_epi32(a, 1), three_of_four));
    _mm_storeu_si128((__m128i *)(void *)(p + 24), _mm_shuffle_epi8(_mm512_extracti32x4_epi32(a, 2), three_of_four));
    _mm_storeu_si128((__m128i *)(void *)(p + 36), _mm_shuffle_epi8(_mm512_extracti32x4_epi32(a, 3), three_of_four));
}
static inline __m128i vx_load_row(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline vx vx_load(const uint8_t *const *rows, size_t at) {
    __m256i low =
        _mm256_inserti128_si256(_mm256_castsi128_si256(vx_load_row(rows[0] + at)), vx_load_row(rows[1] + at), 1);
    __m256i high =
        _mm256_inserti128_si256(_mm256_castsi128_si256(vx_load_row(rows[2] + at)), vx_load_row(rows[3] + at), 1);
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}
static inline vx vx_order(const uint8_t *indices) { return _mm512_broadcast_i32x4(vx_load_row(indices)); }
static inline vi vx_pick(vx x, vx order) { return _mm512_shuffle_epi8(x, order); }
static inline void vx_store(uint8_t *const *rows, size_t at, vi a, size_t n) {
    uint8_t bytes[16];
    _mm_storeu_si128((__m128i *)(void *)bytes, vi_clip(a));
    for (size_t r = 0; r < 4; r++) memcpy(rows[r] + at, bytes + 4 * r, n);
}

#elif CLIPGO_SIMD_AVX2

typedef __m256i vx;
static inline vi vi_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
static inline vi vi_mla(vi sum, vi a, vi b) { return _mm256_add_epi32(sum, _mm256_mullo_epi32(a, b)); }
static inline vi vi_sar(vi a, uint32_t bits) { return _mm256_sra_epi32(a, _mm_cvtsi32_si128((int)bits)); }
static inline vi vi_load_u8(const uint8_t *p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
/* The four bytes of each half in its first 32 bits. */
static inline __m256i vi_clip(vi a) {
    __m256i words = _mm256_packs_epi32(a, a);
    return _mm256_packus_epi16(words, words);
}
static inline void vi_store_u8(uint8_t *p, vi a) {
    __m256i bytes = vi_clip(a);
    __m128i both = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    _mm_storel_epi64((__m128i *)(void *)p, both);
}
static inline vi vi_clip_u8(vi a) {
    return _mm256_min_epi32(_mm256_max_epi32(a, _mm256_setzero_si256()), _mm256_set1_epi32(255));
}
static inline void vi_store_u16(uint8_t *p, vi a) {
    __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(a, a), 8);
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(words));
}
static inline void vi_store_rgb(uint8_t *p, vi a) {
    const __m256i three_of_four =
        _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    __m256i packed = _mm256_shuffle_epi8(a, three_of_four);
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_castsi256_si128(packed));
    _mm_storeu_si128((__m128i *)(void *)(p + 12), _mm256_extracti128_si256(packed, 1));
}
static inline __m128i vx_load_row(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
static inline vx vx_load(const uint8_t *const *rows, size_t at) {
    return _mm256_inserti128_si256(_mm256_castsi128_si256(vx_load_row(rows[0] + at)), vx_load_row(rows[1] + at), 1);
}
static inline vx vx_order(const uint8_t *indices) { return _mm256_broadcastsi128_si256(vx_load_row(indices)); }
static inline vi vx_pick(vx x, vx order) { return _mm256_shuffle_epi8(x, order); }
static inline void vx_store(uint8_t *const *rows, size_t at, vi a, size_t n) {
    __m256i bytes = vi_clip(a);
    int32_t first = _mm256_cvtsi256_si32(bytes), second = _mm_cvtsi128_si32(_mm256_extracti128_si256(bytes, 1));
    memcpy(rows[0] + at, &first, n);
    memcpy(rows[1] + at, &second, n);
}

#elif CLIPGO_SIMD_NEON

typedef uint8x16_t vx;
static inline vi vi_sub(vi a, vi b) { return vsubq_s32(a, b); }
static inline vi vi_mla(vi sum, vi a, vi b) { return vmlaq_s32(sum, a, b); }
static inline vi vi_sar(vi a, uint32_t bits) { return vshlq_s32(a, vdupq_n_s32(-(int32_t)bits)); }
static inline vi vi_load_u8(const uint8_t *p) {
    uint32_t four;
    memcpy(&four, p, 4);
    uint16x8_t words = vmovl_u8(vreinterpret_u8_u32(vdup_n_u32(four)));
    return vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(words)));
}
static inline uint32_t vi_clip(vi a) {
    uint16x4_t words = vqmovun_s32(a);
    return vget_lane_u32(vreinterpret_u32_u8(vqmovn_u16(vcombine_u16(words, words))), 0);
}
static inline vi vi_clip_u8(vi a) { return vminq_s32(vmaxq_s32(a, vdupq_n_s32(0)), vdupq_n_s32(255)); }
static inline void vi_store_u8(uint8_t *p, vi a) {
    uint32_t four = vi_clip(a);
    memcpy(p, &four, 4);
}
static inline void vi_store_u16(uint8_t *p, vi a) {
    vst1_u8(p, vreinterpret_u8_u16(vmovn_u32(vreinterpretq_u32_s32(a))));
}
static inline void vi_store_rgb(uint8_t *p, vi a) {
    static const uint8_t three_of_four[16] = {0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 255, 255, 255, 255};
    vst1q_u8(p, vqtbl1q_u8(vreinterpretq_u8_s32(a), vld1q_u8(three_of_four)));
}
static inline vx vx_load(const uint8_t *const *rows, size_t at) { return vld1q_u8(rows[0] + at); }
static inline vx vx_order(const uint8_t *indices) { return vld1q_u8(indices); }
static inline vi vx_pick(vx x, vx order) { return vreinterpretq_s32_u8(vqtbl1q_u8(x, order)); }
static inline void vx_store(uint8_t *const *rows, size_t at, vi a, size_t n) {
    uint32_t four = vi_clip(a);
    memcpy(rows[0] + at, &four, n);
}

#else

static inline vi vi_sub(vi a, vi b) { return (vi)((uint32_t)a - (uint32_t)b); }
static inline vi vi_mla(vi sum, vi a, vi b) { return (vi)((uint32_t)sum + (uint32_t)a * (uint32_t)b); }
static inline vi vi_sar(vi a, uint32_t bits) { return a >> bits; }
static inline vi vi_load_u8(const uint8_t *p) { return *p; }
static inline vi vi_clip_u8(vi a) { return a < 0 ? 0 : a > 255 ? 255 : a; }
static inline void vi_store_u8(uint8_t *p, vi a) { *p = (uint8_t)vi_clip_u8(a); }
static inline void vi_store_u16(uint8_t *p, vi a) {
    p[0] = (uint8_t)a;
    p[1] = (uint8_t)(a >> 8);
}
static inline void vi_store_rgb(uint8_t *p, vi a) {
    p[0] = (uint8_t)a;
    p[1] = (uint8_t)(a >> 8);
    p[2] = (uint8_t)(a >> 16);
}

#endif

#endif
