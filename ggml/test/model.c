/* model.c: see model.h. The reference knows no vectors, no blocks and no threads: it is the manual of clipgo.h, in C.
 */
#include "model.h"

#include "tensor.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void model_init(model *m, uint64_t seed) {
    memset(m, 0, sizeof *m);
    m->seed = seed;
}

void model_free(model *m) { free(m->data); }

static uint16_t half_bits(float f, uint32_t type) {
    uint32_t bits;
    memcpy(&bits, &f, 4);
    if (type == 30) return (uint16_t)(bits >> 16);
    int exponent = (int)(bits >> 23 & 255) - 127;
    uint32_t sign = bits >> 16 & 0x8000u, fraction = bits >> 13 & 1023u;
    return (uint16_t)(exponent < -14 ? sign : sign | (uint32_t)(exponent + 15) << 10 | fraction);
}

int32_t model_tensor(model *m, uint32_t type, uint64_t rows, uint64_t cols, float scale) {
    uint64_t offset = m->bytes | 1, bytes = rows * tensor_row_bytes(type, cols);
    m->data = realloc(m->data, offset + bytes);
    memset(m->data + m->bytes, 0, offset - m->bytes);
    m->bytes = offset + bytes;
    uint8_t *p = m->data + offset;
    for (uint64_t i = 0; i < rows * cols; i++) {
        float x = scale * random_float(&m->seed);
        uint16_t h;
        if (type == 0) {
            memcpy(p, &x, 4);
            p += 4;
        } else if (type == 8) {
            if (i % 32 == 0) {
                h = half_bits(scale / 127.0f, 1);
                memcpy(p, &h, 2);
                p += 2;
            }
            *p++ = (uint8_t)random_bits(&m->seed);
        } else {
            h = half_bits(x, type);
            memcpy(p, &h, 2);
            p += 2;
        }
    }
    m->tensors[m->n_tensors] =
        (clipgo_tensor){.offset = offset, .bytes = bytes, .rows = rows, .cols = cols, .type = type};
    return (int32_t)m->n_tensors++;
}

int32_t model_value(model *m, uint32_t kind, uint32_t role, uint32_t row_scale, uint32_t row_add, uint32_t width) {
    m->values[m->n_values] = (clipgo_value){kind, role, row_scale, row_add, width, 0};
    return (int32_t)m->n_values++;
}

clipgo_op *model_op(model *m, uint32_t kind, int32_t dst) {
    clipgo_op *op = &m->ops[m->n_ops++];
    memset(op, 0, sizeof *op);
    op->kind = kind;
    op->dst = dst;
    for (int i = 0; i < 4; i++) op->src[i] = -1;
    for (int i = 0; i < 8; i++) op->w[i] = -1;
    return op;
}

enum { F32 = CLIPGO_F32, I32 = CLIPGO_I32, IN = CLIPGO_INPUT, OUT = CLIPGO_OUTPUT, TMP = CLIPGO_TEMPORARY };

void model_every_kind(model *m) {
    model_init(m, 1);
    int32_t ids = model_value(m, I32, IN, 1, 0, 1), count = model_value(m, I32, IN, 0, 1, 1);
    int32_t image = model_value(m, F32, IN, 0, 3 * 8, 8), pixels = model_value(m, F32, IN, 0, 64, 3);
    int32_t x = model_value(m, F32, OUT, 1, 0, 32);
    clipgo_op *op = model_op(m, CLIPGO_OP_EMBED, x);
    op->src[0] = ids, op->src[1] = ids, op->f[0] = 1;
    for (int i = 0; i < 2; i++) op->w[i] = model_tensor(m, 1, 10, 32, 1);
    op->w[2] = model_tensor(m, 0, 1, 32, 1);
    static const int32_t window[] = {0, 3, 8, 8, 4, 4, 4, 0, 0, 2, 2};
    op = model_op(m, CLIPGO_OP_IM2COL, model_value(m, F32, OUT, 0, 4, 48));
    op->src[0] = image;
    memcpy(op->i, window, sizeof window);
    op = model_op(m, CLIPGO_OP_DWCONV, model_value(m, F32, OUT, 0, 4, 3));
    op->src[0] = pixels;
    memcpy(op->i, window, sizeof window);
    op->w[0] = model_tensor(m, 0, 3, 16, 1), op->w[1] = model_tensor(m, 0, 1, 3, 1);
    op = model_op(m, CLIPGO_OP_CONCAT, model_value(m, F32, OUT, 1, 2, 32));
    op->src[0] = x, op->w[0] = model_tensor(m, 0, 2, 32, 1);
    int32_t sum = model_value(m, F32, TMP, 1, 0, 32);
    op = model_op(m, CLIPGO_OP_ADD, sum);
    op->src[0] = x, op->w[0] = model_tensor(m, 0, 7, 32, 1);
    op = model_op(m, CLIPGO_OP_MUL, model_value(m, F32, OUT, 1, 0, 32));
    op->src[0] = x, op->src[1] = sum;
    op = model_op(m, CLIPGO_OP_ACT, model_value(m, F32, OUT, 1, 0, 32));
    op->src[0] = sum, op->i[0] = CLIPGO_ACT_SILU;
    int32_t normed = model_value(m, F32, TMP, 1, 0, 32);
    op = model_op(m, CLIPGO_OP_NORM, normed);
    op->src[0] = sum, op->f[0] = 1e-5f;
    op->w[0] = op->w[1] = model_tensor(m, 0, 1, 32, 1);
    op = model_op(m, CLIPGO_OP_L2NORM, model_value(m, F32, OUT, 1, 0, 32));
    op->src[0] = sum, op->f[0] = 1e-12f;
    int32_t qkv = model_value(m, F32, TMP, 1, 0, 96), gate = model_value(m, F32, IN, 1, 0, 96);
    op = model_op(m, CLIPGO_OP_LINEAR, qkv);
    op->src[0] = normed, op->src[1] = op->src[2] = gate, op->i[1] = 3;
    for (int t = 0; t < 3; t++) op->w[t] = model_tensor(m, 8, 32, 32, 1), op->w[3 + t] = model_tensor(m, 0, 1, 32, 1);
    op->w[6] = model_tensor(m, 0, 1, 96, 1);
    int32_t mixed = model_value(m, F32, TMP, 1, 0, 32);
    op = model_op(m, CLIPGO_OP_ATTENTION, mixed);
    op->src[0] = op->src[1] = op->src[2] = qkv, op->src[3] = count;
    op->i[0] = 4, op->i[2] = 32, op->i[3] = 64, op->i[4] = 8, op->i[5] = 1, op->f[0] = 0.1f;
    op = model_op(m, CLIPGO_OP_SELECT, model_value(m, F32, OUT, 0, 1, 32));
    op->src[0] = mixed, op->src[1] = count, op->i[0] = 2;
}

static uint64_t elements(const clipgo_value *v, uint32_t batch, uint32_t rows) {
    return batch * ((uint64_t)v->row_scale * rows + v->row_add) * v->width;
}

uint64_t model_bytes(const model *m, uint32_t role, uint32_t batch, uint32_t rows) {
    uint64_t at = 0;
    for (uint32_t i = 0; i < m->n_values; i++)
        if (m->values[i].role == role) at = (at + 63) / 64 * 64 + 4 * elements(&m->values[i], batch, rows);
    return at;
}

/* A value or tensor during the reference run. */
typedef struct array {
    double *x;
    uint64_t rows, width;
} array;

static double activate(double x, int32_t act) {
    switch (act) {
    case CLIPGO_ACT_GELU: return 0.5 * x * erfc(-x / sqrt(2));
    case CLIPGO_ACT_GELU_TANH: return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case CLIPGO_ACT_QUICK_GELU: return x / (1 + exp(-1.702 * x));
    case CLIPGO_ACT_RELU: return x > 0 ? x : 0;
    case CLIPGO_ACT_SILU: return x / (1 + exp(-x));
    case CLIPGO_ACT_SIGMOID: return 1 / (1 + exp(-x));
    case CLIPGO_ACT_TANH: return tanh(x);
    default: return x;
    }
}

typedef struct frame {
    const clipgo_op *op;
    uint32_t batch;
    array dst, src[4], w[8];
} frame;

static double *item_row(const array *a, uint64_t item, uint64_t row) {
    return a->x + (item * a->rows + row) * a->width;
}

static void do_embed(frame *f) {
    for (uint64_t b = 0; b < f->batch; b++)
        for (uint64_t r = 0; r < f->dst.rows; r++)
            for (uint64_t c = 0; c < f->dst.width; c++) {
                uint64_t id = (uint64_t)*item_row(&f->src[0], b, r), pos = r;
                if (f->src[1].x) pos = (uint64_t)*item_row(&f->src[1], b, r);
                double x = f->op->f[0] * item_row(&f->w[0], 0, id)[c];
                if (f->w[1].x) x += item_row(&f->w[1], 0, pos)[c];
                if (f->w[2].x) x += f->w[2].x[c];
                item_row(&f->dst, b, r)[c] = x;
            }
}

/* The element under tap (ky, kx) of window (oy, ox) in channel c, by layout; 0 outside. */
static double under(const frame *f, int32_t layout, uint64_t b, int c, int oy, int ox, int ky, int kx) {
    const int32_t *i = f->op->i;
    int y = oy * i[6] - i[7] + ky, x = ox * i[6] - i[8] + kx;
    if (y < 0 || y >= i[2] || x < 0 || x >= i[3]) return 0;
    if (layout == 0) return item_row(&f->src[0], b, (uint64_t)(c * i[2] + y))[x];
    return item_row(&f->src[0], b, (uint64_t)(y * i[3] + x))[c];
}

static void do_im2col(frame *f) {
    const int32_t *i = f->op->i;
    for (uint64_t b = 0; b < f->batch; b++)
        for (int oy = 0; oy < i[9]; oy++)
            for (int ox = 0; ox < i[10]; ox++)
                for (int c = 0; c < i[1]; c++)
                    for (int ky = 0; ky < i[4]; ky++)
                        for (int kx = 0; kx < i[5]; kx++) {
                            int at = i[0] == 0 ? (c * i[4] + ky) * i[5] + kx : (ky * i[5] + kx) * i[1] + c;
                            item_row(&f->dst, b, (uint64_t)(oy * i[10] + ox))[at] =
                                under(f, i[0], b, c, oy, ox, ky, kx);
                        }
}

static void do_dwconv(frame *f) {
    const int32_t *i = f->op->i;
    for (uint64_t b = 0; b < f->batch; b++)
        for (int oy = 0; oy < i[9]; oy++)
            for (int ox = 0; ox < i[10]; ox++)
                for (int c = 0; c < i[1]; c++) {
                    double sum = f->w[1].x ? f->w[1].x[c] : 0;
                    for (int ky = 0; ky < i[4]; ky++)
                        for (int kx = 0; kx < i[5]; kx++)
                            sum +=
                                under(f, 1, b, c, oy, ox, ky, kx) * item_row(&f->w[0], 0, (uint64_t)c)[ky * i[5] + kx];
                    item_row(&f->dst, b, (uint64_t)(oy * i[10] + ox))[c] = activate(sum, i[0]);
                }
}

static void do_concat(frame *f) {
    for (uint64_t b = 0; b < f->batch; b++)
        for (uint64_t r = 0; r < f->dst.rows; r++)
            for (uint64_t c = 0; c < f->dst.width; c++)
                item_row(&f->dst, b, r)[c] =
                    r < f->w[0].rows ? item_row(&f->w[0], 0, r)[c] : item_row(&f->src[0], b, r - f->w[0].rows)[c];
}

static double other(const frame *f, uint64_t b, uint64_t r, uint64_t c) {
    if (!f->src[1].x) return item_row(&f->w[0], 0, r)[c];
    return item_row(&f->src[1], b, f->src[1].rows == 1 ? 0 : r)[c];
}

static void do_add(frame *f) {
    for (uint64_t b = 0; b < f->batch; b++)
        for (uint64_t r = 0; r < f->dst.rows; r++)
            for (uint64_t c = 0; c < f->dst.width; c++)
                item_row(&f->dst, b, r)[c] = item_row(&f->src[0], b, r)[c] + other(f, b, r, c);
}

static void do_mul(frame *f) {
    for (uint64_t b = 0; b < f->batch; b++)
        for (uint64_t r = 0; r < f->dst.rows; r++)
            for (uint64_t c = 0; c < f->dst.width; c++)
                item_row(&f->dst, b, r)[c] = item_row(&f->src[0], b, r)[c] * other(f, b, r, c);
}

static void do_act(frame *f) {
    for (uint64_t i = 0; i < f->batch * f->dst.rows * f->dst.width; i++)
        f->dst.x[i] = activate(f->src[0].x[i], f->op->i[0]);
}

static void do_norm(frame *f) {
    uint64_t n = f->dst.width;
    for (uint64_t r = 0; r < f->batch * f->dst.rows; r++) {
        const double *x = f->src[0].x + r * n;
        double mean = 0, square = 0;
        for (uint64_t c = 0; c < n && f->op->i[0] == 0; c++) mean += x[c] / (double)n;
        for (uint64_t c = 0; c < n; c++) square += (x[c] - mean) * (x[c] - mean) / (double)n;
        for (uint64_t c = 0; c < n; c++) {
            double y = (x[c] - mean) / sqrt(square + f->op->f[0]);
            if (f->w[0].x) y *= f->w[0].x[c];
            if (f->w[1].x) y += f->w[1].x[c];
            f->dst.x[r * n + c] = y;
        }
    }
}

static void do_l2norm(frame *f) {
    uint64_t n = f->dst.width;
    for (uint64_t r = 0; r < f->batch * f->dst.rows; r++) {
        double square = 0;
        for (uint64_t c = 0; c < n; c++) square += f->src[0].x[r * n + c] * f->src[0].x[r * n + c];
        for (uint64_t c = 0; c < n; c++) f->dst.x[r * n + c] = f->src[0].x[r * n + c] / fmax(sqrt(square), f->op->f[0]);
    }
}

static void do_linear(frame *f) {
    for (uint64_t r = 0; r < f->batch * f->dst.rows; r++) {
        uint64_t column = 0;
        for (int t = 0; t < f->op->i[1]; t++)
            for (uint64_t o = 0; o < f->w[t].rows; o++, column++) {
                double sum = f->w[3 + t].x ? f->w[3 + t].x[o] : 0;
                for (uint64_t c = 0; c < f->w[t].width; c++)
                    sum += f->src[0].x[r * f->src[0].width + c] * f->w[t].x[o * f->w[t].width + c];
                sum = activate(sum, f->op->i[0]);
                uint64_t at = r * f->dst.width + column;
                if (f->src[2].x) sum *= f->src[2].x[at];
                if (f->w[6].x) sum *= f->w[6].x[column];
                if (f->src[1].x) sum += f->src[1].x[at];
                f->dst.x[at] = sum;
            }
    }
}

/* Key k of item b, or its value: with `before` rows of the batch before the item's own. */
static double *key_row(const array *x, uint64_t b, uint64_t before, uint64_t k) {
    return k < before ? item_row(x, 0, k) : item_row(x, b, k - before);
}

static void do_attention(frame *f) {
    const int32_t *i = f->op->i;
    uint64_t dim = (uint64_t)i[4];
    double *p = calloc(f->batch * f->src[1].rows, sizeof *p);
    for (uint64_t b = 0; b < f->batch; b++)
        for (uint64_t h = 0; h < (uint64_t)i[0]; h++)
            for (uint64_t r = 0; r < f->dst.rows; r++) {
                uint64_t keys = f->src[3].x ? (uint64_t)f->src[3].x[b * f->src[3].width] : f->src[1].rows;
                uint64_t before = f->src[3].x && f->src[3].width == 2 ? (uint64_t)f->src[3].x[2 * b + 1] : 0;
                if (i[5] == 1 && r + 1 < keys) keys = r + 1;
                keys += before;
                double *dst = item_row(&f->dst, b, r) + h * dim, most = -INFINITY, sum = 0;
                const double *q = item_row(&f->src[0], b, r) + (uint64_t)i[1] + h * dim;
                for (uint64_t k = 0; k < keys; k++) {
                    p[k] = 0;
                    for (uint64_t d = 0; d < dim; d++)
                        p[k] += f->op->f[0] * q[d] * key_row(&f->src[1], b, before, k)[(uint64_t)i[2] + h * dim + d];
                    most = fmax(most, p[k]);
                }
                for (uint64_t k = 0; k < keys; k++) sum += p[k] = exp(p[k] - most);
                for (uint64_t d = 0; d < dim; d++) {
                    dst[d] = 0;
                    for (uint64_t k = 0; k < keys; k++)
                        dst[d] += p[k] / sum * key_row(&f->src[2], b, before, k)[(uint64_t)i[3] + h * dim + d];
                }
            }
    free(p);
}

static void do_select(frame *f) {
    for (uint64_t b = 0; b < f->batch; b++)
        for (uint64_t c = 0; c < f->dst.width; c++) {
            uint64_t row = (uint64_t)f->op->i[1], n = f->src[0].rows;
            double *dst = item_row(&f->dst, b, 0) + c;
            if (f->op->i[0] == 1) row = n - 1;
            if (f->op->i[0] >= 2 && f->src[1].x) row = n = (uint64_t)f->src[1].x[b];
            if (f->op->i[0] == 3) {
                *dst = 0;
                for (uint64_t r = 0; r < n; r++) *dst += item_row(&f->src[0], b, r)[c] / ((double)n + f->op->f[0]);
            } else {
                *dst = item_row(&f->src[0], b, row)[c];
            }
        }
}

void model_reference(const model *m, uint32_t batch, uint32_t rows, const void *in, double *out) {
    static void (*const kinds[])(frame *) = {
#define OP(KIND, name, sources, weights, ints, floats) [CLIPGO_OP_##KIND] = do_##name,
#include "ops.def"
#undef OP
    };
    array values[MODEL_VALUES] = {{0}}, tensors[MODEL_TENSORS] = {{0}};
    uint64_t in_at = 0, out_at = 0;
    for (uint32_t v = 0; v < m->n_values; v++) {
        const clipgo_value *value = &m->values[v];
        uint64_t n = elements(value, batch, rows);
        values[v] = (array){calloc(n, sizeof(double)), n / batch / value->width, value->width};
        if (value->role != CLIPGO_INPUT) continue;
        in_at = (in_at + 15) / 16 * 16;
        const float *x = (const float *)in + in_at;
        for (uint64_t i = 0; i < n; i++)
            values[v].x[i] = value->kind == CLIPGO_I32 ? (double)((const int32_t *)in)[in_at + i] : (double)x[i];
        in_at += n;
    }
    for (uint32_t t = 0; t < m->n_tensors; t++) {
        uint64_t n = m->tensors[t].rows * m->tensors[t].cols;
        float *x = malloc(n * sizeof *x);
        tensor_to_f32(x, m->data + m->tensors[t].offset, &m->tensors[t]);
        tensors[t] = (array){calloc(n, sizeof(double)), m->tensors[t].rows, m->tensors[t].cols};
        for (uint64_t i = 0; i < n; i++) tensors[t].x[i] = (double)x[i];
        free(x);
    }
    for (uint32_t o = 0; o < m->n_ops; o++) {
        frame f = {.op = &m->ops[o], .batch = batch, .dst = values[m->ops[o].dst]};
        for (int s = 0; s < 4; s++)
            if (f.op->src[s] >= 0) f.src[s] = values[f.op->src[s]];
        for (int s = 0; s < 8; s++)
            if (f.op->w[s] >= 0) f.w[s] = tensors[f.op->w[s]];
        kinds[f.op->kind](&f);
    }
    for (uint32_t v = 0; v < m->n_values; v++) {
        uint64_t n = elements(&m->values[v], batch, rows);
        if (m->values[v].role == CLIPGO_OUTPUT) {
            out_at = (out_at + 15) / 16 * 16;
            memcpy(out + out_at, values[v].x, n * sizeof *out);
            out_at += n;
        }
        free(values[v].x);
    }
    for (uint32_t t = 0; t < m->n_tensors; t++) free(tensors[t].x);
}
