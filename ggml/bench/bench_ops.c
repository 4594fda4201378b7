/* bench_ops.c: every kernel but the products, per instruction set, on the sizes of CLIP's towers.
 *
 *   bench_ops [-i isa] [-k kernel]
 *
 * Prints the microseconds of a call on one core, in processor time, and how many billions of elements it writes (of
 * attention: of operations it does) in a second: the median of the faster half of 16 runs. */
#define _POSIX_C_SOURCE 200809L
#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 16, ROWS = 197, WIDTH = 768, HIDDEN = 3072, SIDE = 72, MOST = 4 << 20 };
enum { NARROW = ROWS * WIDTH, WIDE = ROWS * HIDDEN, CONV = SIDE * SIDE * 288 }; /* elements */
static const double run_seconds = 0.004;

static float *x, *y, *dst, *scratch;
static uint8_t *bytes, *bytes_out;

static void norm(const clipgo_kernels *k, size_t n) {
    (void)n;
    k->norm(&(clipgo_norm_args){.x = x, .gain = y, .bias = y, .dst = dst, .width = WIDTH, .eps = 1e-5f}, 0, ROWS);
}

static void rms_norm(const clipgo_kernels *k, size_t n) {
    (void)n;
    k->norm(&(clipgo_norm_args){.x = x, .gain = y, .dst = dst, .width = WIDTH, .eps = 1e-5f, .rms = 1}, 0, ROWS);
}

static void l2norm(const clipgo_kernels *k, size_t n) {
    (void)n;
    k->l2norm(dst, x, WIDTH, 1e-12f, 0, ROWS);
}

static void prepare(const clipgo_kernels *k, size_t form) {
    k->prepare((clipgo_form)form, bytes_out, x, WIDTH, ROWS, WIDTH);
}

static void act(const clipgo_kernels *k, size_t kind) { k->act(dst, x, (size_t)ROWS * HIDDEN, (int32_t)kind); }

static void add(const clipgo_kernels *k, size_t n) { k->add(dst, x, y, n); }
static void mul(const clipgo_kernels *k, size_t n) { k->mul(dst, x, y, n); }
static void axpby(const clipgo_kernels *k, size_t n) { k->axpby(dst, 0.001f, x, n); }

/* One head of 64 columns, out of a packed QKV of 12. */
static void attend(const clipgo_kernels *k, size_t rows, int32_t rounds) {
    k->attention(&(clipgo_attention_args){.q = x,
                                          .k = x + WIDTH,
                                          .v = x + 2 * WIDTH,
                                          .dst = dst,
                                          .q_stride = 3 * WIDTH,
                                          .k_stride = 3 * WIDTH,
                                          .v_stride = 3 * WIDTH,
                                          .dst_stride = WIDTH,
                                          .q_rows = rows,
                                          .k_rows = rows,
                                          .head_dim = 64,
                                          .scale = 0.125f,
                                          .rounds = rounds,
                                          .scratch = scratch});
}

static void attention(const clipgo_kernels *k, size_t rows) { attend(k, rows, 0); }
static void attention_rounded(const clipgo_kernels *k, size_t rows) { attend(k, rows, 2); }

/* A layer of EfficientNet-B7. */
static void dwconv(const clipgo_kernels *k, size_t taps) {
    clipgo_dwconv_args a = {.x = x,
                            .taps = y,
                            .bias = y,
                            .dst = dst,
                            .channels = 288,
                            .height = SIDE,
                            .width = SIDE,
                            .kernel_h = taps,
                            .kernel_w = taps,
                            .stride = 1,
                            .pad_top = taps / 2,
                            .pad_left = taps / 2,
                            .out_w = SIDE,
                            .act = CLIPGO_ACT_SILU};
    k->dwconv(&a, 0, SIDE * SIDE);
}

static void dequantize(const clipgo_kernels *k, size_t type) { k->dequantize_row(dst, bytes, (uint32_t)type, 32768); }

static const struct {
    const char *name;
    void (*call)(const clipgo_kernels *k, size_t n);
    size_t n;
    double work; /* of a call: elements written, or operations */
} benches[] = {
    {"norm 197x768", norm, 0, NARROW},
    {"norm (rms) 197x768", rms_norm, 0, NARROW},
    {"l2norm 197x768", l2norm, 0, NARROW},
    {"prepare int8 197x768", prepare, CLIPGO_FORM_Q8, NARROW},
    {"prepare int8 by block", prepare, CLIPGO_FORM_Q8_BLOCK, NARROW},
    {"prepare bfloat16 197x768", prepare, CLIPGO_FORM_BF16, NARROW},
    {"act gelu 197x3072", act, CLIPGO_ACT_GELU, WIDE},
    {"act gelu_tanh 197x3072", act, CLIPGO_ACT_GELU_TANH, WIDE},
    {"act quick_gelu 197x3072", act, CLIPGO_ACT_QUICK_GELU, WIDE},
    {"act silu 197x3072", act, CLIPGO_ACT_SILU, WIDE},
    {"add 197x768", add, NARROW, NARROW},
    {"mul 197x768", mul, NARROW, NARROW},
    {"axpby 197x768", axpby, NARROW, NARROW},
    {"attention 50 rows", attention, 50, 4.0 * 50 * 50 * 64},
    {"attention 197 rows", attention, 197, 4.0 * 197 * 197 * 64},
    {"attention 257 rows", attention, 257, 4.0 * 257 * 257 * 64},
    {"attention 577 rows", attention, 577, 4.0 * 577 * 577 * 64},
    {"attention, rounded, 50 rows", attention_rounded, 50, 4.0 * 50 * 50 * 64},
    {"attention, rounded, 197 rows", attention_rounded, 197, 4.0 * 197 * 197 * 64},
    {"attention, rounded, 257 rows", attention_rounded, 257, 4.0 * 257 * 257 * 64},
    {"attention, rounded, 577 rows", attention_rounded, 577, 4.0 * 577 * 577 * 64},
    {"dwconv 3x3, 72x72x288", dwconv, 3, CONV},
    {"dwconv 5x5, 72x72x288", dwconv, 5, CONV},
    {"dequantize f16", dequantize, 1, 32768},
    {"dequantize q8_0", dequantize, 8, 32768},
    {"dequantize q4_0", dequantize, 2, 32768},
    {"dequantize q4_k", dequantize, 12, 32768},
    {"dequantize q6_k", dequantize, 14, 32768},
};

static double thread_seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b) {
    double p = *(const double *)a, q = *(const double *)b;
    return p < q ? -1 : p > q;
}

/* Seconds of a call. */
static double measure(const clipgo_kernels *k, size_t b) {
    double times[RUNS];
    size_t calls = 1;
    for (int i = -1; i < RUNS; i++) { /* the first finds out how many calls fill a run */
        double start = thread_seconds();
        for (size_t c = 0; c < calls; c++) benches[b].call(k, benches[b].n);
        double time = (thread_seconds() - start) / (double)calls;
        if (i >= 0) times[i] = time;
        else if (time < run_seconds) calls = (size_t)(run_seconds / (time + 1e-9)) + 1;
    }
    qsort(times, RUNS, sizeof *times, by_value);
    return times[RUNS / 4];
}

static void *allocate(size_t n) {
    void *p = aligned_alloc(64, (n + 63) / 64 * 64);
    if (p == NULL) exit(1);
    return p;
}

int main(int argc, char **argv) {
    const char *isa = "", *kernel = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-i") == 0) isa = argv[i + 1];
        if (strcmp(argv[i], "-k") == 0) kernel = argv[i + 1];
    }
    x = allocate(MOST * sizeof *x);
    y = allocate(MOST * sizeof *y);
    dst = allocate(MOST * sizeof *dst);
    bytes = allocate(MOST);
    bytes_out = allocate(MOST);
    for (uint32_t i = 0; i < MOST; i++) {
        x[i] = (float)(i * 2654435761u % 1000) * 0.002f - 1;
        y[i] = (float)(i * 2246822519u % 1000) * 0.002f - 1;
        bytes[i] = (uint8_t)(i * 2654435761u >> 13) & 0x37; /* no scale of such bytes is a NaN */
    }
    const clipgo_kernels *k;
    int found = 0;
    for (uint32_t i = 0; (k = dispatch_nth(i)) != NULL; i++) {
        if (*isa != '\0' && strcmp(isa, k->isa) != 0) continue;
        found = 1;
        scratch = allocate(k->attention_scratch(577, 577, 64));
        for (size_t b = 0; b < sizeof benches / sizeof *benches; b++) {
            if (strstr(benches[b].name, kernel) == NULL) continue;
            double seconds = measure(k, b);
            printf("%-10s %-24s %10.2f us %9.2f G/s\n", k->isa, benches[b].name, seconds * 1e6,
                   benches[b].work / seconds * 1e-9);
            fflush(stdout);
        }
        free(scratch);
    }
    free(x), free(y), free(dst), free(bytes), free(bytes_out);
    if (!found) fprintf(stderr, "bench_ops: no instruction set %s here\n", isa);
    return found ? 0 : 2;
}
