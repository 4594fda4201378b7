/* act.h: activation functions on a vector, for the epilogue of a product and for the ACT op alike. */
#ifndef CLIPGO_ACT_H
#define CLIPGO_ACT_H

#include "clipgo.h"
#include "simd.h"

/* x sigmoid(z) = x / (1 + e^-z), of y = -z log2 e */
static inline vf vf_over_one_plus_exp2(vf x, vf y) {
    return vf_div(x, vf_add(vf_set1(1.0f), vf_exp2(vf_min(vf_set1(128.0f), y))));
}

/* x sigmoid(k x) */
static inline vf vf_swish(vf x, float k) { return vf_over_one_plus_exp2(x, vf_mul(x, vf_set1(-k * LOG2_E))); }

/* x Phi(x). Phi(-y) = e^(-y*y/2) t p(t) with t = 1 / (1 + 0.3 y), p fitted to 2e-8 where Phi(-y) counts; the other half
 * by symmetry. No 1 + erf, so nothing cancels for negative x. */
static inline vf vf_gelu(vf x) {
    vf one = vf_set1(1.0f), y = vf_abs(x);
    vf t = vf_div(one, vf_fma(vf_set1(0.3f), y, one));
    vf p = vf_set1(0x1.223cb6p-5f);
    p = vf_fma(p, t, vf_set1(-0x1.3e4e32p-3f));
    p = vf_fma(p, t, vf_set1(0x1.9d3fa0p-3f));
    p = vf_fma(p, t, vf_set1(-0x1.885c66p-5f));
    p = vf_fma(p, t, vf_set1(0x1.fe3722p-4f));
    p = vf_fma(p, t, vf_set1(0x1.9f756cp-4f));
    p = vf_fma(p, t, vf_set1(0x1.ed68dap-4f));
    p = vf_fma(p, t, vf_set1(0x1.ea1794p-4f));
    vf tail = vf_mul(vf_mul(p, t), vf_exp2(vf_mul(vf_mul(x, vf_set1(-0.5f * LOG2_E)), x)));
    return vf_mul(x, vf_select_lt(x, vf_zero(), tail, vf_sub(one, tail)));
}

/* 0.5 x (1 + tanh u) = x sigmoid(2u), u = sqrt(2/pi) (x + 0.044715 x^3) */
static inline vf vf_gelu_tanh(vf x) {
    vf cubic = vf_fma(vf_mul(x, x), vf_set1(0.044715f), vf_set1(1.0f));
    return vf_over_one_plus_exp2(x, vf_mul(vf_mul(x, vf_set1(-1.5957691216f * LOG2_E)), cubic));
}

/* Below 0.625 an odd polynomial, since 1 - 2 / (e^2x + 1) cancels there. */
static inline vf vf_tanh(vf x) {
    vf one = vf_set1(1.0f), s = vf_mul(x, x), y = vf_abs(x);
    vf p = vf_set1(-0x1.75e1a8p-8f);
    p = vf_fma(p, s, vf_set1(0x1.522692p-6f));
    p = vf_fma(p, s, vf_set1(-0x1.b83c58p-5f));
    p = vf_fma(p, s, vf_set1(0x1.110726p-3f));
    p = vf_fma(p, s, vf_set1(-0x1.555532p-2f));
    vf small = vf_fma(vf_mul(p, s), x, x);
    vf big = vf_sub(one, vf_mul(vf_set1(2.0f), vf_over_one_plus_exp2(one, vf_mul(y, vf_set1(2 * LOG2_E)))));
    big = vf_select_lt(x, vf_zero(), vf_sub(vf_zero(), big), big);
    return vf_select_lt(y, vf_set1(0.625f), small, big);
}

/* act is a constant at the call: the switch costs nothing once inlined into a loop per activation. */
static inline vf vf_act(vf x, int32_t act) {
    switch (act) {
    case CLIPGO_ACT_GELU: return vf_gelu(x);
    case CLIPGO_ACT_GELU_TANH: return vf_gelu_tanh(x);
    case CLIPGO_ACT_QUICK_GELU: return vf_swish(x, 1.702f);
    case CLIPGO_ACT_RELU: return vf_max(vf_zero(), x);
    case CLIPGO_ACT_SILU: return vf_swish(x, 1.0f);
    case CLIPGO_ACT_SIGMOID: return vf_over_one_plus_exp2(vf_set1(1.0f), vf_mul(x, vf_set1(-LOG2_E)));
    case CLIPGO_ACT_TANH: return vf_tanh(x);
    default: return x;
    }
}

/* Every activation, for a switch that makes each a constant. */
#define ACTS(ACT)              \
    ACT(CLIPGO_ACT_NONE)       \
    ACT(CLIPGO_ACT_GELU)       \
    ACT(CLIPGO_ACT_GELU_TANH)  \
    ACT(CLIPGO_ACT_QUICK_GELU) \
    ACT(CLIPGO_ACT_RELU)       \
    ACT(CLIPGO_ACT_SILU)       \
    ACT(CLIPGO_ACT_SIGMOID)    \
    ACT(CLIPGO_ACT_TANH)

static void act(float *dst, const float *x, size_t n, int32_t kind) {
    switch (kind) {
#define ACT(constant)                                                                  \
    case constant:                                                                     \
        for (size_t i = 0; i < n; i += VF_WIDTH) {                                     \
            size_t part = n - i < VF_WIDTH ? n - i : VF_WIDTH;                         \
            vf_store_part(dst + i, vf_act(vf_load_part(x + i, part), constant), part); \
        }                                                                              \
        break;
        ACTS(ACT)
#undef ACT
    default: break;
    }
}

#endif
