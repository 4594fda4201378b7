/* count_kernels.c: every kernel of a forward pass once, between two functions that a counter of instructions sees.
 *
 *   count_kernels isa
 *
 * tools/counts runs it under qemu (`make counts`). For each kernel it prints a line, tab-separated, whose instructions
 * are those between the next count_begin and count_end:
 *
 *   what  the arithmetic that it is made of (int8, f32, bf16, or - where there are no products)
 *         multiply-adds, or elements written  the line, from 0, whose instructions are to be taken off, or -1 */
#include "dispatch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* B/32, of whose products a few panels of columns do, as all are alike; B/16 has 197 rows. */
enum { ROWS = 50, WIDTH = 768, COLUMNS = 192, HEAD = 64, LONG = 197 };

__attribute__((noinline)) void count_begin(void);
__attribute__((noinline)) void count_end(void);
void count_begin(void) { __asm__ volatile("" ::: "memory"); }
void count_end(void) { __asm__ volatile("" ::: "memory"); }

static const struct {
    const char *name;
    uint32_t id;
    size_t elements, bytes;
    uint32_t activations;
} types[] = {
    {"f32", 0, 1, 4, CLIPGO_ACTIVATIONS_F32},           {"f16", 1, 1, 2, CLIPGO_ACTIVATIONS_F32},
    {"bf16", 30, 1, 2, CLIPGO_ACTIVATIONS_BF16},        {"q8_0", 8, 32, 34, CLIPGO_ACTIVATIONS_INT8},
    {"q5_0", 6, 32, 22, CLIPGO_ACTIVATIONS_INT8},       {"q4_0", 2, 32, 18, CLIPGO_ACTIVATIONS_INT8},
    {"q4_k", 12, 256, 144, CLIPGO_ACTIVATIONS_INT8},    {"q5_k", 13, 256, 176, CLIPGO_ACTIVATIONS_INT8},
    {"q6_k", 14, 256, 210, CLIPGO_ACTIVATIONS_INT8},    {"q3_k", 11, 256, 110, CLIPGO_ACTIVATIONS_INT8},
    {"q2_k", 10, 256, 84, CLIPGO_ACTIVATIONS_INT8},     {"iq4_nl", 20, 32, 18, CLIPGO_ACTIVATIONS_INT8},
    {"q8_0", 8, 32, 34, CLIPGO_ACTIVATIONS_INT8_BLOCK},
};

static int lines;
static float *x, *y, *dst;
static uint8_t *prepared;

/* What is counted next. */
static int line(const char *what, const char *arithmetic, double work, int less) {
    printf("%s\t%s\t%.0f\t%d\n", what, arithmetic, work, less);
    return lines++;
}

static void *allocate(size_t n) {
    void *p = aligned_alloc(64, (n + 127) / 64 * 64);
    if (!p) exit(1);
    memset(p, 0, n);
    return p;
}

static int product(const clipgo_kernels *k, const clipgo_matrix *m, const char *name, int32_t act, int less) {
    static const char *const arithmetic[] = {"f32", "int8", "int8", "bf16", "f32"};
    clipgo_epilogue ep = {.dst = dst, .dst_stride = m->rows, .act = act, .bias = act ? y : NULL};
    double work = (double)m->rows * ROWS * (less < 0 ? (double)m->cols : 1);
    int n = line(name, less < 0 ? arithmetic[m->form] : "-", work, less);
    count_begin();
    k->gemm(m, prepared, ROWS, 0, m->panels, &ep);
    count_end();
    return n;
}

static void products(const clipgo_kernels *k) {
    for (size_t t = 0; t < sizeof types / sizeof *types; t++) {
        clipgo_matrix m;
        size_t row_bytes = WIDTH / types[t].elements * types[t].bytes;
        char name[64];
        if (!k->plan(&m, types[t].id, COLUMNS, WIDTH, types[t].activations, 0)) continue;
        if (types[t].activations == CLIPGO_ACTIVATIONS_BF16 && m.form == CLIPGO_FORM_F32) continue; /* as f16 */
        uint8_t *tensor = allocate(COLUMNS * row_bytes);
        for (size_t i = 0; i < COLUMNS * row_bytes; i++) tensor[i] = (uint8_t)(i * 2654435761u >> 13) & 0x37;
        m.data = allocate(m.panels * m.panel_bytes);
        k->pack(&m, tensor, row_bytes, 0, m.panels);
        k->prepare(m.form, prepared, x, WIDTH, ROWS, WIDTH);
        snprintf(name, sizeof name, "%s%s", types[t].name, m.form == CLIPGO_FORM_Q8_BLOCK ? ", int8-block" : "");
        int plain = product(k, &m, name, CLIPGO_ACT_NONE, -1);
        if (types[t].id == 8 && m.form == CLIPGO_FORM_Q8) {
            product(k, &m, "bias and quick GELU", CLIPGO_ACT_QUICK_GELU, plain);
            product(k, &m, "bias and GELU", CLIPGO_ACT_GELU, plain);
        }
        free(tensor), free(m.data);
    }
}

/* One head out of a packed QKV. */
static void attention(const clipgo_kernels *k, const char *what, size_t rows, int32_t rounds) {
    float *scratch = allocate(k->attention_scratch(rows, rows, HEAD));
    clipgo_attention_args args = {.q = x,
                                  .k = x + WIDTH,
                                  .v = x + 2 * WIDTH,
                                  .dst = dst,
                                  .q_stride = 3 * WIDTH,
                                  .k_stride = 3 * WIDTH,
                                  .v_stride = 3 * WIDTH,
                                  .dst_stride = WIDTH,
                                  .q_rows = rows,
                                  .k_rows = rows,
                                  .head_dim = HEAD,
                                  .scale = 0.125f,
                                  .rounds = rounds,
                                  .scratch = scratch};
    const char *arithmetic = "f32";
    if (rounds && strcmp(k->isa, "dotprod") == 0) arithmetic = "int8";
    if (rounds && strcmp(k->isa, "i8mm") == 0) arithmetic = "bf16";
    line(what, arithmetic, 2.0 * (double)rows * (double)rows * HEAD, -1);
    count_begin();
    k->attention(&args);
    count_end();
    free(scratch);
}

int main(int argc, char **argv) {
    const clipgo_kernels *k = argc == 2 ? dispatch_find(argv[1]) : NULL;
    if (!k) {
        fprintf(stderr, "count_kernels: expected the name of an instruction set that runs here\n");
        return 2;
    }
    const size_t most = (size_t)LONG * 3 * WIDTH;
    x = allocate(most * sizeof *x);
    y = allocate(most * sizeof *y);
    dst = allocate(most * sizeof *dst);
    prepared = allocate(most * sizeof *x);
    for (uint32_t i = 0; i < most; i++) {
        x[i] = (float)(i * 2654435761u % 1000) * 0.002f - 1;
        y[i] = (float)(i * 2246822519u % 1000) * 0.002f - 1;
    }
    products(k);
    line("activations to 8 bits", "-", ROWS * WIDTH, -1);
    count_begin();
    k->prepare(CLIPGO_FORM_Q8, prepared, x, WIDTH, ROWS, WIDTH);
    count_end();
    line("norm", "-", ROWS * WIDTH, -1);
    count_begin();
    k->norm(&(clipgo_norm_args){.x = x, .gain = y, .bias = y, .dst = dst, .width = WIDTH, .eps = 1e-5f}, 0, ROWS);
    count_end();
    attention(k, "attention, 50 rows", ROWS, 0);
    attention(k, "attention, 197 rows", LONG, 0);
    attention(k, "attention that may round, 50 rows", ROWS, 2);
    attention(k, "attention that may round, 197 rows", LONG, 2);
    free(x), free(y), free(dst), free(prepared);
    return 0;
}
