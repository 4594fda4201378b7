/* Every op against a reference in double: every instruction set that this processor runs, one thread and several, one
 * item and several, and sizes that leave tails. */
#include "dispatch.h"
#include "model.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const clipgo_kernels *isa;
static uint32_t threads;

/* Runs m and compares what comes out; tolerance is relative to the largest value of the output. */
static void check_model(const model *m, const char *name, uint32_t batch, uint32_t rows, uint32_t activations,
                        double tolerance, const void *in) {
    clipgo_error err = {.size = sizeof err};
    clipgo_device_options device_options = {.size = sizeof device_options, .threads = threads};
    clipgo_program_desc desc = {
        .size = sizeof desc, .activations = activations, .n_values = m->n_values, .n_ops = m->n_ops};
    clipgo_context_options context_options = {
        .size = sizeof context_options, .max_batch = batch + 1, .max_rows = rows + 3};
    clipgo_run_args args = {.size = sizeof args, .batch = batch, .rows = rows};
    clipgo_device *device = NULL;
    clipgo_weights *weights = NULL;
    clipgo_program *program = NULL;
    clipgo_context *context = NULL, *profiled = NULL; /* in the latter, ops that run as one run apart */
    snprintf(device_options.isa, sizeof device_options.isa, "%s", isa->isa);
    uint64_t bytes = model_bytes(m, CLIPGO_OUTPUT, batch, rows);
    float *out = malloc(bytes), *again = malloc(bytes);
    double *want = calloc(bytes / 4, sizeof *want);
    memset(out, 0, bytes);
    memset(again, 0, bytes);
    int32_t status = clipgo_device_create(&device_options, &device, &err);
    if (status == CLIPGO_OK)
        status = clipgo_weights_create(device, m->data, m->bytes, m->tensors, m->n_tensors, 0, &weights, &err);
    if (status == CLIPGO_OK) status = clipgo_program_create(weights, &desc, m->values, m->ops, &program, &err);
    if (status == CLIPGO_OK) status = clipgo_context_create(program, &context_options, &context, &err);
    context_options.flags = CLIPGO_CONTEXT_PROFILE;
    if (status == CLIPGO_OK) status = clipgo_context_create(program, &context_options, &profiled, &err);
    uint64_t in_bytes = model_bytes(m, CLIPGO_INPUT, batch, rows);
    if (status == CLIPGO_OK) status = clipgo_run(context, &args, in, in_bytes, out, bytes, &err);
    if (status == CLIPGO_OK) status = clipgo_run(profiled, &args, in, in_bytes, again, bytes, &err);
    CHECK(status == CLIPGO_OK, "%s: %s", name, err.message);
    if (status == CLIPGO_OK) {
        model_reference(m, batch, rows, in, want);
        double worst = 0, largest = 1e-30;
        for (uint64_t i = 0; i < bytes / 4; i++) {
            double d = fabs((double)out[i] - want[i]);
            if (!(d <= worst)) worst = d;
            if (fabs(want[i]) > largest) largest = fabs(want[i]);
        }
        CHECK(worst <= tolerance * largest, "%s, %s, %u threads, %u x %u: off by %g of %g", name, isa->isa, threads,
              batch, rows, worst, largest);
        CHECK(memcmp(out, again, bytes) == 0, "%s, %s, %u threads: another run gives another result", name, isa->isa,
              threads);
    }
    clipgo_context_free(context);
    clipgo_context_free(profiled);
    clipgo_program_free(program);
    clipgo_weights_free(weights);
    clipgo_device_free(device);
    free(out);
    free(again);
    free(want);
}

/* Random floats for every input; integers are below `below`. */
static void *make_input(model *m, uint32_t batch, uint32_t rows, uint32_t below, float scale) {
    uint64_t bytes = model_bytes(m, CLIPGO_INPUT, batch, rows), at = 0;
    float *in = calloc(bytes / 4 + 1, 4);
    for (uint32_t v = 0; v < m->n_values; v++) {
        const clipgo_value *value = &m->values[v];
        if (value->role != CLIPGO_INPUT) continue;
        at = (at + 15) / 16 * 16;
        uint64_t n = batch * ((uint64_t)value->row_scale * rows + value->row_add) * value->width;
        for (uint64_t i = 0; i < n; i++, at++) {
            if (value->kind == CLIPGO_I32) ((int32_t *)in)[at] = (int32_t)random_below(&m->seed, below);
            else in[at] = scale * random_float(&m->seed);
        }
    }
    return in;
}

static void finish(model *m, const char *name, uint32_t batch, uint32_t rows, double tolerance, uint32_t below) {
    void *in = make_input(m, batch, rows, below, 2.0f);
    check_model(m, name, batch, rows, CLIPGO_ACTIVATIONS_F32, tolerance, in);
    free(in);
    model_free(m);
}

/* The same of attention in float32, where it may round as bfloat16 does, and where it may as activations of 8 bits. */
static void check_attention(model *m, clipgo_op *op, const char *name, uint32_t batch, uint32_t rows, const void *in) {
    static const struct {
        const char *isa;
        double pairs, bytes;
    } sets[] = {{"amx", 1e-2, 1e-2},       {"avx512bf16", 1e-2, 2.5e-2}, {"avx512vnni", 3e-3, 2.5e-2},
                {"avxvnni", 3e-3, 2.5e-2}, {"avx2", 3e-3, 3e-3},         {"i8mm", 1e-2, 1e-2},
                {"dotprod", 1e-6, 2.5e-2}};
    const double exact = 1e-6;
    double pairs = exact, bytes = exact;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (strcmp(isa->isa, sets[i].isa) == 0) pairs = sets[i].pairs, bytes = sets[i].bytes;
    if (rows <= 128 && pairs > exact) bytes = pairs; /* which stay with few keys, where there are any */
    op->i[6] = 0;
    check_model(m, name, batch, rows, CLIPGO_ACTIVATIONS_INT8, exact, in);
    check_model(m, name, batch, rows, CLIPGO_ACTIVATIONS_BF16, pairs, in);
    op->i[6] = 1;
    check_model(m, name, batch, rows, CLIPGO_ACTIVATIONS_INT8, bytes, in);
}

enum { IN = CLIPGO_INPUT, OUT = CLIPGO_OUTPUT, TMP = CLIPGO_TEMPORARY, F32 = CLIPGO_F32, I32 = CLIPGO_I32 };

static void test_embed(uint32_t batch, uint32_t rows, uint32_t width) {
    for (int variant = 0; variant < 4; variant++) {
        model m;
        model_init(&m, 1);
        int32_t ids = model_value(&m, I32, IN, 1, 0, 1), positions = model_value(&m, I32, IN, 1, 0, 1);
        int32_t types[] = {0, 1, 30};
        clipgo_op *op = model_op(&m, CLIPGO_OP_EMBED, model_value(&m, F32, OUT, 1, 0, width));
        op->src[0] = ids;
        op->w[0] = model_tensor(&m, (uint32_t)types[variant % 3], 19, width, 1);
        op->f[0] = variant == 0 ? 1.0f : 2.5f;
        if (variant > 0) op->w[1] = model_tensor(&m, 1, rows + 20, width, 1);
        if (variant > 1) op->src[1] = positions;
        if (variant > 2) op->w[2] = model_tensor(&m, 0, 1, width, 1);
        finish(&m, "embed", batch, rows, 1e-6, 19);
    }
}

static void test_windows(uint32_t batch, int32_t channels, int32_t h, int32_t w, int32_t kh, int32_t kw, int32_t stride,
                         int32_t pad) {
    int32_t geometry[] = {
        0, channels, h, w, kh, kw, stride, pad, pad, (h + 2 * pad - kh) / stride + 1, (w + 2 * pad - kw) / stride + 1};
    uint32_t pixels = (uint32_t)(geometry[9] * geometry[10]), taps = (uint32_t)(kh * kw), c = (uint32_t)channels;
    for (int32_t layout = 0; layout < 2; layout++) {
        model m;
        model_init(&m, 2);
        int32_t x = layout == 0 ? model_value(&m, F32, IN, 0, c * (uint32_t)h, (uint32_t)w)
                                : model_value(&m, F32, IN, 0, (uint32_t)(h * w), c);
        clipgo_op *op = model_op(&m, CLIPGO_OP_IM2COL, model_value(&m, F32, OUT, 0, pixels, c * taps));
        memcpy(op->i, geometry, sizeof geometry);
        op->i[0] = layout;
        op->src[0] = x;
        finish(&m, "im2col", batch, 1, 0, 1);
    }
    for (int bias = 0; bias < 2; bias++) {
        model m;
        model_init(&m, 3);
        int32_t x = model_value(&m, F32, IN, 0, (uint32_t)(h * w), c);
        clipgo_op *op = model_op(&m, CLIPGO_OP_DWCONV, model_value(&m, F32, OUT, 0, pixels, c));
        memcpy(op->i, geometry, sizeof geometry);
        op->i[0] = bias ? CLIPGO_ACT_GELU : CLIPGO_ACT_NONE;
        op->src[0] = x;
        op->w[0] = model_tensor(&m, 0, c, taps, 1);
        if (bias) op->w[1] = model_tensor(&m, 1, 1, c, 1);
        finish(&m, "dwconv", batch, 1, 1e-6, 1);
    }
}

static void test_rowwise(uint32_t batch, uint32_t rows, uint32_t width) {
    model m;
    model_init(&m, 4);
    int32_t x = model_value(&m, F32, IN, 1, 0, width);
    clipgo_op *op = model_op(&m, CLIPGO_OP_CONCAT, model_value(&m, F32, OUT, 1, 2, width));
    op->src[0] = x;
    op->w[0] = model_tensor(&m, 1, 2, width, 1);
    op = model_op(&m, CLIPGO_OP_L2NORM, model_value(&m, F32, OUT, 1, 0, width));
    op->src[0] = x;
    op->f[0] = 1e-12f;
    op = model_op(&m, CLIPGO_OP_L2NORM, model_value(&m, F32, OUT, 1, 0, width));
    op->src[0] = x;
    op->f[0] = 1e3f;
    finish(&m, "concat, l2norm", batch, rows, 1e-6, 1);

    for (uint32_t kind = CLIPGO_OP_ADD; kind <= CLIPGO_OP_MUL; kind++) {
        model_init(&m, 5);
        x = model_value(&m, F32, IN, 1, 0, width);
        int32_t full = model_value(&m, F32, IN, 1, 0, width), one = model_value(&m, F32, IN, 0, 1, width);
        op = model_op(&m, kind, model_value(&m, F32, OUT, 1, 0, width));
        op->src[0] = x, op->src[1] = full;
        op = model_op(&m, kind, model_value(&m, F32, OUT, 1, 0, width));
        op->src[0] = x, op->src[1] = one;
        if (kind == CLIPGO_OP_ADD) {
            op = model_op(&m, kind, model_value(&m, F32, OUT, 1, 0, width));
            op->src[0] = x, op->w[0] = model_tensor(&m, 0, rows + 5, width, 1);
        }
        finish(&m, kind == CLIPGO_OP_ADD ? "add" : "mul", batch, rows, 1e-7, 1);
    }

    for (int32_t act = CLIPGO_ACT_NONE; act <= CLIPGO_ACT_TANH; act++) {
        model_init(&m, 6);
        x = model_value(&m, F32, IN, 1, 0, width);
        op = model_op(&m, CLIPGO_OP_ACT, model_value(&m, F32, OUT, 1, 0, width));
        op->src[0] = x;
        op->i[0] = act;
        void *in = make_input(&m, batch, rows, 1, 9.0f);
        check_model(&m, "act", batch, rows, CLIPGO_ACTIVATIONS_F32, 2e-7, in);
        free(in);
        model_free(&m);
    }

    for (int variant = 0; variant < 4; variant++) {
        model_init(&m, 7);
        x = model_value(&m, F32, IN, 1, 0, width);
        op = model_op(&m, CLIPGO_OP_NORM, model_value(&m, F32, OUT, 1, 0, width));
        op->src[0] = x;
        op->i[0] = variant / 2;
        op->f[0] = 1e-5f;
        if (variant % 2) op->w[0] = model_tensor(&m, 0, 1, width, 1);
        if (variant == 1) op->w[1] = model_tensor(&m, 1, 1, width, 1);
        void *in = make_input(&m, batch, rows, 1, 2.0f);
        for (uint64_t i = 0; i < batch * rows * width; i++) ((float *)in)[i] += 10.0f; /* a mean to be taken off */
        check_model(&m, "norm", batch, rows, CLIPGO_ACTIVATIONS_F32, 4e-6, in);
        free(in);
        model_free(&m);
    }

    for (int32_t mode = 0; mode < 5; mode++) {
        model_init(&m, 8);
        x = model_value(&m, F32, IN, 1, 0, width);
        int32_t index = model_value(&m, I32, IN, 0, 1, 1);
        op = model_op(&m, CLIPGO_OP_SELECT, model_value(&m, F32, OUT, 0, 1, width));
        op->src[0] = x;
        op->i[0] = mode < 4 ? mode : 3;
        if (mode == 2 || mode == 4) op->src[1] = index;
        if (op->i[0] == 3) op->f[0] = 1e-6f;
        finish(&m, "select", batch, rows, 1e-6, rows);
    }
}

static void test_linear(uint32_t batch, uint32_t rows, uint32_t in, uint32_t out, uint32_t type, uint32_t activations,
                        double tolerance) {
    for (int variant = 0; variant < 3; variant++) {
        model m;
        model_init(&m, 9);
        int32_t x = model_value(&m, F32, IN, 1, 0, in), n = variant + 1;
        int32_t dst = model_value(&m, F32, OUT, 1, 0, out * (uint32_t)n);
        int32_t residual = model_value(&m, F32, IN, 1, 0, out * (uint32_t)n);
        int32_t gate = model_value(&m, F32, IN, 1, 0, out * (uint32_t)n);
        clipgo_op *op = model_op(&m, CLIPGO_OP_LINEAR, dst);
        op->src[0] = x;
        op->i[1] = n;
        for (int t = 0; t < n; t++) {
            op->w[t] = model_tensor(&m, type, out, in, 1);
            if (t != 1) op->w[3 + t] = model_tensor(&m, 0, 1, out, 1);
        }
        if (variant > 0) {
            op->i[0] = CLIPGO_ACT_QUICK_GELU;
            op->src[1] = residual;
            op->w[6] = model_tensor(&m, 0, 1, out * (uint32_t)n, 1);
        }
        if (variant > 1) op->src[2] = gate;
        void *data = make_input(&m, batch, rows, 1, 1.0f);
        check_model(&m, "linear", batch, rows, activations, tolerance, data);
        free(data);
        model_free(&m);
    }
}

static void test_attention(uint32_t batch, uint32_t q_rows, uint32_t k_rows, uint32_t heads, uint32_t dim) {
    for (int variant = 0; variant < 4; variant++) {
        int self = variant > 1; /* q, k, v from one value, as a QKV product leaves them */
        uint32_t width = heads * dim;
        model m;
        model_init(&m, 10);
        int32_t lengths = model_value(&m, I32, IN, 0, 1, 1);
        int32_t q = self ? model_value(&m, F32, IN, 1, 0, 3 * width) : model_value(&m, F32, IN, 0, q_rows, width + 3);
        int32_t kv = self ? q : model_value(&m, F32, IN, 1, 0, 2 * width + 1);
        clipgo_op *op =
            model_op(&m, CLIPGO_OP_ATTENTION, model_value(&m, F32, OUT, (uint32_t)self, self ? 0 : q_rows, width));
        op->src[0] = q;
        op->src[1] = op->src[2] = kv;
        op->i[0] = (int32_t)heads;
        op->i[1] = self ? 0 : 3;
        op->i[2] = self ? (int32_t)width : 1;
        op->i[3] = self ? (int32_t)(2 * width) : (int32_t)width + 1;
        op->i[4] = (int32_t)dim;
        op->i[5] = variant == 3;
        op->f[0] = 1.5f / sqrtf((float)dim);
        if (variant % 2) op->src[3] = lengths;
        void *in = make_input(&m, batch, k_rows, k_rows + 1, 2.0f);
        check_attention(&m, op, "attention", batch, k_rows, in);
        free(in);
        model_free(&m);
    }
}

/* A transformer layer, twice: values that live side by side, forms shared by several products, norms fused into them.
 */
static void test_layers(uint32_t batch, uint32_t rows, uint32_t heads, uint32_t width, uint32_t type,
                        uint32_t activations, double tolerance) {
    model m;
    model_init(&m, 11);
    int32_t lengths = model_value(&m, I32, IN, 0, 1, 1);
    int32_t x = model_value(&m, F32, IN, 1, 0, width);
    for (int layer = 0; layer < 2; layer++) {
        int32_t normed = model_value(&m, F32, TMP, 1, 0, width), qkv = model_value(&m, F32, TMP, 1, 0, 3 * width);
        int32_t mixed = model_value(&m, F32, TMP, 1, 0, width), y = model_value(&m, F32, TMP, 1, 0, width);
        int32_t again = model_value(&m, F32, TMP, 1, 0, width), wide = model_value(&m, F32, TMP, 1, 0, 2 * width);
        int32_t gate = model_value(&m, F32, TMP, 1, 0, 2 * width);
        int32_t next = model_value(&m, F32, layer == 1 ? OUT : TMP, 1, 0, width);
        clipgo_op *op = model_op(&m, CLIPGO_OP_NORM, normed);
        op->src[0] = x, op->f[0] = 1e-5f;
        op = model_op(&m, CLIPGO_OP_LINEAR, qkv);
        op->src[0] = normed, op->i[1] = 3;
        for (int t = 0; t < 3; t++) op->w[t] = model_tensor(&m, type, width, width, 0.2f);
        op = model_op(&m, CLIPGO_OP_ATTENTION, mixed);
        op->src[0] = op->src[1] = op->src[2] = qkv;
        op->i[0] = (int32_t)heads, op->i[2] = (int32_t)width, op->i[3] = (int32_t)(2 * width);
        op->i[4] = (int32_t)(width / heads), op->i[5] = layer, op->f[0] = 0.3f;
        if (layer == 0) op->src[3] = lengths;
        op = model_op(&m, CLIPGO_OP_LINEAR, y);
        op->src[0] = mixed, op->src[1] = x, op->i[1] = 1, op->w[0] = model_tensor(&m, type, width, width, 0.2f);
        op = model_op(&m, CLIPGO_OP_NORM, again);
        op->src[0] = y, op->i[0] = 1, op->f[0] = 1e-5f, op->w[0] = model_tensor(&m, 1, 1, width, 1);
        op = model_op(&m, CLIPGO_OP_LINEAR, gate);
        op->src[0] = again, op->i[1] = 1, op->w[0] = model_tensor(&m, type, 2 * width, width, 0.2f);
        op = model_op(&m, CLIPGO_OP_LINEAR, wide);
        op->src[0] = again, op->src[2] = gate, op->i[0] = CLIPGO_ACT_SILU, op->i[1] = 1;
        op->w[0] = model_tensor(&m, type, 2 * width, width, 0.2f);
        op = model_op(&m, CLIPGO_OP_LINEAR, next);
        op->src[0] = wide, op->src[1] = y, op->i[1] = 1, op->w[0] = model_tensor(&m, type, width, 2 * width, 0.2f);
        x = next;
    }
    void *in = make_input(&m, batch, rows, rows + 1, 1.0f);
    check_model(&m, "layers", batch, rows, activations, tolerance, in);
    free(in);
    model_free(&m);
}

/* Rows that are all alike have their own value as result, also of scores so large that their exponents are inexact: sums of
 * integers must not overflow. */
static void test_alike(size_t rows, float size) {
    enum { DIM = 64, WIDTH = 3 * DIM };
    float *qkv = malloc(rows * WIDTH * sizeof *qkv), *dst = malloc(rows * DIM * sizeof *dst), worst = 0;
    float *scratch = malloc(isa->attention_scratch(rows, rows, DIM));
    for (size_t i = 0; i < rows * WIDTH; i++)
        qkv[i] = i % WIDTH < 2 * DIM ? size : (float)(i % WIDTH % 7) / 6 + 1; /* values of one sign add up most */
    clipgo_attention_args args = {.q = qkv, .k = qkv + DIM, .v = qkv + 2 * DIM, .dst = dst, .scratch = scratch};
    args.q_stride = args.k_stride = args.v_stride = WIDTH;
    args.dst_stride = args.head_dim = DIM;
    args.q_rows = args.k_rows = rows;
    args.scale = 0.125f;
    for (args.rounds = 0; args.rounds < 3; args.rounds++) {
        isa->attention(&args);
        for (size_t i = 0; i < rows * DIM; i++) {
            float off = fabsf(dst[i] - args.v[i % DIM]);
            worst = off <= worst ? worst : off;
        }
        CHECK(worst < 0.02f, "%s, %zu rows of %g, rounds %d: off by %g", isa->isa, rows, (double)size, args.rounds,
              (double)worst);
    }
    free(qkv), free(dst), free(scratch);
}

/* Rows of the batch before an item are keys, too: none, an item's, those of several, more than a block. */
static void test_shared_keys(uint32_t rows, uint32_t heads, uint32_t dim) {
    enum { BATCH = 4 };
    for (int causal = 0; causal < 2; causal++) {
        uint32_t width = heads * dim;
        model m;
        model_init(&m, 10);
        int32_t keys = model_value(&m, I32, IN, 0, 1, 2), qkv = model_value(&m, F32, IN, 1, 0, 3 * width);
        clipgo_op *op = model_op(&m, CLIPGO_OP_ATTENTION, model_value(&m, F32, OUT, 1, 0, width));
        op->src[0] = op->src[1] = op->src[2] = qkv;
        op->src[3] = keys;
        op->i[0] = (int32_t)heads;
        op->i[2] = (int32_t)width;
        op->i[3] = (int32_t)(2 * width);
        op->i[4] = (int32_t)dim;
        op->i[5] = causal;
        op->f[0] = 1.5f / sqrtf((float)dim);
        void *data = make_input(&m, BATCH, rows, 1, 1.0f);
        int32_t n = (int32_t)rows, counts[2 * BATCH] = {n, 0, n - 1, n, 1, n + 1, 0, 3 * n};
        memcpy(data, counts, sizeof counts); /* the first input */
        check_attention(&m, op, "attention with shared keys", BATCH, rows, data);
        free(data);
        model_free(&m);
    }
}

int main(void) {
    static const uint32_t counts[] = {1, 2, 4};
    for (uint32_t i = 0; (isa = dispatch_nth(i)) != NULL; i++)
        for (int t = 0; t < 3; t++) {
            threads = counts[t];
            for (uint32_t batch = 1; batch <= 3; batch += 2) {
                test_embed(batch, 7, 37);
                test_windows(batch, 3, 9, 11, 3, 4, 2, 1);
                test_windows(batch, 35, 8, 8, 7, 7, 1, 3);
                test_windows(batch, 3, 8, 8, 4, 4, 4, 0);
                test_rowwise(batch, 5, 1);
                test_rowwise(batch, 1, 64);
                test_rowwise(batch, 17, 77);
                test_linear(batch, 1, 1, 1, 0, CLIPGO_ACTIVATIONS_F32, 2e-6);
                test_linear(batch, 13, 37, 45, 0, CLIPGO_ACTIVATIONS_F32, 2e-6);
                test_linear(batch, 7, 64, 33, 1, CLIPGO_ACTIVATIONS_F32, 2e-6);
                test_linear(batch, 7, 61, 32, 30, CLIPGO_ACTIVATIONS_F32, 2e-6);
                test_linear(batch, 65, 64, 96, 8, CLIPGO_ACTIVATIONS_F32, 2e-6);
                test_linear(batch, 65, 64, 97, 8, CLIPGO_ACTIVATIONS_INT8, 0.02);
                test_linear(batch, 5, 96, 40, 8, CLIPGO_ACTIVATIONS_INT8_BLOCK, 0.02);
                test_linear(batch, 11, 50, 40, 30, CLIPGO_ACTIVATIONS_BF16, 0.02);
                test_attention(batch, 1, 1, 1, 1);
                test_attention(batch, 3, 29, 3, 5);
                test_attention(batch, 9, 50, 2, 64);
                test_layers(batch, 9, 4, 64, 0, CLIPGO_ACTIVATIONS_F32, 1e-5);
                test_layers(batch, 21, 4, 64, 8, CLIPGO_ACTIVATIONS_INT8, 0.05);
            }
        }
    /* more keys than a block holds, more queries than a thread takes, more rows than a block of a product */
    for (uint32_t i = 0; (isa = dispatch_nth(i)) != NULL; i++) {
        threads = 2;
        test_attention(1, 2, 1100, 1, 8);
        /* heads by themselves, of several items and of one */
        test_layers(40, 9, 8, 256, 0, CLIPGO_ACTIVATIONS_F32, 1e-5);
        test_layers(1, 300, 12, 384, 0, CLIPGO_ACTIVATIONS_F32, 2e-5);
        test_layers(2, 60, 8, 256, 8, CLIPGO_ACTIVATIONS_INT8, 0.08);
        test_layers(2, 11, 16, 256, 0, CLIPGO_ACTIVATIONS_F32, 1e-5); /* two at a time where panels have 32 columns */
        test_shared_keys(1, 2, 5);
        test_shared_keys(7, 3, 16);
        test_shared_keys(150, 1, 20);
        test_attention(1, 100, 513, 1, 20);
        test_attention(1, 9, 150, 2, 32);
        test_attention(1, 7, 131, 1, 40);
        test_alike(50, 1);
        for (int n = 1; n <= 10; n++) test_alike(320, 123.4f * (float)n);
        test_linear(2, 700, 96, 40, 8, CLIPGO_ACTIVATIONS_INT8, 0.02);
        test_linear(2, 700, 100, 40, 0, CLIPGO_ACTIVATIONS_F32, 2e-6);
    }
    return test_result();
}
