/* bench_tower.c: whole towers with random weights, through clipgo.h alone, and where their time goes.
 *
 *   bench_tower [-s shape] [-i isa] [-t f32|f16|q8_0|q4_0] [-a f32|int8|row|bf16] [-n threads] [-b batch] [-p]
 *
 * ms is the median of the faster half of the runs; -p lists the time of each kind of op. Beside it the processor time
 * of all threads, which other processes disturb less. */
#define _POSIX_C_SOURCE 200809L
#include "clipgo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { MOST_OPS = 512, MOST_TENSORS = 2048, RUNS = 21, PATCHES = 0, TOKENS = 1 };

static const struct shape {
    const char *name;
    uint32_t kind, layers, width, heads, hidden, rows, patch, out;
} shapes[] = {
    {"vit-b-32", PATCHES, 12, 768, 12, 3072, 50, 32, 512},   {"vit-b-16", PATCHES, 12, 768, 12, 3072, 197, 16, 512},
    {"vit-l-14", PATCHES, 24, 1024, 16, 4096, 257, 14, 768}, {"vit-h-14", PATCHES, 32, 1280, 16, 5120, 257, 14, 1024},
    {"text-b", TOKENS, 12, 512, 8, 2048, 77, 0, 512},        {"text-l", TOKENS, 12, 768, 12, 3072, 77, 0, 768},
};

static const struct {
    const char *name;
    uint32_t id, elements, bytes;
} types[] = {{"f32", 0, 1, 4}, {"f16", 1, 1, 2}, {"q8_0", 8, 32, 34}, {"q4_0", 2, 32, 18}};

static struct {
    clipgo_tensor tensors[MOST_TENSORS];
    clipgo_value values[MOST_OPS];
    clipgo_op ops[MOST_OPS];
    uint32_t n_tensors, n_values, n_ops;
    uint64_t bytes;
    double flop; /* of an item */
} p;

static int32_t tensor(uint32_t type, uint64_t rows, uint64_t cols) {
    uint32_t t = 0;
    while (types[t].id != type) t++;
    if (cols % types[t].elements != 0) t = 1; /* as convert does: what isn't whole blocks stays F16 */
    uint64_t bytes = rows * (cols / types[t].elements) * types[t].bytes;
    p.tensors[p.n_tensors] = (clipgo_tensor){p.bytes, bytes, rows, cols, types[t].id, 0};
    p.bytes += (bytes + 63) / 64 * 64;
    return (int32_t)p.n_tensors++;
}

static int32_t value(uint32_t kind, uint32_t role, uint32_t rows, uint32_t width) {
    p.values[p.n_values] = (clipgo_value){kind, role, 0, rows, width, 0};
    return (int32_t)p.n_values++;
}

static clipgo_op *op(uint32_t kind, int32_t x, uint32_t rows, uint32_t width) {
    clipgo_op *o = &p.ops[p.n_ops++];
    *o = (clipgo_op){.kind = kind, .src = {x, -1, -1, -1}, .w = {-1, -1, -1, -1, -1, -1, -1, -1}};
    o->dst = value(CLIPGO_F32, CLIPGO_TEMPORARY, rows, width);
    return o;
}

static int32_t norm(int32_t x, uint32_t rows, uint32_t width) {
    clipgo_op *o = op(CLIPGO_OP_NORM, x, rows, width);
    o->w[0] = tensor(0, 1, width), o->w[1] = tensor(0, 1, width), o->f[0] = 1e-5f;
    return o->dst;
}

static int32_t linear(int32_t x, uint32_t rows, uint32_t in, uint32_t out, int32_t n, uint32_t type, int32_t act,
                      int32_t residual) {
    clipgo_op *o = op(CLIPGO_OP_LINEAR, x, rows, out * (uint32_t)n);
    for (int i = 0; i < n; i++) o->w[i] = tensor(type, out, in), o->w[3 + i] = tensor(0, 1, out);
    o->i[0] = act, o->i[1] = n, o->src[1] = residual;
    p.flop += 2.0 * rows * in * out * n;
    return o->dst;
}

static void build(const struct shape *s, uint32_t type) {
    int32_t x;
    uint32_t rows = s->rows, width = s->width, side = 224 / (s->patch ? s->patch : 1);
    memset(&p, 0, sizeof p);
    if (s->kind == PATCHES) {
        uint32_t cols = 3 * s->patch * s->patch, pixels = side * side;
        clipgo_op *o = op(CLIPGO_OP_IM2COL, value(CLIPGO_F32, CLIPGO_INPUT, 3 * 224, 224), pixels, cols);
        int32_t n = (int32_t)s->patch, geometry[] = {0, 3, 224, 224, n, n, n, 0, 0, (int32_t)side, (int32_t)side};
        memcpy(o->i, geometry, sizeof geometry);
        x = linear(o->dst, pixels, cols, width, 1, type, 0, -1);
        o = op(CLIPGO_OP_CONCAT, x, rows, width);
        o->w[0] = tensor(1, 1, width);
        int32_t joined = o->dst;
        o = op(CLIPGO_OP_ADD, joined, rows, width);
        o->w[0] = tensor(1, rows, width);
        x = norm(o->dst, rows, width);
    } else {
        clipgo_op *o = op(CLIPGO_OP_EMBED, value(CLIPGO_I32, CLIPGO_INPUT, rows, 1), rows, width);
        o->w[0] = tensor(type, 49408, width), o->w[1] = tensor(1, rows, width), o->f[0] = 1;
        x = o->dst;
    }
    for (uint32_t l = 0; l < s->layers; l++) {
        uint32_t dim = width / s->heads;
        int32_t qkv = linear(norm(x, rows, width), rows, width, width, 3, type, 0, -1);
        clipgo_op *o = op(CLIPGO_OP_ATTENTION, qkv, rows, width);
        o->src[1] = o->src[2] = qkv;
        o->i[0] = (int32_t)s->heads, o->i[2] = (int32_t)width, o->i[3] = (int32_t)(2 * width), o->i[4] = (int32_t)dim;
        o->i[5] = s->kind == TOKENS, o->f[0] = 0.125f;
        p.flop += 4.0 * rows * rows * width / (s->kind == TOKENS ? 2 : 1);
        x = linear(o->dst, rows, width, width, 1, type, 0, x);
        int32_t h = linear(norm(x, rows, width), rows, width, s->hidden, 1, type, CLIPGO_ACT_QUICK_GELU, -1);
        x = linear(h, rows, s->hidden, width, 1, type, 0, x);
    }
    x = op(CLIPGO_OP_SELECT, x, 1, width)->dst;
    x = linear(norm(x, 1, width), 1, width, s->out, 1, type, 0, -1);
    p.values[x].role = CLIPGO_OUTPUT;
}

/* Quants of any value, scales of about 1/1000: no product grows or is a NaN. */
static uint8_t *random_data(void) {
    uint8_t *data = aligned_alloc(64, p.bytes);
    uint64_t state = 1;
    for (uint32_t t = 0; data != NULL && t < p.n_tensors; t++) {
        const clipgo_tensor *w = &p.tensors[t];
        uint8_t *at = data + w->offset;
        uint32_t block = w->type == 8 ? 34 : w->type == 2 ? 18 : w->type == 1 ? 2 : 4;
        for (uint64_t i = 0; i < w->bytes; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            at[i] = (uint8_t)(state >> 56);
        }
        for (uint64_t i = 0; i < w->bytes; i += block) {
            float f = (float)(int8_t)at[i] * 3e-4f;
            uint16_t h = (uint16_t)(0x1400 | (at[i] << 8 & 0x8000)); /* 2^-10 */
            if (block == 4) memcpy(at + i, &f, 4);
            else memcpy(at + i, &h, 2);
        }
    }
    return data;
}

static double now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int by_size(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int check(int32_t status, const clipgo_error *err) {
    if (status != CLIPGO_OK) fprintf(stderr, "bench_tower: %s\n", err->message);
    return status == CLIPGO_OK;
}

static void print_profile(clipgo_context *context, double total) {
    static const char *const names[] = {
        [0] = "",
#define OP(KIND, name, sources, weights, ints, floats) [CLIPGO_OP_##KIND] = #name,
#include "ops.def"
#undef OP
    };
    uint64_t ns[MOST_OPS], by_kind[sizeof names / sizeof names[0]] = {0};
    clipgo_profile(context, ns, MOST_OPS, NULL);
    for (uint32_t i = 0; i < p.n_ops; i++) by_kind[p.ops[i].kind] += ns[i];
    for (uint32_t k = 1; k < sizeof names / sizeof names[0]; k++)
        if (by_kind[k] > 0)
            printf("    %-10s %8.2f ms %5.1f %%\n", names[k], (double)by_kind[k] / 1e6 / RUNS,
                   (double)by_kind[k] / 1e4 / total);
}

static int bench(const struct shape *s, uint32_t type, uint32_t activations, const char *isa, uint32_t threads,
                 uint32_t batch, int profile) {
    build(s, type);
    uint8_t *data = random_data();
    clipgo_error err = {.size = sizeof err};
    clipgo_device_options options = {.size = sizeof options, .threads = threads};
    clipgo_program_desc desc = {sizeof desc, activations, p.n_values, p.n_ops, 0};
    clipgo_context_options context_options = {sizeof context_options, batch, 1, profile ? CLIPGO_CONTEXT_PROFILE : 0};
    clipgo_run_args args = {sizeof args, batch, 1, 0};
    clipgo_device_info info = {.size = sizeof info};
    clipgo_memory memory = {.size = sizeof memory}, arena = memory;
    clipgo_device *device = NULL;
    clipgo_weights *weights = NULL;
    clipgo_program *program = NULL;
    clipgo_context *context = NULL;
    snprintf(options.isa, sizeof options.isa, "%s", isa);
    uint64_t in_bytes = (uint64_t)batch * 3 * 224 * 224 * 4, out_bytes = (uint64_t)batch * s->out * 4;
    void *in = calloc(1, in_bytes), *out = malloc(out_bytes);
    double times[RUNS], processors[RUNS], pack = 0, total = 0;
    int ok = data != NULL && in != NULL && out != NULL && check(clipgo_device_create(&options, &device, &err), &err) &&
             check(clipgo_weights_create(device, data, p.bytes, p.tensors, p.n_tensors, 0, &weights, &err), &err);
    double begin = now(CLOCK_MONOTONIC);
    ok = ok && check(clipgo_program_create(weights, &desc, p.values, p.ops, &program, &err), &err);
    pack = now(CLOCK_MONOTONIC) - begin;
    ok = ok && check(clipgo_context_create(program, &context_options, &context, &err), &err);
    for (int i = 0; i < RUNS && ok; i++) {
        double processor = now(CLOCK_PROCESS_CPUTIME_ID);
        begin = now(CLOCK_MONOTONIC);
        ok = check(clipgo_run(context, &args, in, in_bytes, out, out_bytes, &err), &err);
        total += times[i] = now(CLOCK_MONOTONIC) - begin;
        processors[i] = now(CLOCK_PROCESS_CPUTIME_ID) - processor;
    }
    if (ok) {
        clipgo_device_describe(device, &info, &err);
        clipgo_program_memory(program, &memory, &err);
        clipgo_context_memory(context, &arena, &err);
        qsort(times, RUNS, sizeof times[0], by_size);
        qsort(processors, RUNS, sizeof processors[0], by_size);
        double ms = times[RUNS / 4];
        printf("%-9s %-5s %s, %u threads, batch %u: %8.2f ms an item (%.2f of processors), %7.1f GFLOP/s, packed %.1f "
               "MB in %.0f ms, arena %.1f MB\n",
               s->name,
               types[type == 0   ? 0
                     : type == 1 ? 1
                     : type == 8 ? 2
                                 : 3]
                   .name,
               info.isa, info.threads, batch, ms / batch, processors[RUNS / 4] / batch, p.flop * batch / ms / 1e6,
               (double)memory.packed_bytes / 1e6, pack, (double)arena.arena_bytes / 1e6);
        if (profile) print_profile(context, total);
    }
    clipgo_context_free(context);
    clipgo_program_free(program);
    clipgo_weights_free(weights);
    clipgo_device_free(device);
    free(in);
    free(out);
    free(data);
    return ok;
}

int main(int argc, char **argv) {
    static const char *const activations[] = {"f32", "int8", "row", "bf16"};
    const char *shape = "", *isa = "", *type = "";
    uint32_t threads = 0, batch = 1, form = 4;
    int profile = 0, ok = 1, c;
    while ((c = getopt(argc, argv, "s:i:t:a:n:b:p")) != -1) {
        switch (c) {
        case 's': shape = optarg; break;
        case 'i': isa = optarg; break;
        case 't': type = optarg; break;
        case 'a':
            for (form = 0; form < 4 && strcmp(activations[form], optarg) != 0;) form++;
            break;
        case 'n': threads = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'b': batch = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'p': profile = 1; break;
        default: return 2;
        }
    }
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++)
        for (size_t t = 0; t < sizeof types / sizeof types[0] && ok; t++) {
            if ((*shape && strcmp(shape, shapes[s].name) != 0) || (*type && strcmp(type, types[t].name) != 0)) continue;
            uint32_t by_type = t < 2 ? CLIPGO_ACTIVATIONS_F32 : CLIPGO_ACTIVATIONS_INT8_BLOCK;
            ok = bench(&shapes[s], types[t].id, form < 4 ? form : by_type, isa, threads, batch, profile);
        }
    return !ok;
}
