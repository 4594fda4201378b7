/* test_gemm.c: every matrix product (weight type x form of activations x instruction set x odd sizes) against sums in
 * double precision. Usage: test_gemm [isa...] */
#include "kernels.h"
#include "type_vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "processor.h"

#if CLIPGO_TEST_EVERY_ISA /* under an emulator */
#define cpu_features() 0xffffffffu
#else
#define CLIPGO_TEST_EVERY_ISA 0
#endif

#define ISA(id, name, needs) extern const clipgo_kernels clipgo_kernels_##id;
#include "isa.def"
#undef ISA

static const struct {
    const clipgo_kernels *kernels;
    uint32_t needs;
} isas[] = {
#define ISA(id, name, needs) {&clipgo_kernels_##id, needs},
#include "isa.def"
#undef ISA
};

static const struct type {
    const char *name;
    uint32_t id;
    uint32_t elements, bytes;
    int32_t halves[2]; /* where a block has float16, or -1 */
    int32_t exponent;  /* where it has a power of two, or -1 */
} types[] = {
    {"f32", 0, 1, 4, {-1, -1}, -1},        {"f16", 1, 1, 2, {0, -1}, -1},       {"bf16", 30, 1, 2, {-1, -1}, -1},
    {"q4_0", 2, 32, 18, {0, -1}, -1},      {"q4_1", 3, 32, 20, {0, 2}, -1},     {"q5_0", 6, 32, 22, {0, -1}, -1},
    {"q5_1", 7, 32, 24, {0, 2}, -1},       {"q8_0", 8, 32, 34, {0, -1}, -1},    {"q2_k", 10, 256, 84, {80, 82}, -1},
    {"q3_k", 11, 256, 110, {108, -1}, -1}, {"q4_k", 12, 256, 144, {0, 2}, -1},  {"q5_k", 13, 256, 176, {0, 2}, -1},
    {"q6_k", 14, 256, 210, {208, -1}, -1}, {"iq4_nl", 20, 32, 18, {0, -1}, -1}, {"iq4_xs", 23, 256, 136, {0, -1}, -1},
    {"tq2_0", 35, 256, 66, {64, -1}, -1},  {"mxfp4", 39, 32, 17, {-1, -1}, 0},
};

static int failures;

#define CHECK(condition, ...)                                   \
    do {                                                        \
        if (!(condition)) {                                     \
            if (failures++ < 20) {                              \
                fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
                fprintf(stderr, __VA_ARGS__);                   \
                fputc('\n', stderr);                            \
            }                                                   \
        }                                                       \
    } while (0)

static uint64_t seed = 1;

static uint32_t random_bits(void) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 32);
}

static float random_float(void) { return (float)(int32_t)random_bits() * 0x1p-31f; }

static void *allocate(size_t n) {
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);
    if (!p) abort();
    memset(p, 0, (n + 127) / 64 * 64);
    return p;
}

/* Random codes; scales between 2^-6 and 2^-5, of either sign. extreme: blocks of the smallest or the largest codes, of 4 or of 8
 * bits, signed or not. */
static void random_row(uint8_t *row, const struct type *t, size_t cols, int extreme) {
    for (size_t b = 0; b < cols / t->elements; b++, row += t->bytes) {
        static const uint8_t extremes[] = {0, 255, 128, 127};
        uint8_t all = extremes[random_bits() % 4];
        for (uint32_t i = 0; i < t->bytes; i++) row[i] = extreme ? all : (uint8_t)random_bits();
        for (int i = 0; i < 2; i++)
            if (t->halves[i] >= 0) {
                row[t->halves[i]] = (uint8_t)random_bits();
                row[t->halves[i] + 1] = (uint8_t)(0x24 | (random_bits() & 0x83));
            }
        if (t->exponent >= 0) row[t->exponent] = (uint8_t)(120 + (random_bits() & 3));
        if (t->id == 0 || t->id == 30) {
            float x = random_float();
            memcpy(row, t->id ? (uint8_t *)&x + 2 : (uint8_t *)&x, t->bytes);
        }
    }
}

static double act(double x, int32_t kind) {
    switch (kind) {
    case CLIPGO_ACT_GELU: return 0.5 * x * erfc(-x * sqrt(0.5));
    case CLIPGO_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case CLIPGO_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case CLIPGO_ACT_RELU: return x > 0 ? x : 0;
    case CLIPGO_ACT_SILU: return x / (1 + exp(-x));
    case CLIPGO_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case CLIPGO_ACT_TANH: return tanh(x);
    default: return x;
    }
}

static float to_bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &bits, 4);
    return x;
}

/* What form leaves of a row of activations, worked out here anew. */
static void round_activations(float *x, size_t k, clipgo_form form) {
    size_t run = form == CLIPGO_FORM_Q8_BLOCK ? 32 : 128;
    for (size_t i = 0; i < k; i++)
        if (form == CLIPGO_FORM_BF16) x[i] = to_bf16(x[i]);
    if (form != CLIPGO_FORM_Q8 && form != CLIPGO_FORM_Q8_BLOCK) return;
    for (size_t b = 0; b < k; b += run) {
        size_t end = b + run < k ? b + run : k;
        float max = 0;
        for (size_t i = b; i < end; i++) max = fmaxf(max, fabsf(x[i]));
        for (size_t i = b; i < end; i++) x[i] = max > 0 ? max / 127 * nearbyintf(x[i] * (127 / max)) : 0;
    }
}

/* What Q8_0 leaves of a row of weights: a scale of 11 bits, no finer than 2^-24. Worked out here anew. */
static void round_weights(float *w, size_t k) {
    for (size_t b = 0; b < k; b += 32) {
        size_t end = b + 32 < k ? b + 32 : k;
        float max = 0;
        for (size_t i = b; i < end; i++) max = fmaxf(max, fabsf(w[i]));
        int exponent;
        frexp((double)max / 127, &exponent);
        double ulp = ldexp(1, exponent < -13 ? -24 : exponent - 11), scale = ulp * nearbyint((double)(max / 127) / ulp);
        for (size_t i = b; i < end; i++) w[i] = max > 0 ? (float)(scale * (double)roundf(w[i] * (1 / (max / 127)))) : 0;
    }
}

typedef struct job {
    const clipgo_kernels *isa;
    const struct type *type;
    size_t m, n, k;
    uint32_t activations;
    int extreme;
    int epilogue; /* bits: bias, scale, gate, residual */
    int32_t act;
    int32_t may_round;
} job;

enum { PAD = 3 }; /* extra elements between rows */

static void run(const job *j) {
    const clipgo_kernels *isa = j->isa;
    size_t row_bytes = j->k / j->type->elements * j->type->bytes, m = j->m, n = j->n, k = j->k, stride = n + PAD;
    clipgo_matrix w = {0};
    if (!isa->plan(&w, j->type->id, n, k, j->activations, j->may_round)) {
        CHECK(0, "%s %s: no plan for %zu x %zu", isa->isa, j->type->name, n, k);
        return;
    }
    CHECK(w.panels * w.panel_rows >= n && w.panel_bytes % 64 == 0, "%s: bad plan", isa->isa);
    uint8_t *tensor = (uint8_t *)malloc(n * row_bytes + 1) + 1; /* unaligned; not a byte more, for the sanitizer */
    for (size_t r = 0; r < n; r++) random_row(tensor + r * row_bytes, j->type, k, j->extreme);
    w.data = allocate(w.panels * w.panel_bytes);
    uint32_t cut = random_bits() % (w.panels + 1);
    isa->pack(&w, tensor, row_bytes, 0, cut);
    isa->pack(&w, tensor, row_bytes, cut, w.panels);

    float *x = malloc(m * (k + PAD) * 4), *bias = malloc(n * 4), *scale = malloc(n * 4), *weights = malloc(n * k * 4);
    float *gate = malloc(m * stride * 4), *residual = malloc(m * stride * 4), *dst = malloc(m * stride * 4);
    for (size_t i = 0; i < m * (k + PAD); i++) x[i] = j->extreme ? (i & 1 ? -2.0f : 2.0f) : 2 * random_float();
    if (j->extreme) /* rows of one sign too */
        for (size_t i = 0; i < k; i++) {
            x[i] = 2;
            if (m > 1) x[k + PAD + i] = -2;
        }
    for (size_t i = 0; i < n; i++) bias[i] = random_float(), scale[i] = random_float();
    for (size_t i = 0; i < m * stride; i++) gate[i] = random_float(), residual[i] = random_float(), dst[i] = 12345;
    for (size_t r = 0; r < n; r++) {
        isa->dequantize_row(weights + r * k, tensor + r * row_bytes, j->type->id, k);
        if (j->type->elements == 1 && w.blocks) round_weights(weights + r * k, k);
        if (w.form == CLIPGO_FORM_BF16)
            for (size_t i = 0; i < k; i++) weights[r * k + i] = to_bf16(weights[r * k + i]);
    }
    clipgo_epilogue ep = {
        .bias = j->epilogue & 1 ? bias : NULL,
        .scale = j->epilogue & 2 ? scale : NULL,
        .gate = j->epilogue & 4 ? gate : NULL,
        .residual = j->epilogue & 8 ? residual : NULL,
        .dst = dst,
        .gate_stride = stride,
        .residual_stride = stride,
        .dst_stride = stride,
        .act = j->act,
    };
    size_t prepared = isa->prepared_bytes(w.form, k);
    uint8_t *a = allocate(m * prepared);
    isa->prepare(w.form, a, x, k + PAD, m, k);
    w.direct = (int32_t)(random_bits() & 1);
    isa->gemm(&w, a, m, 0, cut, &ep);
    isa->gemm(&w, a, m, cut, w.panels, &ep);

    for (size_t r = 0; r < m; r++) {
        float *xr = x + r * (k + PAD);
        round_activations(xr, k, w.form);
        for (size_t c = 0; c < n; c++) {
            double sum = 0, size = 0;
            for (size_t i = 0; i < k; i++) {
                double p = (double)weights[c * k + i] * (double)xr[i];
                sum += p;
                size += fabs(p);
            }
            double want = act(sum + (ep.bias ? (double)bias[c] : 0), j->act);
            if (ep.gate) want *= (double)gate[r * stride + c];
            if (ep.scale) want *= (double)scale[c];
            if (ep.residual) want += (double)residual[r * stride + c];
            double got = (double)dst[r * stride + c], error = fabs(got - want);
            /* Sums in float32: rounding errors add up at random, or in step where all terms are alike. Those of int8 products
             * pass through some 10^7 times a weight's scale (gemm_stage.inc), which is more beside codes of two bits. */
            int int8 = w.form == CLIPGO_FORM_Q8 || w.form == CLIPGO_FORM_Q8_BLOCK;
            double random = !int8 ? 5e-7 : j->type->id == 10 ? 6e-5 : 2e-5;
            CHECK(error <= (j->extreme ? 4e-5 : random) * (1 + size + fabs(want)),
                  "%s %s form %d m %zu n %zu k %zu extreme %d epilogue %d act %d direct %d: [%zu,%zu] is %.9g, want "
                  "%.9g (terms "
                  "%g)",
                  isa->isa, j->type->name, (int)w.form, m, n, k, j->extreme, j->epilogue, j->act, w.direct, r, c, got,
                  want, size);
        }
        for (size_t i = n; i < stride; i++) CHECK(dst[r * stride + i] == 12345, "%s wrote past the row", isa->isa);
    }
    free(tensor - 1), free(w.data), free(x), free(bias), free(scale), free(weights), free(gate), free(residual);
    free(dst), free(a);
}

/* Every ISA makes the same codes and scales of the same activations, and NaN and infinity survive into the product. */
static void test_prepare(const clipgo_kernels *isa) {
    enum { K = 288, ROWS = 5 }; /* two groups of four blocks, and one block */
    float x[ROWS][K];
    for (int i = 0; i < ROWS * K; i++)
        x[i / K][i % K] = (float)(int)(random_bits() % 255) - 127 + 0.5f * (float)(i % 2);
    x[0][5] = 127, x[1][40] = 0;
    for (int i = 32; i < 64; i++) x[2][i] = i % 3 ? 1e-40f : 0; /* too small for 127 / max */
    for (int i = 128; i < 256; i++) x[3][i] = i % 3 ? 1e-40f : 0;
    for (int form = CLIPGO_FORM_Q8; form <= CLIPGO_FORM_Q8_BLOCK; form++) {
        size_t bytes = isa->prepared_bytes((clipgo_form)form, K);
        size_t scalar_bytes = clipgo_kernels_scalar.prepared_bytes((clipgo_form)form, K);
        CHECK(bytes % 64 == 0 && bytes >= scalar_bytes, "%s: prepared rows of %zu bytes", isa->isa, bytes);
        uint8_t *a = allocate(ROWS * bytes), *b = allocate(ROWS * scalar_bytes);
        isa->prepare((clipgo_form)form, a, x[0], K, ROWS, K);
        clipgo_kernels_scalar.prepare((clipgo_form)form, b, x[0], K, ROWS, K);
        for (size_t i = 0; i < ROWS * K / 32;
             i++) { /* in blocks of 48 bytes; their sums an instruction set keeps its own way */
            const uint8_t *got = a + i / (K / 32) * bytes + i % (K / 32) * 48;
            const uint8_t *want = b + i / (K / 32) * scalar_bytes + i % (K / 32) * 48;
            int same = 0, negative = 0;
            for (size_t k = 0; k < 32; k++) same += got[k] == want[k], negative += got[k] == (uint8_t)-want[k];
            CHECK((same == 32 || negative == 32) && memcmp(got + 32, want + 32, 4) == 0,
                  "%s: form %d, block %zu differs from scalar", isa->isa, form, i);
        }
        free(a), free(b);
    }
    for (uint32_t activations = 0; activations <= 2; activations++)
        for (int bad = 0; bad < 2; bad++) {
            uint8_t tensor[K / 32 * 34] = {0, 0x3c}; /* one row of q8_0 */
            float out[1] = {0}, row[K] = {0};
            row[41] = bad ? INFINITY : NAN;
            clipgo_matrix w = {0};
            isa->plan(&w, 8, 1, K, activations, 0);
            w.data = allocate(w.panel_bytes);
            isa->pack(&w, tensor, sizeof tensor, 0, 1);
            uint8_t *a = allocate(isa->prepared_bytes(w.form, K));
            isa->prepare(w.form, a, row, K, 1, K);
            clipgo_epilogue ep = {.dst = out, .dst_stride = 1};
            isa->gemm(&w, a, 1, 0, 1, &ep);
            CHECK(isnan(out[0]), "%s: activations %u: NaN became %g", isa->isa, activations, (double)out[0]);
            free(w.data), free(a);
        }
}

static void test_plan(const clipgo_kernels *isa) {
    clipgo_matrix w;
    CHECK(!isa->plan(&w, 4, 8, 32, 0, 0), "%s: a removed type was planned", isa->isa);
    CHECK(!isa->plan(&w, 9, 8, 32, 0, 0), "%s: q8_1 was planned", isa->isa);
    CHECK(!isa->plan(&w, 8, 8, 33, 1, 0), "%s: part of a block was planned", isa->isa);
    CHECK(!isa->plan(&w, 12, 8, 128, 1, 0), "%s: part of a block was planned", isa->isa);
    CHECK(!isa->plan(&w, 0, 0, 8, 0, 0) && !isa->plan(&w, 0, 8, 0, 0, 0), "%s: an empty matrix was planned", isa->isa);
}

/* Weights that no 8 bits can keep: NaN and infinity reach the product, what is too small for a float16 scale is zero. */
static void test_odd_weights(const clipgo_kernels *isa) {
    enum { K = 33, F32 = 0 };
    const float odd[] = {NAN, INFINITY, -INFINITY, 1e30f, 1e-30f, 1e-45f, 0};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        float row[K] = {0}, x[K], out[1];
        for (int k = 0; k < K; k++) x[k] = 1;
        row[K - 1] = odd[i];
        clipgo_matrix w = {0};
        CHECK(isa->plan(&w, F32, 1, K, CLIPGO_ACTIVATIONS_INT8, 1), "%s: not planned", isa->isa);
        w.data = allocate(w.panel_bytes);
        isa->pack(&w, (const uint8_t *)row, sizeof row, 0, 1);
        uint8_t *a = allocate(isa->prepared_bytes(w.form, K));
        isa->prepare(w.form, a, x, K, 1, K);
        isa->gemm(&w, a, 1, 0, 1, &(clipgo_epilogue){.dst = out, .dst_stride = 1});
        CHECK(i < 4 ? !isfinite(out[0]) : out[0] == 0, "%s: a weight of %g became %g", isa->isa, (double)odd[i],
              (double)out[0]);
        free(w.data), free(a);
    }
}

/* Every float16 is a scale that comes through a panel as it is, and takes no more room there. */
static void test_scales(const clipgo_kernels *isa) {
    enum { HALVES = 1 << 16, BYTES = 34, Q8_0 = 8 };
    uint8_t *tensor = allocate(HALVES * BYTES);
    float row[32] = {127}, exact[32]; /* 127 is a scale of 1 */
    for (uint32_t h = 0; h < HALVES; h++) {
        uint8_t *block = tensor + h * BYTES;
        block[0] = (uint8_t)h, block[1] = (uint8_t)(h >> 8), block[2] = 1;
    }
    clipgo_matrix w = {0};
    CHECK(isa->plan(&w, Q8_0, HALVES, 32, CLIPGO_ACTIVATIONS_INT8, 0), "%s: not planned", isa->isa);
    CHECK(w.panel_bytes < (uint64_t)w.panel_rows * BYTES + 64, "%s: a panel of %u rows has %llu bytes", isa->isa,
          w.panel_rows, (unsigned long long)w.panel_bytes);
    w.data = allocate(w.panels * w.panel_bytes);
    isa->pack(&w, tensor, BYTES, 0, w.panels);
    uint8_t *a = allocate(isa->prepared_bytes(w.form, 32));
    isa->prepare(w.form, a, row, 32, 1, 32);
    float *out = allocate(HALVES * sizeof *out);
    for (w.direct = 0; w.direct < 2; w.direct++) {
        isa->gemm(&w, a, 1, 0, w.panels, &(clipgo_epilogue){.dst = out, .dst_stride = HALVES});
        for (uint32_t h = 0; h < HALVES; h++) {
            clipgo_kernels_scalar.dequantize_row(exact, tensor + h * BYTES, Q8_0, 32);
            float want = 127 * (w.form == CLIPGO_FORM_BF16 && isfinite(exact[0]) ? to_bf16(exact[0]) : exact[0]);
            CHECK(isfinite(want) ? out[h] == want : !isfinite(out[h]), "%s: scale %04x: %g, want %g", isa->isa, h,
                  (double)out[h], (double)want);
        }
    }
    free(tensor), free(w.data), free(a), free(out);
}

static void test_dequantize(const clipgo_kernels *isa) {
    float out[256];
    for (size_t i = 0; i < sizeof type_vectors / sizeof type_vectors[0]; i++) {
        isa->dequantize_row(out, type_vectors[i].block, type_vectors[i].type, type_vectors[i].n);
        CHECK(memcmp(out, type_vectors[i].values, type_vectors[i].n * 4) == 0, "%s: type %u differs from its vector",
              isa->isa, type_vectors[i].type);
    }
}

static void test_products(const clipgo_kernels *isa, const struct type *t) {
    static const size_t block_k[] = {32, 96, 256, 768}, any_k[] = {1, 3, 27, 64, 588}, super_k[] = {256, 768};
    static const size_t rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 50}, cols[] = {1, 7, 8, 16, 31, 33, 64, 70};
    const size_t n_rows = CLIPGO_TEST_EVERY_ISA ? 8 : 11; /* emulators are slow */
    const size_t *ks = t->elements == 1 ? any_k : t->elements == 32 ? block_k : super_k;
    size_t n_ks = t->elements == 1 ? 5 : t->elements == 32 ? 4 : 2;
    for (uint32_t activations = 0; activations <= CLIPGO_ACTIVATIONS_BF16; activations++) {
        for (size_t i = 0; i < n_ks; i++)
            for (size_t r = 0; r < n_rows; r++) {
                size_t n = cols[random_bits() % 8];
                run(&(job){isa, t, rows[r], n, ks[i], activations, 0, 0, 0, 0});
                if (t->elements == 1) run(&(job){isa, t, rows[r], n, ks[i], activations, 0, 1, 0, 1});
            }
        for (size_t c = 0; c < 8; c++) run(&(job){isa, t, 3, cols[c], ks[n_ks / 2], activations, 0, 1, 0, 0});
        for (int e = 0; e < 16; e++) run(&(job){isa, t, 5, 21, ks[1], activations, 0, e, e % 8, 0});
        run(&(job){isa, t, 9, 40, ks[n_ks - 1], activations, 1, 0, 0, 0});
        run(&(job){isa, t, 131, 33, ks[0], activations, 0, 1, 0, 0}); /* more than one block of rows */
    }
}

int main(int argc, char **argv) {
    for (size_t i = 0; i < sizeof isas / sizeof isas[0]; i++) {
        const clipgo_kernels *isa = isas[i].kernels;
        int asked = argc < 2, before = failures;
        for (int a = 1; a < argc; a++) asked |= strcmp(argv[a], isa->isa) == 0;
        if (!asked) continue;
        if ((isas[i].needs & cpu_features()) != isas[i].needs) {
            printf("%-12s skipped: this processor doesn't have it\n", isa->isa);
            continue;
        }
        test_plan(isa);
        test_prepare(isa);
        test_scales(isa);
        test_odd_weights(isa);
        test_dequantize(isa);
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) test_products(isa, &types[t]);
        printf("%-12s %s\n", isa->isa, failures > before ? "FAILED" : "ok");
    }
    return failures ? 1 : 0;
}
