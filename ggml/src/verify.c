/* verify.c: nothing that a caller describes is believed. Tables and programs may come from a broken file by way of a
 * faulty caller; after these checks the executor can index without asking. */
#include "error.h"
#include "memory.h"
#include "program.h"
#include "tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name, *sources, *weights;
    int ints, floats;
} table[] = {
#define OP(KIND, name, sources, weights, ints, floats) [CLIPGO_OP_##KIND] = {#name, sources, weights, ints, floats},
#include "ops.def"
#undef OP
};

static const uint32_t n_kinds = sizeof table / sizeof table[0];

const char *op_name(uint32_t kind) { return kind > 0 && kind < n_kinds ? table[kind].name : "unknown"; }

int32_t verify_tensors(uint64_t data_bytes, const clipgo_tensor *tensors, uint64_t n, clipgo_error *err) {
    for (uint64_t i = 0; i < n; i++) {
        const clipgo_tensor *t = &tensors[i];
        const unsigned long long id = i;
        uint64_t row = tensor_row_bytes(t->type, t->cols), bytes, end;
        if (t->flags != 0)
            return fail(err, CLIPGO_ERR_TENSOR, (int64_t)i, "tensor %llu: flags are %u, expected 0", id, t->flags);
        if (t->rows == 0 || t->cols == 0 || t->rows > PROGRAM_MAX_EXTENT || t->cols > PROGRAM_MAX_EXTENT)
            return fail(err, CLIPGO_ERR_TENSOR, (int64_t)i, "tensor %llu: %llu x %llu is no shape", id,
                        (unsigned long long)t->rows, (unsigned long long)t->cols);
        if (row == 0)
            return fail(err, CLIPGO_ERR_TENSOR, (int64_t)i,
                        "tensor %llu: type %u is unknown, or a row of %llu is not whole blocks of it", id, t->type,
                        (unsigned long long)t->cols);
        if (!size_mul(t->rows, row, &bytes) || t->bytes != bytes)
            return fail(err, CLIPGO_ERR_TENSOR, (int64_t)i, "tensor %llu: has %llu bytes, its shape and type need %llu",
                        id, (unsigned long long)t->bytes, (unsigned long long)bytes);
        if (!size_add(t->offset, t->bytes, &end) || end > data_bytes)
            return fail(err, CLIPGO_ERR_TENSOR, (int64_t)i,
                        "tensor %llu: %llu bytes from %llu on reach beyond the data's %llu", id,
                        (unsigned long long)t->bytes, (unsigned long long)t->offset, (unsigned long long)data_bytes);
    }
    return CLIPGO_OK;
}

/* An op and what its slots hold, for the checks below. */
typedef struct view {
    const clipgo_op *op;
    const clipgo_value *dst, *src[4]; /* NULL: none */
    const clipgo_tensor *w[8];
    const char *wrong; /* the first check that failed, as the manual would say it */
} view;

static int check(view *v, int ok, const char *otherwise) {
    if (!ok && v->wrong == NULL) v->wrong = otherwise;
    return ok;
}

static int is_rows(const clipgo_value *v, uint64_t rows) { return v->row_scale == 0 && v->row_add == rows; }

static int same_rows(const clipgo_value *a, const clipgo_value *b) {
    return a->row_scale == b->row_scale && a->row_add == b->row_add;
}

static int same_shape(const clipgo_value *a, const clipgo_value *b) { return same_rows(a, b) && a->width == b->width; }

static int is_row(const clipgo_tensor *t, uint64_t cols) { return t == NULL || (t->rows == 1 && t->cols == cols); }

static int is_act(int32_t act) { return act >= CLIPGO_ACT_NONE && act <= CLIPGO_ACT_TANH; }

static int in_range(int64_t x, int64_t least, int64_t most) { return x >= least && x <= most; }

static void verify_embed(view *v) {
    check(v, v->src[0]->width == 1 && same_rows(v->src[0], v->dst), "ids are [rows of dst, 1]");
    check(v, v->w[0]->cols == v->dst->width, "the table has the columns of dst");
    check(v, v->w[1] == NULL || v->w[1]->cols == v->dst->width, "the positions have the columns of dst");
    check(v, is_row(v->w[2], v->dst->width), "w2 is one row as wide as dst");
    check(v, v->src[1] == NULL || (v->w[1] != NULL && v->src[1]->width == 1 && same_rows(v->src[1], v->dst)),
          "position ids are [rows of dst, 1] and come with positions");
}

/* The geometry that IM2COL and DWCONV share: i[1..10]. The last window starts inside the image. */
static int verify_window(view *v) {
    const int32_t *i = v->op->i;
    for (int k = 1; k <= 10; k++) {
        int least = k == 7 || k == 8 ? 0 : 1;
        if (!check(v, in_range(i[k], least, 1 << 15), "an extent is 1..32768, a padding 0..32768")) return 0;
    }
    return check(v, i[7] < i[4] && i[8] < i[5], "padding is smaller than the kernel") &&
           check(v, (i[9] - 1) * (int64_t)i[6] - i[7] < i[2] && (i[10] - 1) * (int64_t)i[6] - i[8] < i[3],
                 "every window starts inside the image") &&
           check(v, is_rows(v->dst, (uint64_t)i[9] * (uint64_t)i[10]), "dst has OH*OW rows");
}

static void verify_im2col(view *v) {
    const int32_t *i = v->op->i;
    if (!check(v, i[0] == 0 || i[0] == 1, "layout is 0 or 1") || !verify_window(v)) return;
    uint64_t c = (uint64_t)i[1], h = (uint64_t)i[2], w = (uint64_t)i[3];
    check(v, v->dst->width == c * (uint64_t)i[4] * (uint64_t)i[5], "dst has C*KH*KW columns");
    if (i[0] == 0) check(v, is_rows(v->src[0], c * h) && v->src[0]->width == w, "x is [C*H, W]");
    else check(v, is_rows(v->src[0], h * w) && v->src[0]->width == c, "x is [H*W, C]");
}

static void verify_dwconv(view *v) {
    const int32_t *i = v->op->i;
    if (!check(v, is_act(i[0]), "the activation is known") || !verify_window(v)) return;
    uint64_t c = (uint64_t)i[1];
    check(v, is_rows(v->src[0], (uint64_t)i[2] * (uint64_t)i[3]) && v->src[0]->width == c, "x is [H*W, C]");
    check(v, v->dst->width == c, "dst has C columns");
    check(v, v->w[0]->rows == c && v->w[0]->cols == (uint64_t)i[4] * (uint64_t)i[5], "w0 is [C, KH*KW]");
    check(v, is_row(v->w[1], c), "the bias is [1, C]");
}

static void verify_concat(view *v) {
    const clipgo_value *x = v->src[0];
    check(v, v->dst->width == v->w[0]->cols && (x == NULL || x->width == v->w[0]->cols),
          "x, w0 and dst are equally wide");
    check(v,
          v->dst->row_scale == (x == NULL ? 0 : x->row_scale) &&
              v->dst->row_add == (x == NULL ? 0 : x->row_add) + v->w[0]->rows,
          "dst has the rows of w0 and of x");
}

static void verify_add(view *v) {
    const clipgo_value *x = v->src[0], *y = v->src[1];
    check(v, same_shape(x, v->dst), "dst has the shape of x");
    check(v, (y != NULL) != (v->w[0] != NULL), "either src[1] or w0 is given");
    check(v, y == NULL || (y->width == x->width && (same_rows(x, y) || is_rows(y, 1))),
          "src[1] has the shape of x, or one row of it");
    check(v, v->w[0] == NULL || (v->w[0]->cols == x->width && v->w[0]->rows >= x->row_scale + (uint64_t)x->row_add),
          "w0 has the columns of x and no fewer rows");
}

static void verify_mul(view *v) {
    const clipgo_value *x = v->src[0], *y = v->src[1];
    check(v, same_shape(x, v->dst), "dst has the shape of x");
    check(v, y->width == x->width && (same_rows(x, y) || is_rows(y, 1)), "src[1] has the shape of x, or one row of it");
}

static void verify_act(view *v) {
    check(v, same_shape(v->src[0], v->dst), "dst has the shape of x");
    check(v, is_act(v->op->i[0]), "the activation is known");
}

static void verify_norm(view *v) {
    check(v, same_shape(v->src[0], v->dst), "dst has the shape of x");
    check(v, v->op->i[0] == 0 || (v->op->i[0] == 1 && v->w[1] == NULL), "the kind is 0, or 1 without a bias");
    check(v, v->op->f[0] >= 0, "eps is no less than 0");
    check(v, is_row(v->w[0], v->dst->width) && is_row(v->w[1], v->dst->width), "gain and bias are one row of dst");
}

static void verify_l2norm(view *v) {
    check(v, same_shape(v->src[0], v->dst), "dst has the shape of x");
    check(v, v->op->f[0] >= 0, "eps is no less than 0");
}

static void verify_linear(view *v) {
    int32_t n = v->op->i[1];
    uint64_t width = 0;
    if (!check(v, is_act(v->op->i[0]), "the activation is known") ||
        !check(v, in_range(n, 1, 3), "1 to 3 tensors are stacked") ||
        !check(v, v->op->i[2] == 0 || v->op->i[2] == 1, "i[2] is 0 or 1"))
        return;
    for (int k = 0; k < 3; k++) {
        const clipgo_tensor *w = v->w[k], *bias = v->w[3 + k];
        if (!check(v, (w != NULL) == (k < n), "as many tensors as i[1] says") ||
            !check(v, w != NULL || bias == NULL, "a bias has its tensor"))
            return;
        if (w == NULL) continue;
        check(v, w->cols == v->src[0]->width, "each tensor has the columns of x");
        check(v, is_row(bias, w->rows), "each bias is [1, rows of its tensor]");
        width += w->rows;
    }
    check(v, same_rows(v->src[0], v->dst) && v->dst->width == width, "dst is [rows of x, rows of the tensors]");
    check(v, v->src[1] == NULL || same_shape(v->src[1], v->dst), "the residual has the shape of dst");
    check(v, v->src[2] == NULL || same_shape(v->src[2], v->dst), "the gate has the shape of dst");
    check(v, is_row(v->w[6], v->dst->width), "the scale is one row of dst");
}

static void verify_attention(view *v) {
    const int32_t *i = v->op->i;
    const clipgo_value *q = v->src[0], *k = v->src[1], *value = v->src[2], *n = v->src[3];
    if (!check(v, in_range(i[0], 1, 1 << 15) && in_range(i[4], 1, 1 << 15), "heads and their columns are 1..32768"))
        return;
    int64_t width = (int64_t)i[0] * i[4];
    for (int s = 0; s < 3; s++)
        check(v, i[1 + s] >= 0 && i[1 + s] + width <= v->src[s]->width,
              "q, k and v have heads * columns from their first on");
    check(v, same_rows(k, value), "k and v have equally many rows");
    check(v, same_rows(q, v->dst) && v->dst->width == width, "dst is [rows of q, heads * columns]");
    check(v, i[5] == 0 || i[5] == 1, "the mask is 0 or 1");
    check(v, i[6] == 0 || i[6] == 1, "i[6] is 0 or 1");
    check(v, v->op->f[0] >= 0, "the scale is no less than 0");
    check(v, n == NULL || (is_rows(n, 1) && n->width <= 2), "the key counts are [1, 1] or [1, 2]");
}

static void verify_select(view *v) {
    const int32_t *i = v->op->i;
    check(v, is_rows(v->dst, 1) && v->dst->width == v->src[0]->width, "dst is one row of x");
    check(v, in_range(i[0], 0, 3), "the mode is 0..3");
    check(v, v->src[1] == NULL || (is_rows(v->src[1], 1) && v->src[1]->width == 1), "src[1] is [1, 1]");
    check(v, i[0] != 2 || v->src[1] != NULL, "mode 2 has src[1]");
    check(v, i[0] > 1 || v->src[1] == NULL, "modes 0 and 1 have no src[1]");
    check(v, i[0] == 0 ? in_range(i[1], 0, v->src[0]->row_scale + (int64_t)v->src[0]->row_add - 1) : i[1] == 0,
          "row i[1] is one of x");
}

static void (*const verify_kind[])(view *) = {
#define OP(KIND, name, sources, weights, ints, floats) [CLIPGO_OP_##KIND] = verify_##name,
#include "ops.def"
#undef OP
};

static int32_t verify_value(const clipgo_value *v, uint32_t index, clipgo_error *err) {
    const char *wrong = NULL;
    if (v->kind > CLIPGO_I32) wrong = "kind is 0 or 1";
    else if (v->role > CLIPGO_OUTPUT) wrong = "role is 0..2";
    else if (v->row_scale > 1) wrong = "row_scale is 0 or 1";
    else if (v->row_add > PROGRAM_MAX_EXTENT || v->row_scale + v->row_add == 0) wrong = "has 1..2^24 rows";
    else if (v->width == 0 || v->width > PROGRAM_MAX_EXTENT) wrong = "width is 1..2^24";
    else if (v->flags != 0) wrong = "flags are 0";
    else if (v->kind == CLIPGO_I32 && v->role != CLIPGO_INPUT) wrong = "integers are inputs, for no op writes them";
    if (wrong == NULL) return CLIPGO_OK;
    return fail(err, CLIPGO_ERR_PROGRAM, index, "value %u: expected: %s", index, wrong);
}

/* Fills the slots of a view, by the signature of the op's kind. written[v] is set once v has been written. */
static void resolve(view *v, const clipgo_tensor *tensors, uint64_t n_tensors, const clipgo_value *values,
                    uint32_t n_values, const uint8_t *written) {
    const clipgo_op *op = v->op;
    for (int s = 0; s < 4; s++) {
        char expected = table[op->kind].sources[s];
        int32_t id = op->src[s];
        int optional = expected != 'f' && expected != 'i';
        if (id == -1 && check(v, optional, "a source is missing")) continue;
        if (!check(v, expected != '-', "a source is given that the op doesn't read") ||
            !check(v, id >= 0 && (uint32_t)id < n_values, "a source is a value of the table") ||
            !check(v, written[id], "a source is an input or was written by an earlier op") ||
            !check(v, (values[id].kind == CLIPGO_I32) == (expected == 'i' || expected == 'I'), "a source has its kind"))
            return;
        v->src[s] = &values[id];
    }
    for (int s = 0; s < 8; s++) {
        char expected = table[op->kind].weights[s];
        int32_t id = op->w[s];
        if (id == -1 && check(v, expected != 'w', "a tensor is missing")) continue;
        if (!check(v, expected != '-', "a tensor is given that the op doesn't read") ||
            !check(v, id >= 0 && (uint64_t)id < n_tensors, "a tensor is one of the table"))
            return;
        v->w[s] = &tensors[id];
    }
    for (int s = table[op->kind].ints; s < 12; s++) check(v, op->i[s] == 0, "unused integers are 0");
    for (int s = 0; s < 4; s++)
        check(v, s < table[op->kind].floats ? isfinite(op->f[s]) : op->f[s] == 0, "floats are finite, unused ones 0");
    int32_t dst = op->dst;
    if (!check(v, dst >= 0 && (uint32_t)dst < n_values, "dst is a value of the table") ||
        !check(v, values[dst].role != CLIPGO_INPUT && !written[dst], "dst is no input and written once") ||
        !check(v, values[dst].kind == CLIPGO_F32, "dst is float32"))
        return;
    v->dst = &values[dst];
}

static int32_t verify_op(view *v, uint32_t index, const clipgo_tensor *tensors, uint64_t n_tensors,
                         const clipgo_value *values, uint32_t n_values, const uint8_t *written, clipgo_error *err) {
    const clipgo_op *op = v->op;
    if (op->kind == 0 || op->kind >= n_kinds)
        return fail(err, CLIPGO_ERR_PROGRAM, index, "op %u: kind %u is unknown", index, op->kind);
    check(v, op->flags == 0 && op->reserved == 0, "flags and reserved are 0");
    resolve(v, tensors, n_tensors, values, n_values, written);
    if (v->wrong == NULL) verify_kind[op->kind](v);
    if (v->wrong == NULL) return CLIPGO_OK;
    return fail(err, CLIPGO_ERR_PROGRAM, index, "op %u (%s): expected: %s", index, op_name(op->kind), v->wrong);
}

int32_t verify_program(const clipgo_tensor *tensors, uint64_t n_tensors, const clipgo_value *values, uint32_t n_values,
                       const clipgo_op *ops, uint32_t n_ops, clipgo_error *err) {
    if (n_values == 0 || n_values > PROGRAM_MAX_RECORDS || n_ops == 0 || n_ops > PROGRAM_MAX_RECORDS)
        return fail(err, CLIPGO_ERR_PROGRAM, n_values, "%u values and %u ops: expected 1 to %d of each", n_values,
                    n_ops, PROGRAM_MAX_RECORDS);
    uint8_t *written = calloc(n_values, 1);
    if (written == NULL) return fail(err, CLIPGO_ERR_MEMORY, n_values, "no memory to verify a program");
    int32_t status = CLIPGO_OK;
    for (uint32_t i = 0; i < n_values && status == CLIPGO_OK; i++) {
        status = verify_value(&values[i], i, err);
        written[i] = values[i].role == CLIPGO_INPUT;
    }
    for (uint32_t i = 0; i < n_ops && status == CLIPGO_OK; i++) {
        view v = {.op = &ops[i]};
        status = verify_op(&v, i, tensors, n_tensors, values, n_values, written, err);
        if (status == CLIPGO_OK) written[ops[i].dst] = 1;
    }
    for (uint32_t i = 0; i < n_values && status == CLIPGO_OK; i++)
        if (!written[i]) status = fail(err, CLIPGO_ERR_PROGRAM, i, "value %u is written by no op", i);
    free(written);
    return status;
}
