/* towers.c: an image or text tower of CLIP with random weights on ggml's CPU backend, for ../towers.py to measure.
 *
 *   cmake -S tools/peers/ggml -B build/ggml-peer -DGGML_DIR=PATH && cmake --build build/ggml-peer -j2
 *   build/ggml-peer/ggml_towers --patch 32 --width 768 --layers 12 --heads 12 --embedding 512 --type q8_0
 *
 * PATH is a checkout of ggml, or vendor/llama.cpp/ggml of an unpacked llama-cpp-python: `pip download --no-deps
 * --no-binary llama-cpp-python llama-cpp-python` brings it. --patch 0 (the default) is the text tower. More options:
 * --batch, --threads, --ms (the least time to measure for), --print 1 (the embeddings, for check.py).
 *
 * Prints one line of JSON: ms of a run of the whole batch, the median of the faster half, as `clipgo bench` takes it.
 *
 * To ggml's advantage: the graph is built and allocated once; Q, K and V are one product, so that activations are rounded
 * once; weights lie as they are or repacked, as a trial finds faster; threads live between runs. Attention is
 * ggml_flash_attn_ext: with products and a softmax towers took 2 to 13 % longer (Zen 4). With OpenMP or ggml's own threads
 * it is as fast. */
#include "ggml.h"
#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml-cpu.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGE = 224, TOKENS = 77, MOST_LAYERS = 64, MOST_NODES = 4096, MOST_RUNS = 100000, LEAST_RUNS = 5 };
/* Reading 77 rows of the table of tokens takes no time, however long it is. */
enum { VOCABULARY = 1024 };
static const float eps = 1e-5f;

static struct {
    int patch, width, layers, heads, embedding, batch, threads, ms, print;
    const char *type;
} options = {
    .width = 512, .layers = 12, .heads = 8, .embedding = 512, .batch = 1, .threads = 2, .ms = 1500, .type = "f32"};

/* What weights are for; also the seed of their numbers, in check.py too. */
typedef enum {
    PATCHES,
    CLASS,
    WORDS,
    POSITIONS,
    PRE_GAIN,
    PRE_BIAS,
    NORM1_GAIN,
    NORM1_BIAS,
    QKV,
    QKV_BIAS,
    OUT,
    OUT_BIAS,
    NORM2_GAIN,
    NORM2_BIAS,
    FC1,
    FC1_BIAS,
    FC2,
    FC2_BIAS,
    POST_GAIN,
    POST_BIAS,
    PROJECTION,
    INPUT,
    ROLES
} role;

/* Those that have the type that is measured. */
static int is_matrix(role r) { return r == QKV || r == OUT || r == FC1 || r == FC2 || r == PROJECTION; }

typedef struct {
    struct ggml_context *ctx; /* of what the graph computes */
    struct ggml_cgraph *graph;
    struct ggml_tensor *weights[ROLES][MOST_LAYERS];
    struct ggml_tensor *input, *pooled, *mask, *embeddings; /* mask: of texts */
    int rows;                                               /* of a picture or text */
} tower;

static void require(int ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "ggml_towers: %s\n", what);
    exit(1);
}

/* Number i of a role, uniform in -1 .. 1. */
static float noise(role r, uint32_t i) {
    uint32_t h = (i + (uint32_t)r * 0x9e3779b9u) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return (float)(int32_t)(h ^ h >> 16) * 0x1p-31f;
}

static struct ggml_context *context(void) {
    struct ggml_init_params p = {
        .mem_size = ggml_tensor_overhead() * MOST_NODES + ggml_graph_overhead_custom(MOST_NODES, 0), .no_alloc = 1};
    struct ggml_context *ctx = ggml_init(p);
    require(ctx != NULL, "no memory");
    return ctx;
}

/* Buffers that repack matrices of the type for faster products; NULL: the backend has none. */
static ggml_backend_buffer_type_t repacking(enum ggml_type type) {
    ggml_backend_dev_t device = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
    ggml_backend_dev_get_extra_bufts_t extra = (ggml_backend_dev_get_extra_bufts_t)ggml_backend_reg_get_proc_address(
        ggml_backend_dev_backend_reg(device), "ggml_backend_dev_get_extra_bufts");
    struct ggml_context *ctx = context();
    struct ggml_tensor *w = ggml_new_tensor_2d(ctx, type, options.width, options.width);
    struct ggml_tensor *y = ggml_mul_mat(ctx, w, ggml_new_tensor_2d(ctx, GGML_TYPE_F32, options.width, TOKENS));
    ggml_backend_buffer_type_t found = NULL;
    for (ggml_backend_buffer_type_t *b = extra ? extra(device) : NULL; b && *b && !found; b++) {
        w->buffer = ggml_backend_buft_alloc_buffer(*b, 0);
        if (ggml_backend_dev_supports_op(device, y)) found = *b;
        ggml_backend_buffer_free(w->buffer);
    }
    ggml_free(ctx);
    return found;
}

/* Fills the weights of a role: the same numbers in each layer, as quantising takes long, and time doesn't depend on them. */
static void fill(role r, struct ggml_tensor *const *layers, int count) {
    struct ggml_tensor *w = layers[0];
    int64_t k = w->ne[0], n = ggml_nelements(w) / k;
    float mean = r == PRE_GAIN || r == NORM1_GAIN || r == NORM2_GAIN || r == POST_GAIN;
    float spread = n > 1 && r != POSITIONS ? sqrtf(3.f / (float)k) : 0.25f; /* products of variance 1 */
    float *x = malloc((size_t)(k * n) * sizeof *x);
    void *bytes = malloc(ggml_nbytes(w));
    require(x && bytes, "no memory");
    for (uint32_t i = 0; i < k * n; i++) x[i] = mean + spread * noise(r, i);
    ggml_quantize_chunk(w->type, x, bytes, 0, n, k, NULL);
    for (int l = 0; l < count; l++) ggml_backend_tensor_set(layers[l], bytes, 0, ggml_nbytes(w));
    free(x);
    free(bytes);
}

static void fill_input(tower *t) {
    size_t n = (size_t)ggml_nelements(t->input);
    float *x = malloc(n * sizeof *x);
    int32_t *ids = malloc(n * sizeof *ids);
    ggml_fp16_t *mask = malloc(sizeof *mask * TOKENS * TOKENS);
    require(x && ids && mask, "no memory");
    for (uint32_t i = 0; i < n; i++) x[i] = noise(INPUT, i), ids[i] = (int32_t)((1 + x[i]) * (VOCABULARY / 2 - 1));
    ggml_backend_tensor_set(t->input, options.patch ? (void *)x : (void *)ids, 0, ggml_nbytes(t->input));
    for (int b = 0; b < options.batch; b++) ids[b] = options.patch ? t->rows * b : t->rows * (b + 1) - 1;
    ggml_backend_tensor_set(t->pooled, ids, 0, ggml_nbytes(t->pooled));
    for (int i = 0; i < TOKENS * TOKENS; i++) mask[i] = ggml_fp32_to_fp16(i % TOKENS > i / TOKENS ? -INFINITY : 0);
    if (t->mask) ggml_backend_tensor_set(t->mask, mask, 0, ggml_nbytes(t->mask));
    free(x);
    free(ids);
    free(mask);
}

/* Weights and input, in memory; the matrices of the type in buffers of their own kind. */
static void make_weights(tower *t, enum ggml_type type, ggml_backend_buffer_type_t buffers) {
    const int p = options.patch, w = options.width, layers = options.layers;
    t->rows = p ? 1 + (IMAGE / p) * (IMAGE / p) : TOKENS;
    /* As in files that clipgo quantises: rows of patches, maybe 588 long, don't fit into blocks. */
    enum ggml_type patches = ggml_is_quantized(type) ? GGML_TYPE_F16 : type;
    const enum ggml_type f32 = GGML_TYPE_F32;
    const struct {
        int count; /* 0: the tower has none */
        enum ggml_type type;
        int64_t k, n;
    } shapes[ROLES] = {
        [PATCHES] = {p > 0, patches, 3 * p * p, w},
        [CLASS] = {p > 0, f32, w, 1},
        [WORDS] = {p == 0, f32, w, VOCABULARY},
        [POSITIONS] = {1, f32, w, t->rows},
        [PRE_GAIN] = {p > 0, f32, w, 1},
        [PRE_BIAS] = {p > 0, f32, w, 1},
        [NORM1_GAIN] = {layers, f32, w, 1},
        [NORM1_BIAS] = {layers, f32, w, 1},
        [QKV] = {layers, type, w, 3 * w},
        [QKV_BIAS] = {layers, f32, 3 * w, 1},
        [OUT] = {layers, type, w, w},
        [OUT_BIAS] = {layers, f32, w, 1},
        [NORM2_GAIN] = {layers, f32, w, 1},
        [NORM2_BIAS] = {layers, f32, w, 1},
        [FC1] = {layers, type, w, 4 * w},
        [FC1_BIAS] = {layers, f32, 4 * w, 1},
        [FC2] = {layers, type, 4 * w, w},
        [FC2_BIAS] = {layers, f32, w, 1},
        [POST_GAIN] = {1, f32, w, 1},
        [POST_BIAS] = {1, f32, w, 1},
        [PROJECTION] = {1, type, w, options.embedding},
    };
    struct ggml_context *plain = context(), *products = context();
    for (int r = 0; r < ROLES; r++)
        for (int l = 0; l < shapes[r].count; l++)
            t->weights[r][l] =
                ggml_new_tensor_2d(is_matrix((role)r) ? products : plain, shapes[r].type, shapes[r].k, shapes[r].n);
    t->input = p ? ggml_new_tensor_4d(plain, f32, IMAGE, IMAGE, 3, options.batch)
                 : ggml_new_tensor_1d(plain, GGML_TYPE_I32, TOKENS * options.batch);
    t->mask = p ? NULL : ggml_new_tensor_2d(plain, GGML_TYPE_F16, TOKENS, TOKENS);
    t->pooled = ggml_new_tensor_1d(plain, GGML_TYPE_I32, options.batch);
    ggml_backend_buffer_t a = ggml_backend_alloc_ctx_tensors_from_buft(plain, ggml_backend_cpu_buffer_type());
    ggml_backend_buffer_t b = ggml_backend_alloc_ctx_tensors_from_buft(products, buffers);
    require(a && b, "no memory");
    ggml_backend_buffer_set_usage(b, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    for (int r = 0; r < ROLES; r++)
        if (shapes[r].count) fill((role)r, t->weights[r], shapes[r].count);
    fill_input(t);
}

static struct ggml_tensor *linear(tower *t, struct ggml_tensor *x, role w, int l) {
    return ggml_add(t->ctx, ggml_mul_mat(t->ctx, t->weights[w][l], x), t->weights[w + 1][l]);
}

static struct ggml_tensor *norm(tower *t, struct ggml_tensor *x, role gain, int l) {
    x = ggml_mul(t->ctx, ggml_norm(t->ctx, x, eps), t->weights[gain][l]);
    return ggml_add(t->ctx, x, t->weights[gain + 1][l]);
}

/* Part 0, 1 or 2 of what the product made, by heads: [width / heads, rows, heads, batch]. */
static struct ggml_tensor *part(tower *t, struct ggml_tensor *qkv, int i) {
    const int64_t head = options.width / options.heads;
    struct ggml_tensor *x =
        ggml_view_4d(t->ctx, qkv, head, options.heads, t->rows, options.batch, (size_t)head * sizeof(float), qkv->nb[1],
                     qkv->nb[1] * (size_t)t->rows, (size_t)(i * options.width) * sizeof(float));
    return ggml_permute(t->ctx, x, 0, 2, 1, 3);
}

static struct ggml_tensor *attention(tower *t, struct ggml_tensor *qkv) {
    struct ggml_tensor *q = part(t, qkv, 0), *k = part(t, qkv, 1), *v = part(t, qkv, 2);
    const float scale = 1 / sqrtf((float)options.width / (float)options.heads);
    struct ggml_tensor *x = ggml_flash_attn_ext(t->ctx, q, k, v, t->mask, scale, 0, 0);
    return ggml_reshape_2d(t->ctx, x, options.width, qkv->ne[1]);
}

/* All rows go through all blocks, as in other programs: [width, rows * batch]. */
static struct ggml_tensor *block(tower *t, struct ggml_tensor *x, int l) {
    struct ggml_context *ctx = t->ctx;
    x = ggml_add(ctx, x, linear(t, attention(t, linear(t, norm(t, x, NORM1_GAIN, l), QKV, l)), OUT, l));
    struct ggml_tensor *y = ggml_gelu_quick(ctx, linear(t, norm(t, x, NORM2_GAIN, l), FC1, l));
    return ggml_add(ctx, x, linear(t, y, FC2, l));
}

/* Pixels or tokens to [width, rows, batch]. */
static struct ggml_tensor *embed(tower *t) {
    struct ggml_context *ctx = t->ctx;
    const int w = options.width, p = options.patch;
    struct ggml_tensor *x;
    if (p) {
        struct ggml_tensor *kernel = t->weights[PATCHES][0];
        enum ggml_type type = kernel->type == GGML_TYPE_F16 ? GGML_TYPE_F16 : GGML_TYPE_F32;
        x = ggml_im2col(ctx, ggml_reshape_4d(ctx, kernel, p, p, 3, w), t->input, p, p, 0, 0, 1, 1, 1, type);
        x = ggml_mul_mat(ctx, kernel, ggml_reshape_2d(ctx, x, 3 * p * p, (t->rows - 1) * options.batch));
        x = ggml_reshape_3d(ctx, x, w, t->rows - 1, options.batch);
        x = ggml_concat(ctx, ggml_repeat_4d(ctx, t->weights[CLASS][0], w, 1, options.batch, 1), x, 1);
    } else {
        x = ggml_reshape_3d(ctx, ggml_get_rows(ctx, t->weights[WORDS][0], t->input), w, t->rows, options.batch);
    }
    x = ggml_add(ctx, x, t->weights[POSITIONS][0]);
    return p ? norm(t, x, PRE_GAIN, 0) : x;
}

static void make_graph(tower *t) {
    t->ctx = context();
    struct ggml_tensor *x = ggml_reshape_2d(t->ctx, embed(t), options.width, t->rows * options.batch);
    for (int l = 0; l < options.layers; l++) x = block(t, x, l);
    x = norm(t, ggml_get_rows(t->ctx, x, t->pooled), POST_GAIN, 0);
    t->embeddings = ggml_mul_mat(t->ctx, t->weights[PROJECTION][0], x);
    t->graph = ggml_new_graph_custom(t->ctx, MOST_NODES, 0);
    ggml_build_forward_expand(t->graph, t->embeddings);
    require(ggml_gallocr_alloc_graph(ggml_gallocr_new(ggml_backend_cpu_buffer_type()), t->graph), "no memory");
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* ms of a run, after one that isn't counted. */
static double measure(ggml_backend_t backend, const tower *t, int least_runs, int least_ms) {
    static double ms[MOST_RUNS];
    int runs = -1;
    int64_t begin = 0, end = 0;
    for (; runs < least_runs || (runs < MOST_RUNS && end - begin < 1000 * (int64_t)least_ms); runs++) {
        int64_t start = ggml_time_us();
        require(ggml_backend_graph_compute(backend, t->graph) == GGML_STATUS_SUCCESS, "the run failed");
        end = ggml_time_us();
        if (runs < 0) begin = end;
        else ms[runs] = 1e-3 * (double)(end - start);
    }
    qsort(ms, (size_t)runs, sizeof *ms, by_value);
    int half = (runs + 1) / 2;
    return (ms[(half - 1) / 2] + ms[half / 2]) / 2;
}

static void read_options(char **args) {
    static const struct {
        const char *name;
        int *value;
    } numbers[] = {
        {"--patch", &options.patch},     {"--width", &options.width}, {"--layers", &options.layers},
        {"--heads", &options.heads},     {"--batch", &options.batch}, {"--embedding", &options.embedding},
        {"--threads", &options.threads}, {"--ms", &options.ms},       {"--print", &options.print},
    };
    for (; *args; args += 2) {
        require(args[1] != NULL, "an option lacks its value");
        if (!strcmp(*args, "--type")) {
            options.type = args[1];
            continue;
        }
        size_t i = 0, n = sizeof numbers / sizeof *numbers;
        while (i < n && strcmp(*args, numbers[i].name)) i++;
        require(i < n, "unknown option; the top of towers.c names them");
        *numbers[i].value = atoi(args[1]);
    }
    require(options.layers <= MOST_LAYERS, "too many layers");
}

static enum ggml_type type_named(const char *name) {
    for (int i = 0; i < GGML_TYPE_COUNT; i++) {
        const char *other = ggml_type_name((enum ggml_type)i);
        if (other && !strcmp(name, other)) return (enum ggml_type)i;
    }
    require(0, "unknown type; ggml writes q4_K with a large K");
    return GGML_TYPE_COUNT;
}

static void silent(enum ggml_log_level level, const char *text, void *data) { (void)level, (void)text, (void)data; }

int main(int argc, char **argv) {
    (void)argc;
    read_options(argv + 1);
    ggml_log_set(silent, NULL);
    ggml_time_init();
    ggml_backend_t backend = ggml_backend_cpu_init();
    require(backend != NULL, "no CPU backend");
    ggml_backend_cpu_set_n_threads(backend, options.threads);
    struct ggml_threadpool_params params = ggml_threadpool_params_default(options.threads);
    ggml_backend_cpu_set_threadpool(backend, ggml_threadpool_new(&params));

    enum ggml_type type = type_named(options.type);
    ggml_backend_buffer_type_t layouts[] = {ggml_backend_cpu_buffer_type(), repacking(type)};
    static tower towers[2];
    for (int i = 0; i < 2 && layouts[i]; i++) {
        make_weights(&towers[i], type, layouts[i]);
        make_graph(&towers[i]);
    }
    /* Repacked weights aren't always the faster ones: for K quants there may be better kernels that take them as they are. */
    int best = layouts[1] && measure(backend, &towers[1], 2, 0) < measure(backend, &towers[0], 2, 0);
    const tower *t = &towers[best];
    double ms = measure(backend, t, LEAST_RUNS, options.ms);

    size_t n = (size_t)ggml_nelements(t->embeddings);
    float *x = malloc(n * sizeof *x);
    require(x != NULL, "no memory");
    ggml_backend_tensor_get(t->embeddings, x, 0, n * sizeof *x);
    for (size_t i = 0; i < n; i++) require(isfinite(x[i]), "an embedding isn't finite");
    printf("{\"ms\": %.4f, \"ggml\": \"%s\", \"weights\": \"%s\"", ms, ggml_version(),
           ggml_backend_buft_name(layouts[best]));
    for (size_t i = 0; options.print && i < n; i++) printf("%s%.8g", i ? ", " : ", \"embeddings\": [", (double)x[i]);
    printf("%s}\n", options.print ? "]" : "");
    return 0; /* all memory goes with the process */
}
