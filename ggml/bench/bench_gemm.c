/* bench_gemm.c: matrix products of CLIP's shapes, per weight type and instruction set, as shares of the ceiling
 * measured in the same run.
 *
 *   bench_gemm [-i isa] [-t type] [-a f32|int8|block|bf16] [-n threads] [-r rows]
 *
 * Prints GOP/s, and in brackets the percentage of the ceiling of the type's own arithmetic; preparing the activations
 * is included, packing isn't. Each thread's own processor time counts, so that other processes disturb little; with two
 * threads the slower one counts. Each number is the median of
 * the faster half of 16 runs. */
#define _POSIX_C_SOURCE 200809L
#include "dispatch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_THREADS = 64, RUNS = 16 };

static const struct {
    const char *name;
    uint32_t id;
    size_t elements, bytes;
} types[] = {
    {"f32", 0, 1, 4},       {"f16", 1, 1, 2},       {"bf16", 30, 1, 2},       {"q8_0", 8, 32, 34},
    {"q4_0", 2, 32, 18},    {"q4_1", 3, 32, 20},    {"q5_0", 6, 32, 22},      {"q5_1", 7, 32, 24},
    {"q2_k", 10, 256, 84},  {"q3_k", 11, 256, 110}, {"q4_k", 12, 256, 144},   {"q5_k", 13, 256, 176},
    {"q6_k", 14, 256, 210}, {"iq4_nl", 20, 32, 18}, {"iq4_xs", 23, 256, 136}, {"mxfp4", 39, 32, 17},
};

static const size_t shapes[][2] = {{768, 768}, {2304, 768}, {3072, 768}, {768, 3072}, {4096, 1024}}; /* n, k */

/* Processor time of this thread, which other processes can't stretch. */
static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct work {
    const clipgo_kernels *kernels;
    const clipgo_matrix *matrix;
    const float *x;
    float *dst;
    uint8_t *prepared;
    size_t rows;
    uint32_t begin, end;       /* panels */
    size_t row_begin, row_end; /* rows to prepare */
    pthread_barrier_t *barrier;
    size_t repeat;
    double seconds;
} work;

static void *run(void *arg) {
    work *w = arg;
    const clipgo_matrix *m = w->matrix;
    size_t bytes = w->kernels->prepared_bytes(m->form, m->cols);
    clipgo_epilogue ep = {.dst = w->dst, .dst_stride = m->rows};
    pthread_barrier_wait(w->barrier);
    double start = thread_seconds();
    for (size_t i = 0; i < w->repeat; i++) {
        w->kernels->prepare(m->form, w->prepared + w->row_begin * bytes, w->x + w->row_begin * m->cols, m->cols,
                            w->row_end - w->row_begin, m->cols);
        pthread_barrier_wait(w->barrier);
        w->kernels->gemm(m, w->prepared, w->rows, w->begin, w->end, &ep);
        pthread_barrier_wait(w->barrier);
    }
    w->seconds = thread_seconds() - start;
    return NULL;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void *allocate(size_t n) {
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);
    if (!p) exit(1);
    memset(p, 0, n);
    return p;
}

/* GOP/s of one product. */
static double measure(const clipgo_kernels *k, const clipgo_matrix *m, size_t rows, size_t threads) {
    float *x = allocate(rows * m->cols * 4), *dst = allocate(rows * m->rows * 4);
    uint8_t *prepared = allocate(rows * k->prepared_bytes(m->form, m->cols));
    for (size_t i = 0; i < rows * m->cols; i++) x[i] = (float)(i * 2654435761u % 1000) * 0.002f - 1;
    double ops = 2.0 * (double)rows * (double)m->rows * (double)m->cols, speeds[RUNS];
    /* At least a millisecond, beside which the page faults of a new thread's stack are nothing. */
    double start = thread_seconds();
    k->prepare(m->form, prepared, x, m->cols, rows, m->cols);
    k->gemm(m, prepared, rows, 0, m->panels, &(clipgo_epilogue){.dst = dst, .dst_stride = m->rows});
    size_t repeat = (size_t)(1e-3 * (double)threads / (thread_seconds() - start)) + 1;
    for (int i = 0; i < RUNS; i++) {
        pthread_barrier_t barrier;
        work works[MAX_THREADS];
        pthread_t ids[MAX_THREADS];
        double slowest = 0;
        pthread_barrier_init(&barrier, NULL, (unsigned)threads);
        for (size_t t = 0; t < threads; t++) {
            works[t] = (work){k,
                              m,
                              x,
                              dst,
                              prepared,
                              rows,
                              (uint32_t)(m->panels * t / threads),
                              (uint32_t)(m->panels * (t + 1) / threads),
                              rows * t / threads,
                              rows * (t + 1) / threads,
                              &barrier,
                              repeat,
                              0};
            pthread_create(&ids[t], NULL, run, &works[t]);
        }
        for (size_t t = 0; t < threads; t++) {
            pthread_join(ids[t], NULL);
            if (works[t].seconds > slowest) slowest = works[t].seconds;
        }
        pthread_barrier_destroy(&barrier);
        speeds[i] = ops * (double)repeat / slowest * 1e-9;
    }
    qsort(speeds, RUNS, sizeof *speeds, by_value);
    free(x), free(dst), free(prepared);
    return speeds[RUNS * 3 / 4];
}

static void bench_type(const clipgo_kernels *k, size_t type, uint32_t activations, const clipgo_ceilings *c,
                       size_t threads, size_t only_rows) {
    static const size_t rows[] = {50, 77, 197, 257};
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
        clipgo_matrix m;
        size_t n = shapes[s][0], cols = shapes[s][1], row_bytes = cols / types[type].elements * types[type].bytes;
        if (!k->plan(&m, types[type].id, n, cols, activations, 0)) continue;
        m.direct = dispatch_direct();
        uint8_t *tensor = allocate(n * row_bytes);
        for (size_t i = 0; i < n * row_bytes; i++) tensor[i] = (uint8_t)(i * 2654435761u >> 13) & 0x37;
        /* Floats from 0.01 to 2: of subnormal ones the processor's way with them would be what is measured. */
        if (types[type].elements == 1)
            for (size_t i = types[type].bytes - 1; i < n * row_bytes; i += types[type].bytes) tensor[i] = 0x3c;
        m.data = allocate(m.panels * m.panel_bytes);
        double start = thread_seconds();
        k->pack(&m, tensor, row_bytes, 0, m.panels);
        double pack = thread_seconds() - start;
        int floats = m.form == CLIPGO_FORM_F32 || m.form == CLIPGO_FORM_BF16_X3;
        double ceiling = (floats ? c->f32 : m.form == CLIPGO_FORM_BF16 ? c->bf16 : c->int8) * 1e-9;
        printf("%-10s %-6s form %d %4zux%-4zu x%zu  pack %5.2f G/s ", k->isa, types[type].name, (int)m.form, n, cols,
               threads, (double)n * (double)cols / pack * 1e-9);
        for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
            if (only_rows && rows[r] != only_rows) continue;
            double speed = measure(k, &m, rows[r], threads);
            printf("  %zu: %6.1f (%3.0f %%)", rows[r], speed, ceiling > 0 ? 100 * speed / ceiling : 0.0);
        }
        printf("\n");
        fflush(stdout);
        free(tensor), free(m.data);
    }
}

int main(int argc, char **argv) {
    const char *isa = "", *type = NULL, *activations = NULL;
    size_t threads = 1, rows = 0;
    static const char *const names[] = {"f32", "int8", "block", "bf16"};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-i") == 0) isa = argv[i + 1];
        if (strcmp(argv[i], "-t") == 0) type = argv[i + 1];
        if (strcmp(argv[i], "-a") == 0) activations = argv[i + 1];
        if (strcmp(argv[i], "-n") == 0) threads = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "-r") == 0) rows = strtoul(argv[i + 1], NULL, 10);
    }
    const clipgo_kernels *k = dispatch_find(isa);
    if (!k || threads < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "bench_gemm: no instruction set %s here, or %zu threads\n", isa, threads);
        return 2;
    }
    clipgo_device_options options = {.size = sizeof options, .threads = (uint32_t)threads};
    clipgo_device *device;
    clipgo_ceilings c = {.size = sizeof c};
    clipgo_error err = {.size = sizeof err};
    snprintf(options.isa, sizeof options.isa, "%s", k->isa);
    if (clipgo_device_create(&options, &device, &err) != CLIPGO_OK ||
        clipgo_device_ceilings(device, 256u << 20, &c, &err) != CLIPGO_OK) {
        fprintf(stderr, "bench_gemm: %s\n", err.message);
        return 1;
    }
    clipgo_device_free(device);
    printf("%s, %zu threads: f32 %.1f GFLOP/s, int8 %.1f GOP/s, bf16 %.1f GFLOP/s; read %.1f GB/s\n", k->isa, threads,
           c.f32 * 1e-9, c.int8 * 1e-9, c.bf16 * 1e-9, c.read * 1e-9);
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        if (type && strcmp(type, types[t].name) != 0) continue;
        for (uint32_t a = 0; a < 4; a++) {
            int wanted = activations ? strcmp(activations, names[a]) == 0
                                     : a == (types[t].elements > 1 ? CLIPGO_ACTIVATIONS_INT8 : CLIPGO_ACTIVATIONS_F32);
            if (wanted) bench_type(k, t, a, &c, threads, rows);
        }
    }
    return 0;
}
