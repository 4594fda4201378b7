/* simd.h: a vector of floats, and what the kernels do with it, for the instruction set that this translation unit is
 * compiled for. Everything else in this folder is written once in these words.
 *
 *   vf            VF_WIDTH floats
 *   vf_load_part  the first n <= VF_WIDTH floats, zeros behind; nothing past p[n-1] is read
 *   vf_store_part the first n <= VF_WIDTH floats; nothing past p[n-1] is written
 *   vf_fma        a * b + c, rounded once where the processor can
 *   vf_fma_at     a * b[i] + c for a constant i < FACTORS: 4 on Arm, where a lane is as good a factor as a vector; else it is
 *                 1, and there is no such word
 *   vf_min, max   a < b ? a : b, a > b ? a : b: a NaN in b survives
 *   vf_max_bits   the larger of two without a sign, where a NaN is larger than all; vf_hmax_bits of all lanes
 *   vf_select_lt  a < b ? yes : no, lane by lane
 *   vf_pow2       2^n of integral n in [-126, 127]; not with AVX-512, which needs none
 *   vf_exp2       2^x for x <= 128, within 2 ulp; 0 below -125, infinity of 128, NaN of NaN.
 *                 e^x = 2^(x LOG2_E): the factor goes into one that is there anyway
 *   vf_exp2_coarse  the same within 2^-13, for what is rounded to bfloat16, whose step is 2^-8
 *   vf_transpose  VF_WIDTH vectors as the rows of a matrix: in place to its columns
 *
 * Pointers may have any alignment. CLIPGO_SCALAR, defined before, chooses plain C whatever the flags. */
#ifndef CLIPGO_SIMD_H
#define CLIPGO_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(CLIPGO_SCALAR)
#define CLIPGO_SIMD_SCALAR 1
#elif defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512DQ__) && defined(__AVX512VL__)
#define CLIPGO_SIMD_AVX512 1
#include <immintrin.h>
#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)
#define CLIPGO_SIMD_AVX2 1
#include <immintrin.h>
#elif defined(__aarch64__)
#define CLIPGO_SIMD_NEON 1
#include <arm_neon.h>
#else
#define CLIPGO_SIMD_SCALAR 1
#endif

static inline float float_of_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t bits_of_float(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* IEEE half to single, exactly: subnormals are scaled by 2^-24, infinities and NaNs keep their exponent of ones. */
static inline float f16_to_f32(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, fraction = h & 1023u, bits;
    float f;
    if (exponent == 0) {
        f = (float)fraction * 0x1p-24f;
        memcpy(&bits, &f, 4);
        bits |= sign;
    } else {
        bits = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
    }
    memcpy(&f, &bits, 4);
    return f;
}

/* Rounds to nearest even; what is too large becomes an infinity. */
static inline uint16_t f32_to_f16(float f) {
    uint32_t bits = bits_of_float(f), sign = bits >> 16 & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 255u << 23) return (uint16_t)(sign | 0x7e00u);
    /* a subnormal half: 0.5 has the ulp that it is a multiple of */
    if (rest < 113u << 23) return (uint16_t)(sign | (bits_of_float(fabsf(f) + 0.5f) - (126u << 23)));
    rest += 0xfffu + (rest >> 13 & 1u);
    return (uint16_t)(sign | (rest < 143u << 23 ? (rest - (112u << 23)) >> 13 : 0x7c00u));
}

static inline float bf16_to_f32(uint16_t h) {
    uint32_t bits = (uint32_t)h << 16;
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

/* Rounds to nearest even; a NaN stays one. */
static inline uint16_t f32_to_bf16(float f) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 64u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

#if CLIPGO_SIMD_AVX512

typedef __m512 vf;
#define VF_WIDTH 16
static inline __mmask16 vf_mask(size_t n) { return (__mmask16)((1u << n) - 1u); }
static inline vf vf_zero(void) { return _mm512_setzero_ps(); }
static inline vf vf_set1(float a) { return _mm512_set1_ps(a); }
static inline vf vf_load(const void *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(void *p, vf a) { _mm512_storeu_ps(p, a); }
static inline vf vf_load_part(const void *p, size_t n) {
    return n == VF_WIDTH ? vf_load(p) : _mm512_maskz_loadu_ps(vf_mask(n), p);
}
static inline void vf_store_part(void *p, vf a, size_t n) {
    if (n == VF_WIDTH) vf_store(p, a);
    else _mm512_mask_storeu_ps(p, vf_mask(n), a);
}
static inline vf vf_load_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline vf vf_load_bf16(const void *p) {
    __m512i w = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(w, 16));
}
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm512_abs_ps(a); }
static inline vf vf_round(vf a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf vf_select_lt(vf a, vf b, vf yes, vf no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), no, yes);
}
static inline void vf_transpose(vf r[VF_WIDTH]) {
    __m512d t[16]; /* quarters of rows and columns, then whole ones */
    for (int i = 0; i < 16; i += 4) {
        __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(r[i], r[i + 1]));
        __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(r[i], r[i + 1]));
        __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(r[i + 2], r[i + 3]));
        __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(r[i + 2], r[i + 3]));
        t[i] = _mm512_unpacklo_pd(low01, low23);
        t[i + 1] = _mm512_unpackhi_pd(low01, low23);
        t[i + 2] = _mm512_unpacklo_pd(high01, high23);
        t[i + 3] = _mm512_unpackhi_pd(high01, high23);
    }
    for (int j = 0; j < 4; j++) { /* columns j, 4 + j, 8 + j, 12 + j */
        __m512d even_low = _mm512_shuffle_f64x2(t[j], t[4 + j], 0x88),
                odd_low = _mm512_shuffle_f64x2(t[j], t[4 + j], 0xdd);
        __m512d even_high = _mm512_shuffle_f64x2(t[8 + j], t[12 + j], 0x88);
        __m512d odd_high = _mm512_shuffle_f64x2(t[8 + j], t[12 + j], 0xdd);
        r[j] = _mm512_castpd_ps(_mm512_shuffle_f64x2(even_low, even_high, 0x88));
        r[8 + j] = _mm512_castpd_ps(_mm512_shuffle_f64x2(even_low, even_high, 0xdd));
        r[4 + j] = _mm512_castpd_ps(_mm512_shuffle_f64x2(odd_low, odd_high, 0x88));
        r[12 + j] = _mm512_castpd_ps(_mm512_shuffle_f64x2(odd_low, odd_high, 0xdd));
    }
}
static inline float vf_hsum(vf a) { return _mm512_reduce_add_ps(a); }
static inline float vf_hmax(vf a) { return _mm512_reduce_max_ps(a); }
static inline vf vf_max_bits(vf a, vf b) {
    return _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b)));
}
static inline float vf_hmax_bits(vf a) {
    return float_of_bits((uint32_t)_mm512_reduce_max_epi32(_mm512_castps_si512(a)));
}

#elif CLIPGO_SIMD_AVX2

typedef __m256 vf;
#define VF_WIDTH 8
static inline __m256i vf_mask(size_t n) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes);
}
static inline vf vf_zero(void) { return _mm256_setzero_ps(); }
static inline vf vf_set1(float a) { return _mm256_set1_ps(a); }
static inline vf vf_load(const void *p) { return _mm256_loadu_ps((const float *)p); }
static inline void vf_store(void *p, vf a) { _mm256_storeu_ps((float *)p, a); }
static inline vf vf_load_part(const void *p, size_t n) {
    return n == VF_WIDTH ? vf_load(p) : _mm256_maskload_ps((const float *)p, vf_mask(n));
}
/* A masked store takes AMD's cores tens of cycles. */
static inline void vf_store_part(void *p, vf a, size_t n) {
    if (n == VF_WIDTH) vf_store(p, a);
    else _mm256_maskstore_ps((float *)p, vf_mask(n), a);
}
static inline vf vf_load_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline vf vf_load_bf16(const void *p) {
    __m256i w = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
}
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_abs(vf a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vf vf_round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
static inline vf vf_select_lt(vf a, vf b, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_LT_OQ));
}
static inline vf vf_pow2(vf n) {
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(e, 23));
}
static inline void vf_transpose(vf r[VF_WIDTH]) {
    vf t[8];
    for (int i = 0; i < 8; i += 4) {
        vf low01 = _mm256_unpacklo_ps(r[i], r[i + 1]), high01 = _mm256_unpackhi_ps(r[i], r[i + 1]);
        vf low23 = _mm256_unpacklo_ps(r[i + 2], r[i + 3]), high23 = _mm256_unpackhi_ps(r[i + 2], r[i + 3]);
        t[i] = _mm256_shuffle_ps(low01, low23, 0x44);
        t[i + 1] = _mm256_shuffle_ps(low01, low23, 0xee);
        t[i + 2] = _mm256_shuffle_ps(high01, high23, 0x44);
        t[i + 3] = _mm256_shuffle_ps(high01, high23, 0xee);
    }
    for (int j = 0; j < 4; j++) {
        r[j] = _mm256_permute2f128_ps(t[j], t[4 + j], 0x20);
        r[4 + j] = _mm256_permute2f128_ps(t[j], t[4 + j], 0x31);
    }
}
static inline float vf_hsum(vf a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
static inline float vf_hmax(vf a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
static inline vf vf_max_bits(vf a, vf b) {
    return _mm256_castsi256_ps(_mm256_max_epi32(_mm256_castps_si256(a), _mm256_castps_si256(b)));
}
static inline float vf_hmax_bits(vf a) {
    __m256i n = _mm256_castps_si256(a);
    __m128i s = _mm_max_epi32(_mm256_castsi256_si128(n), _mm256_extracti128_si256(n, 1));
    s = _mm_max_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return float_of_bits((uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(s, _mm_shuffle_epi32(s, 0xb1))));
}

#elif CLIPGO_SIMD_NEON

typedef float32x4_t vf;
#define VF_WIDTH 4
static inline vf vf_zero(void) { return vdupq_n_f32(0); }
static inline vf vf_set1(float a) { return vdupq_n_f32(a); }
static inline vf vf_load(const void *p) { return vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)p)); }
static inline void vf_store(void *p, vf a) { vst1q_u8((uint8_t *)p, vreinterpretq_u8_f32(a)); }
static inline vf vf_load_part(const void *p, size_t n) {
    float t[4] = {0, 0, 0, 0};
    if (n == VF_WIDTH) return vf_load(p);
    memcpy(t, p, n * 4);
    return vld1q_f32(t);
}
static inline void vf_store_part(void *p, vf a, size_t n) {
    float t[4];
    if (n == VF_WIDTH) {
        vf_store(p, a);
        return;
    }
    vst1q_f32(t, a);
    memcpy(p, t, n * 4);
}
static inline vf vf_load_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u8(vld1_u8((const uint8_t *)p))); }
static inline vf vf_load_bf16(const void *p) {
    return vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(vld1_u8((const uint8_t *)p)), 16));
}
static inline vf vf_add(vf a, vf b) { return vaddq_f32(a, b); }
static inline vf vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
static inline vf vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
static inline vf vf_div(vf a, vf b) { return vdivq_f32(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
#define FACTORS 4
static inline vf vf_fma_at(vf a, vf b, int i, vf c) {
    switch (i) { /* a lane is part of the instruction */
    case 0: return vfmaq_laneq_f32(c, a, b, 0);
    case 1: return vfmaq_laneq_f32(c, a, b, 1);
    case 2: return vfmaq_laneq_f32(c, a, b, 2);
    default: return vfmaq_laneq_f32(c, a, b, 3);
    }
}
static inline vf vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vf vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vf vf_abs(vf a) { return vabsq_f32(a); }
static inline vf vf_round(vf a) { return vrndnq_f32(a); }
static inline vf vf_select_lt(vf a, vf b, vf yes, vf no) { return vbslq_f32(vcltq_f32(a, b), yes, no); }
static inline vf vf_pow2(vf n) {
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23));
}
static inline void vf_transpose(vf r[VF_WIDTH]) {
    float64x2_t low01 = vreinterpretq_f64_f32(vzip1q_f32(r[0], r[1])),
                low23 = vreinterpretq_f64_f32(vzip1q_f32(r[2], r[3]));
    float64x2_t high01 = vreinterpretq_f64_f32(vzip2q_f32(r[0], r[1])),
                high23 = vreinterpretq_f64_f32(vzip2q_f32(r[2], r[3]));
    r[0] = vreinterpretq_f32_f64(vzip1q_f64(low01, low23));
    r[1] = vreinterpretq_f32_f64(vzip2q_f64(low01, low23));
    r[2] = vreinterpretq_f32_f64(vzip1q_f64(high01, high23));
    r[3] = vreinterpretq_f32_f64(vzip2q_f64(high01, high23));
}
static inline float vf_hsum(vf a) { return vaddvq_f32(a); }
static inline float vf_hmax(vf a) { return vmaxvq_f32(a); }
static inline vf vf_max_bits(vf a, vf b) {
    return vreinterpretq_f32_u32(vmaxq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}
static inline float vf_hmax_bits(vf a) { return float_of_bits(vmaxvq_u32(vreinterpretq_u32_f32(a))); }

#else

typedef float vf;
#define VF_WIDTH 1
static inline vf vf_zero(void) { return 0; }
static inline vf vf_set1(float a) { return a; }
static inline vf vf_load(const void *p) {
    vf a;
    memcpy(&a, p, sizeof a);
    return a;
}
static inline void vf_store(void *p, vf a) { memcpy(p, &a, sizeof a); }
static inline vf vf_load_part(const void *p, size_t n) { return n ? vf_load(p) : 0; }
static inline void vf_store_part(void *p, vf a, size_t n) {
    if (n) vf_store(p, a);
}
static inline vf vf_load_f16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return f16_to_f32(h);
}
static inline vf vf_load_bf16(const void *p) {
    uint16_t h;
    memcpy(&h, p, sizeof h);
    return bf16_to_f32(h);
}
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_div(vf a, vf b) { return a / b; }
static inline vf vf_fma(vf a, vf b, vf c) { return a * b + c; }
static inline vf vf_min(vf a, vf b) { return a < b ? a : b; }
static inline vf vf_max(vf a, vf b) { return a > b ? a : b; }
static inline vf vf_abs(vf a) { return fabsf(a); }
/* Adding 1.5 * 2^23 leaves no bits for a fraction; beyond 2^22 there are none to lose. */
static inline vf vf_round(vf a) {
    float shifted = a + 0x1.8p23f;
    return fabsf(a) < 0x1p22f ? shifted - 0x1.8p23f : a;
}
static inline vf vf_select_lt(vf a, vf b, vf yes, vf no) { return a < b ? yes : no; }
static inline vf vf_pow2(vf n) {
    uint32_t bits = n >= -126 && n <= 127 ? (uint32_t)((int32_t)n + 127) << 23 : 0;
    memcpy(&n, &bits, sizeof n);
    return n;
}
static inline void vf_transpose(vf r[VF_WIDTH]) { (void)r; }
static inline float vf_hsum(vf a) { return a; }
static inline float vf_hmax(vf a) { return a; }
static inline vf vf_max_bits(vf a, vf b) { return bits_of_float(a) > bits_of_float(b) ? a : b; }
static inline float vf_hmax_bits(vf a) { return a; }

#endif

#ifndef FACTORS
#define FACTORS 1
#endif

#define LOG2_E 0x1.715476p+0f

/* p 2^n; nothing is left where x, about n, is below -125: an instruction of Intel's whose result is subnormal, or would be
 * smaller still, takes 250 cycles. Elsewhere than on AVX-512 2^n is halved and p doubled, so that 2^128, which has no float,
 * is never formed. */
static inline vf vf_times_pow2(vf p, vf n, vf x) {
#if CLIPGO_SIMD_AVX512
    return _mm512_maskz_scalef_ps(_mm512_cmp_ps_mask(x, _mm512_set1_ps(-125.0f), _CMP_NLT_UQ), p, n);
#else
    return vf_select_lt(x, vf_set1(-125.0f), vf_zero(), vf_mul(vf_add(p, p), vf_pow2(vf_sub(n, vf_set1(1.0f)))));
#endif
}

/* 2^x = 2^n 2^f with n = round(x), |f| <= 1/2, and 2^f = 1 + f p(f), p fitted to 2e-9. */
static inline vf vf_exp2(vf x) {
    vf y = vf_max(vf_set1(-160.0f), x), n = vf_round(y), f = vf_sub(y, n);
    vf p = vf_set1(0x1.41fbcap-13f);
    p = vf_fma(p, f, vf_set1(0x1.5f3e58p-10f));
    p = vf_fma(p, f, vf_set1(0x1.3b2d4cp-7f));
    p = vf_fma(p, f, vf_set1(0x1.c6aee8p-5f));
    p = vf_fma(p, f, vf_set1(0x1.ebfbdcp-3f));
    p = vf_fma(p, f, vf_set1(0x1.62e430p-1f));
    p = vf_fma(p, f, vf_set1(1.0f));
    return vf_times_pow2(p, n, x);
}

/* The same with 2^f = p(f), fitted to 7.5e-5. */
static inline vf vf_exp2_coarse(vf x) {
    vf y = vf_max(vf_set1(-160.0f), x), n = vf_round(y), f = vf_sub(y, n);
    vf p = vf_set1(0x1.c3f760p-5f);
    p = vf_fma(p, f, vf_set1(0x1.f0de1ap-3f));
    p = vf_fma(p, f, vf_set1(0x1.62f31ap-1f));
    p = vf_fma(p, f, vf_set1(0x1.fff692p-1f));
    return vf_times_pow2(p, n, x);
}

#endif
