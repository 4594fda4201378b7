/* simd_int.h: 8-bit dot products, in words that every instruction set has in its own way. Goes with simd.h.
 *
 *   vi         VF_WIDTH int32
 *   vw         weights: 4 consecutive k of VF_WIDTH columns, a byte each
 *   va         16 consecutive k of one row of activations, int8 in -127..127
 *   vt         a table of 16 bytes
 *   vi_set1    n in every lane
 *   vw_low, vw_high   the nibbles of each byte
 *   vw_lookup         table[code] for codes < 16
 *   vw_store, vi_store   to memory
 *
 * where INT8_DOTS, which is where a lane sums the products of 4 bytes in int32 (VNNI, Arm's dot products, plain C):
 *   vi_dot     sum + the products of w with the quad-th 4 activations. Codes are value + CODE_BIAS, of 8 bits, unsigned where
 *              the bias is not 0
 *
 * where FLOAT_SUMS, which is there and where INT8_MATRICES:
 *   vf_of_sum  a sum that began at the bits of SUM_OFFSET, as the float SUM_OFFSET + sum, where |sum| < 2^20
 *   vi_negate_float   the bits of -SUM_OFFSET from those of SUM_OFFSET, and back; where CODE_BIAS is 0
 *
 * where INT16_SUMS, which is where bytes are multiplied to pairs of sums in int16 (AVX2, AVX-512 without VNNI):
 *   vp         partial sums of products, on their way to a vi
 *   vp_start   partial sums that begin at n, |n| < 2^15
 *   vp_dot     p + the products of w, unsigned codes of at most 6 bits, with the quad-th 4 activations
 *   vp_mul     the products alone, as if p were zero
 *   vp_sum     the finished sums. Of codes of b bits it must be called after dot_run(b) dots (8 at most are asked for).
 *   vw_magnitude      |code| of signed codes of 8 bits, and
 *   vw_sign           -1 where the code is negative, else 0
 *   vi_dot_signed     sum + the products of magnitudes with 4 activations x, or -x - 1 where the sign is -1
 *   vp_minus_dot      p - the products of magnitudes with signs
 *
 *   sum_keep   makes the compiler finish a sum here: left alone it adds many in another order, and spills them
 *   loads_stay        what is loaded behind it is not loaded before it; where compilers hurry, and spill (Arm's)
 *   vf_store_i8       rounds floats in -127..127, half to even, and stores them as int8; of others, anything
 *   i8_sum            the sum of 16 int8
 */
#ifndef CLIPGO_SIMD_INT_H
#define CLIPGO_SIMD_INT_H

#include "simd.h"
#include "tiles.h"

#if CLIPGO_SIMD_AVX512 || CLIPGO_SIMD_AVX2
/* The sum of q + 128, less 16 * 128. */
static inline int32_t i8_sum(const int8_t *p) {
    __m128i biased = _mm_xor_si128(_mm_loadu_si128((const __m128i *)p), _mm_set1_epi8(-128));
    __m128i sums = _mm_sad_epu8(biased, _mm_setzero_si128());
    return _mm_cvtsi128_si32(_mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums))) - 2048;
}
#elif CLIPGO_SIMD_NEON
static inline int32_t i8_sum(const int8_t *p) { return vaddlvq_s8(vld1q_s8(p)); }
#else
static inline int32_t i8_sum(const int8_t *p) {
    int32_t sum = 0;
    for (int i = 0; i < 16; i++) sum += p[i];
    return sum;
}
#endif

#if CLIPGO_SIMD_AVX512

typedef __m512i vi;
typedef __m512i vw;
typedef __m512i vp;
typedef __m512i vt;
typedef const int8_t *va;
static inline vi vi_zero(void) { return _mm512_setzero_si512(); }
static inline vi vi_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
static inline vi vi_set1(int32_t n) { return _mm512_set1_epi32(n); }
static inline vi vi_broadcast(const void *p) {
    int32_t n;
    memcpy(&n, p, 4);
    return vi_set1(n);
}
static inline vi vi_shl(vi a, int bits) { return _mm512_sllv_epi32(a, _mm512_set1_epi32(bits)); }
static inline vf vf_from_vi(vi a) { return _mm512_cvtepi32_ps(a); }
static inline vw vw_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline vw vw_low(vw w) { return _mm512_and_si512(w, _mm512_set1_epi8(15)); }
static inline vw vw_high(vw w) { return _mm512_and_si512(_mm512_srli_epi16(w, 4), _mm512_set1_epi8(15)); }
static inline vt vt_load(const int8_t *p) { return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)p)); }
static inline vw vw_lookup(vt table, vw codes) { return _mm512_shuffle_epi8(table, codes); }
static inline va va_load(const int8_t *p) { return p; }
static inline void vf_store_i8(int8_t *p, vf a) {
    _mm_storeu_si128((__m128i *)p, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(a)));
}
static inline void vw_store(uint8_t *p, vw w) { _mm512_storeu_si512(p, w); }
static inline vf vf_of_sum(vi a) { return _mm512_castsi512_ps(a); }

#if BF16_TILES
/* no products of bytes: gemm_amx.inc */
#elif defined(__AVX512VNNI__)
#define INT8_DOTS 1
#define DIRECT_TILES 1
static inline vi vi_dot(vi sum, vw w, va a, int quad) {
    return _mm512_dpbusd_epi32(sum, w, vi_broadcast(a + 4 * quad));
}
#else
#define INT16_SUMS 1
/* Pairs of products are summed in int16: 2 * 127 * (2^b - 1) goes 8, 4 and 2 times into it for b = 4, 5 and 6. */
static inline int dot_run(int bits) { return bits <= 4 ? 8 : bits == 5 ? 4 : 2; }
static inline vp vp_start(vi n) { return _mm512_and_si512(n, _mm512_set1_epi32(0xffff)); }
#define vp_mul(w, a, quad) _mm512_maddubs_epi16(w, vi_broadcast((a) + 4 * (quad)))
static inline vp vp_dot(vp p, vw w, va a, int quad) { return _mm512_add_epi16(p, vp_mul(w, a, quad)); }
static inline vi vp_sum(vp p) { return _mm512_madd_epi16(p, _mm512_set1_epi16(1)); }
static inline vi vi_load(const uint8_t *p) { return _mm512_loadu_si512(p); }
static inline void vi_store(uint8_t *p, vi a) { _mm512_storeu_si512(p, a); }
static inline vw vw_magnitude(vw w) { return _mm512_abs_epi8(w); }
static inline vw vw_sign(vw w) { return _mm512_movm_epi8(_mm512_movepi8_mask(w)); }
static inline vp vp_minus_dot(vp p, vw magnitudes, vw signs) {
    return _mm512_sub_epi16(p, _mm512_maddubs_epi16(magnitudes, signs));
}
static inline vi vi_dot_signed(vi sum, vw magnitudes, const uint8_t *signs, const void *x) {
    __m512i signed_x = _mm512_xor_si512(vi_broadcast(x), vw_load(signs));
    return _mm512_add_epi32(sum, vp_sum(_mm512_maddubs_epi16(magnitudes, signed_x)));
}
#endif

#elif CLIPGO_SIMD_AVX2

typedef __m256i vi;
typedef __m256i vw;
typedef __m256i vp;
typedef __m256i vt;
typedef const int8_t *va;
static inline vi vi_zero(void) { return _mm256_setzero_si256(); }
static inline vi vi_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
static inline vi vi_set1(int32_t n) { return _mm256_set1_epi32(n); }
static inline vi vi_broadcast(const void *p) {
    int32_t n;
    memcpy(&n, p, 4);
    return vi_set1(n);
}
static inline vi vi_shl(vi a, int bits) { return _mm256_slli_epi32(a, bits); }
static inline vf vf_from_vi(vi a) { return _mm256_cvtepi32_ps(a); }
static inline vw vw_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline vw vw_low(vw w) { return _mm256_and_si256(w, _mm256_set1_epi8(15)); }
static inline vw vw_high(vw w) { return _mm256_and_si256(_mm256_srli_epi16(w, 4), _mm256_set1_epi8(15)); }
static inline vt vt_load(const int8_t *p) { return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)p)); }
static inline vw vw_lookup(vt table, vw codes) { return _mm256_shuffle_epi8(table, codes); }
static inline va va_load(const int8_t *p) { return p; }
static inline void vf_store_i8(int8_t *p, vf a) {
    __m256i n = _mm256_cvtps_epi32(a);
    __m128i half = _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
    _mm_storel_epi64((__m128i *)p, _mm_packs_epi16(half, half));
}
static inline void vw_store(uint8_t *p, vw w) { _mm256_storeu_si256((__m256i *)p, w); }
static inline vf vf_of_sum(vi a) { return _mm256_castsi256_ps(a); }

#if defined(__AVXVNNI__)
#define INT8_DOTS 1
static inline vi vi_dot(vi sum, vw w, va a, int quad) {
    return _mm256_dpbusd_avx_epi32(sum, w, vi_broadcast(a + 4 * quad));
}
#else
#define INT16_SUMS 1
/* Pairs of products are summed in int16: 2 * 127 * (2^b - 1) goes 8, 4 and 2 times into it for b = 4, 5 and 6. */
static inline int dot_run(int bits) { return bits <= 4 ? 8 : bits == 5 ? 4 : 2; }
static inline vp vp_start(vi n) { return _mm256_and_si256(n, _mm256_set1_epi32(0xffff)); }
#define vp_mul(w, a, quad) _mm256_maddubs_epi16(w, vi_broadcast((a) + 4 * (quad)))
static inline vp vp_dot(vp p, vw w, va a, int quad) {
    __m256i products = vp_mul(w, a, quad);
    __asm__("vpaddw %1, %0, %0" : "+x"(p) : "x"(products)); /* in place: left alone, GCC moves every sum about */
    return p;
}
static inline vi vp_sum(vp p) { return _mm256_madd_epi16(p, _mm256_set1_epi16(1)); }
static inline vi vi_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)p); }
static inline void vi_store(uint8_t *p, vi a) { _mm256_storeu_si256((__m256i *)p, a); }
static inline vw vw_magnitude(vw w) { return _mm256_abs_epi8(w); }
static inline vw vw_sign(vw w) { return _mm256_cmpgt_epi8(_mm256_setzero_si256(), w); }
static inline vp vp_minus_dot(vp p, vw magnitudes, vw signs) {
    return _mm256_sub_epi16(p, _mm256_maddubs_epi16(magnitudes, signs));
}
static inline vi vi_dot_signed(vi sum, vw magnitudes, const uint8_t *signs, const void *x) {
    __m256i signed_x, products;
    /* the signs from memory each time: there is no register for them */
    __asm__("vpxor %2, %1, %0" : "=x"(signed_x) : "x"(vi_broadcast(x)), "m"(*(const __m256i *)(const void *)signs));
    products = vp_sum(_mm256_maddubs_epi16(magnitudes, signed_x));
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
    return sum;
}
#endif

#elif CLIPGO_SIMD_NEON

typedef int32x4_t vi;
typedef uint8x16_t vw;
typedef uint8x16_t vt;
typedef int8x16_t va;
static inline vi vi_zero(void) { return vdupq_n_s32(0); }
static inline vi vi_add(vi a, vi b) { return vaddq_s32(a, b); }
static inline vi vi_set1(int32_t n) { return vdupq_n_s32(n); }
static inline vi vi_shl(vi a, int bits) { return vshlq_s32(a, vdupq_n_s32(bits)); }
static inline vf vf_from_vi(vi a) { return vcvtq_f32_s32(a); }
static inline vw vw_load(const uint8_t *p) { return vld1q_u8(p); }
static inline vw vw_low(vw w) { return vandq_u8(w, vdupq_n_u8(15)); }
static inline vw vw_high(vw w) { return vshrq_n_u8(w, 4); }
static inline vt vt_load(const int8_t *p) { return vreinterpretq_u8_s8(vld1q_s8(p)); }
static inline vw vw_lookup(vt table, vw codes) { return vqtbl1q_u8(table, codes); }
static inline va va_load(const int8_t *p) { return vld1q_s8(p); }
static inline void vf_store_i8(int8_t *p, vf a) {
    int16x4_t half = vmovn_s32(vcvtnq_s32_f32(a));
    int8x8_t bytes = vmovn_s16(vcombine_s16(half, half));
    vst1_lane_u32((uint32_t *)(void *)p, vreinterpret_u32_s8(bytes), 0);
}
static inline void vw_store(uint8_t *p, vw w) { vst1q_u8(p, w); }
static inline vf vf_of_sum(vi a) { return vreinterpretq_f32_s32(a); }
static inline vi vi_negate_float(vi a) { return veorq_s32(a, vdupq_n_s32(INT32_MIN)); }
#if defined(__ARM_FEATURE_DOTPROD) && !defined(__ARM_FEATURE_MATMUL_INT8)
#define INT8_DOTS 1
static inline vi vi_dot(vi sum, vw w, va a, int quad) {
    int8x16_t b = vreinterpretq_s8_u8(w);
    switch (quad) { /* a lane is part of the instruction */
    case 0: return vdotq_laneq_s32(sum, b, a, 0);
    case 1: return vdotq_laneq_s32(sum, b, a, 1);
    case 2: return vdotq_laneq_s32(sum, b, a, 2);
    default: return vdotq_laneq_s32(sum, b, a, 3);
    }
}
#endif

#else

typedef int32_t vi;
typedef const int8_t *vt;
typedef struct vw {
    uint8_t b[4];
} vw;
typedef const int8_t *va;
static inline vi vi_zero(void) { return 0; }
static inline vi vi_add(vi a, vi b) { return (vi)((uint32_t)a + (uint32_t)b); }
static inline vi vi_set1(int32_t n) { return n; }
static inline vi vi_shl(vi a, int bits) { return (vi)((uint32_t)a << bits); }
static inline vf vf_from_vi(vi a) { return (float)a; }
static inline vw vw_load(const uint8_t *p) {
    vw w;
    memcpy(w.b, p, 4);
    return w;
}
static inline vw vw_low(vw w) {
    for (int i = 0; i < 4; i++) w.b[i] &= 15;
    return w;
}
static inline vw vw_high(vw w) {
    for (int i = 0; i < 4; i++) w.b[i] >>= 4;
    return w;
}
static inline vt vt_load(const int8_t *p) { return p; }
static inline vw vw_lookup(vt table, vw codes) {
    for (int i = 0; i < 4; i++) codes.b[i] = (uint8_t)table[codes.b[i]];
    return codes;
}
static inline va va_load(const int8_t *p) { return p; }
static inline void vf_store_i8(int8_t *p, vf a) { *p = fabsf(a) <= 127.5f ? (int8_t)vf_round(a) : 0; }
static inline void vw_store(uint8_t *p, vw w) { memcpy(p, w.b, 4); }
#define INT8_DOTS 1
#define SUM_OFFSET 0.0f
static inline vf vf_of_sum(vi a) { return (float)a; }
static inline vi vi_negate_float(vi a) { return a; } /* 0 */
static inline vi vi_dot(vi sum, vw w, va a, int quad) {
    for (int i = 0; i < 4; i++) sum += (int8_t)w.b[i] * a[4 * quad + i];
    return sum;
}

#endif

#if !defined(sum_keep) /* tests that emulate an instruction set have no registers of its own */
#if CLIPGO_SIMD_AVX512
#define sum_keep(p) __asm__("" : "+v"(p))
#elif CLIPGO_SIMD_NEON
#define sum_keep(p) __asm__("" : "+w"(p))
#elif CLIPGO_SIMD_AVX2 && defined(__AVXVNNI__)
#define sum_keep(p) __asm__("" : "+x"(p))
#else
#define sum_keep(p) ((void)(p)) /* AVX2's additions are kept as they are already */
#endif
#endif

static inline void loads_stay(void) {
#if CLIPGO_SIMD_NEON
    __asm__ volatile("" ::: "memory");
#endif
}

#ifndef INT8_DOTS
#define INT8_DOTS 0
#endif
#ifndef DIRECT_TILES
#define DIRECT_TILES 0
#endif
#ifndef INT16_SUMS
#define INT16_SUMS 0
#endif

#ifndef SUM_OFFSET
#define SUM_OFFSET 0x1.2p23f
#endif

/* Where int8 are multiplied as matrices, 2 x 8 by 8 x 2 (INT8_MATRICES), or 8 pairs at a time (INT8_PAIRS), 8 k of a column
 * lie side by side; the 2 that a tile of bfloat16 has side by side; else the 4 that a lane of a dot product sums. */
#if CLIPGO_SIMD_NEON && defined(__ARM_FEATURE_MATMUL_INT8)
#define INT8_MATRICES 1
#define INT8_PAIRS 0
#elif CLIPGO_SIMD_NEON && !defined(__ARM_FEATURE_DOTPROD)
#define INT8_MATRICES 0
#define INT8_PAIRS 1
#else
#define INT8_MATRICES 0
#define INT8_PAIRS 0
#endif
#define LANE_K (BF16_TILES ? 2 : INT8_MATRICES || INT8_PAIRS ? 8 : 4)

/* Do sums begin at the bits of a float? (gemm_stage.inc) */
#define FLOAT_SUMS (INT8_DOTS || INT8_MATRICES)

/* Are the q of every other block of a row negative x / d? (gemm_stage.inc) */
#define NEGATES_ODD (FLOAT_SUMS && SUM_OFFSET > 0)

#if INT8_DOTS && (CLIPGO_SIMD_AVX512 || CLIPGO_SIMD_AVX2)
#define CODE_BIAS 128
#else
#define CODE_BIAS 0
#endif

/* Products of bfloat16 pairs, summed in float32: f + w[2i] * x[2i] + w[2i+1] * x[2i+1] in lane i.
 * vf_pair_bf16    low[i] and high[i], rounded, as pair i
 * vf_store_bf16   VF_WIDTH floats, rounded */
#if CLIPGO_SIMD_AVX512 && defined(__AVX512BF16__)
#define BF16_STORES 1
#define SIMD_BF16 (!BF16_TILES) /* where there are tiles, VDPBF16PS is slow */
static inline vf vf_dot_bf16(vf w, vf x, vf f) { return _mm512_dpbf16_ps(f, (__m512bh)w, (__m512bh)x); }
static inline void vf_store_bf16(void *p, vf a) { _mm256_storeu_si256((__m256i *)p, (__m256i)_mm512_cvtneps_pbh(a)); }
static inline vf vf_pair_bf16(vf low, vf high) {
    __m512i l = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(low));
    __m512i h = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(high));
    return _mm512_castsi512_ps(_mm512_or_si512(l, _mm512_slli_epi32(h, 16)));
}
#elif CLIPGO_SIMD_NEON && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define BF16_STORES 1
#define SIMD_BF16 1
static inline vf vf_dot_bf16(vf w, vf x, vf f) {
    return vbfdotq_f32(f, vreinterpretq_bf16_f32(w), vreinterpretq_bf16_f32(x));
}
static inline void vf_store_bf16(void *p, vf a) { vst1_u8((uint8_t *)p, vreinterpret_u8_bf16(vcvt_bf16_f32(a))); }
static inline vf vf_pair_bf16(vf low, vf high) {
    uint16x4_t l = vreinterpret_u16_bf16(vcvt_bf16_f32(low)), h = vreinterpret_u16_bf16(vcvt_bf16_f32(high));
    return vreinterpretq_f32_u32(vorrq_u32(vmovl_u16(l), vshll_n_u16(h, 16)));
}
#else
#define BF16_STORES 0
#define SIMD_BF16 0
static inline vf vf_dot_bf16(vf w, vf x, vf f) { return (void)w, (void)x, f; } /* never called */
static inline vf vf_pair_bf16(vf low, vf high) { return (void)high, low; }
static inline void vf_store_bf16(void *p, vf a) { (void)p, (void)a; }
#endif

#if FACTORS > 1
/* The same with pair i of x in all lanes; never called without SIMD_BF16. */
static inline vf vf_dot_bf16_at(vf w, vf x, int i, vf f) {
#if SIMD_BF16
    bfloat16x8_t a = vreinterpretq_bf16_f32(w), b = vreinterpretq_bf16_f32(x);
    switch (i) {
    case 0: return vbfdotq_laneq_f32(f, a, b, 0);
    case 1: return vbfdotq_laneq_f32(f, a, b, 1);
    case 2: return vbfdotq_laneq_f32(f, a, b, 2);
    default: return vbfdotq_laneq_f32(f, a, b, 3);
    }
#else
    return (void)w, (void)x, (void)i, f;
#endif
}
#endif

/* Products of int16 pairs, summed in int32: sum + w[2i] * x[2i] + w[2i+1] * x[2i+1] in lane i. They are twice as fast as those of
 * floats, but not on AVX-512 without VNNI and on Arm.
 * vf_pair_int16    low[i] and high[i], of magnitudes below 2^15, rounded, as pair i
 * vf_store_int16   VF_WIDTH floats, rounded */
#if CLIPGO_SIMD_AVX512 && defined(__AVX512VNNI__)
#define SIMD_INT16 (!SIMD_BF16 && !BF16_TILES)
static inline vi vi_dot_int16(vi sum, vf w, vf x) {
    return _mm512_dpwssd_epi32(sum, _mm512_castps_si512(w), _mm512_castps_si512(x));
}
static inline vf vf_pair_int16(vf low, vf high) {
    __m512i l = _mm512_cvtps_epi32(low), h = _mm512_slli_epi32(_mm512_cvtps_epi32(high), 16);
    return _mm512_castsi512_ps(_mm512_mask_blend_epi16(0xaaaaaaaa, l, h));
}
static inline void vf_store_int16(void *p, vf a) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(a)));
}
#elif CLIPGO_SIMD_AVX2
#define SIMD_INT16 1
static inline vi vi_dot_int16(vi sum, vf w, vf x) {
    __m256i a = _mm256_castps_si256(w), b = _mm256_castps_si256(x);
#if defined(__AVXVNNI__)
    sum = _mm256_dpwssd_avx_epi32(sum, a, b);
#else
    __m256i products = _mm256_madd_epi16(a, b);
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products)); /* in place, as for bytes */
#endif
    return sum;
}
static inline vf vf_pair_int16(vf low, vf high) {
    __m256i l = _mm256_cvtps_epi32(low), h = _mm256_slli_epi32(_mm256_cvtps_epi32(high), 16);
    return _mm256_castsi256_ps(_mm256_blend_epi16(l, h, 0xaa));
}
static inline void vf_store_int16(void *p, vf a) {
    __m256i n = _mm256_cvtps_epi32(a);
    _mm_storeu_si128((__m128i *)p, _mm_packs_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1)));
}
#else
#define SIMD_INT16 0
static inline vi vi_dot_int16(vi sum, vf w, vf x) { return (void)w, (void)x, sum; } /* never called */
static inline vf vf_pair_int16(vf low, vf high) { return (void)high, low; }
static inline void vf_store_int16(void *p, vf a) { (void)p, (void)a; }
#endif

/* Products of int8, four of a lane: four times as fast as those of floats, or nearly.
 * vi_dot_int8     sum + the products of bytes [4i, 4i + 4) of x, int8, and of columns, which are BYTE_BIAS too large, in lane i
 * vf_quads_int8   c[4], of magnitudes up to 127: c[0][i] to c[3][i], rounded, plus BYTE_BIAS, as the bytes of lane i
 * vf_store_split  e in [0, 2^14), rounded, as bytes of e / 128 and as many of what is left, four of each in turn; where BYTE_BIAS is 0 */
#if CLIPGO_SIMD_AVX512 && defined(__AVX512VNNI__)
#define SIMD_INT8 (!BF16_TILES)
#define BYTE_BIAS 128
static inline vi vi_dot_int8(vi sum, vf x, vf columns) {
    return _mm512_dpbusd_epi32(sum, _mm512_castps_si512(columns), _mm512_castps_si512(x));
}
static inline vf vf_quads_int8(const vf c[4]) {
    __m512i even = _mm512_castps_si512(vf_pair_int16(c[0], c[2])), odd = _mm512_castps_si512(vf_pair_int16(c[1], c[3]));
    __m512i bytes = _mm512_or_si512(_mm512_and_si512(even, _mm512_set1_epi16(255)), _mm512_slli_epi16(odd, 8));
    return _mm512_castsi512_ps(_mm512_xor_si512(bytes, _mm512_set1_epi8(-128)));
}
#elif CLIPGO_SIMD_AVX2 && defined(__AVXVNNI__)
#define SIMD_INT8 1
#define BYTE_BIAS 128
static inline vi vi_dot_int8(vi sum, vf x, vf columns) {
    return _mm256_dpbusd_avx_epi32(sum, _mm256_castps_si256(columns), _mm256_castps_si256(x));
}
static inline vf vf_quads_int8(const vf c[4]) {
    __m256i even = _mm256_castps_si256(vf_pair_int16(c[0], c[2])), odd = _mm256_castps_si256(vf_pair_int16(c[1], c[3]));
    __m256i bytes = _mm256_or_si256(_mm256_and_si256(even, _mm256_set1_epi16(255)), _mm256_slli_epi16(odd, 8));
    return _mm256_castsi256_ps(_mm256_xor_si256(bytes, _mm256_set1_epi8(-128)));
}
#elif CLIPGO_SIMD_NEON && INT8_DOTS
#define SIMD_INT8 1
#define BYTE_BIAS 0
static inline vi vi_dot_int8(vi sum, vf x, vf columns) {
    return vdotq_s32(sum, vreinterpretq_s8_f32(x), vreinterpretq_s8_f32(columns));
}
static inline vf vf_quads_int8(const vf c[4]) {
    int32x4_t even = vsliq_n_s32(vcvtnq_s32_f32(c[0]), vcvtnq_s32_f32(c[2]), 16);
    int32x4_t odd = vsliq_n_s32(vcvtnq_s32_f32(c[1]), vcvtnq_s32_f32(c[3]), 16);
    return vreinterpretq_f32_s8(vtrn1q_s8(vreinterpretq_s8_s32(even), vreinterpretq_s8_s32(odd)));
}
static inline void vf_store_split(void *p, vf e) {
    int32x4_t n = vcvtnq_s32_f32(e);
    int16x8_t parts = vcombine_s16(vmovn_s32(vshrq_n_s32(n, 7)), vmovn_s32(vandq_s32(n, vdupq_n_s32(127))));
    vst1_u8((uint8_t *)p, vreinterpret_u8_s8(vmovn_s16(parts)));
}
#else
#define SIMD_INT8 0
#define BYTE_BIAS 0
static inline vi vi_dot_int8(vi sum, vf x, vf columns) { return (void)x, (void)columns, sum; } /* never called */
static inline vf vf_quads_int8(const vf *c) { return c[0]; }
#endif
#if !SIMD_INT8 || BYTE_BIAS
static inline void vf_store_split(void *p, vf e) { (void)p, (void)e; } /* never called */
#endif

#endif
