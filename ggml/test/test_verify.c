/* The verifier against wrong programs: each op with every shape, slot and number wrong in turn, and the tensor table.
 */
#include "error.h"
#include "model.h"
#include "program.h"
#include "test.h"

#include <math.h>
#include <string.h>

static clipgo_error err;

static int32_t verify(const model *m) {
    err = (clipgo_error){.size = sizeof err};
    int32_t status = verify_tensors(m->bytes, m->tensors, m->n_tensors, &err);
    if (status != CLIPGO_OK) return status;
    return verify_program(m->tensors, m->n_tensors, m->values, m->n_values, m->ops, m->n_ops, &err);
}

/* Applies one change to a right program and expects a refusal. */
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        model m;                                                                                   \
        model_every_kind(&m);                                                                      \
        change;                                                                                    \
        CHECK(verify(&m) != CLIPGO_OK && err.code != 0 && err.message[0] != '\0', "was believed"); \
        model_free(&m);                                                                            \
    } while (0)

static clipgo_op *op_of(model *m, uint32_t kind) { return &m->ops[kind - 1]; }
static clipgo_value *dst_of(model *m, uint32_t kind) { return &m->values[m->ops[kind - 1].dst]; }

static void test_right(void) {
    model m;
    model_every_kind(&m);
    CHECK(verify(&m) == CLIPGO_OK, "%s", err.message);
    CHECK(m.n_ops == CLIPGO_OP_SELECT, "a kind is missing");
    model_free(&m);
}

/* What holds for all ops alike. */
static void test_every_op(void) {
    for (uint32_t kind = 1; kind <= CLIPGO_OP_SELECT; kind++) {
        static const int32_t bad[] = {-2, -100, 1 << 20, INT32_MAX, INT32_MIN};
        for (int b = 0; b < 5; b++) {
            REFUSED(op_of(&m, kind)->dst = bad[b]);
            for (int s = 0; s < 4; s++) REFUSED(op_of(&m, kind)->src[s] = bad[b]);
            for (int s = 0; s < 8; s++) REFUSED(op_of(&m, kind)->w[s] = bad[b]);
        }
        REFUSED(op_of(&m, kind)->dst = -1);
        REFUSED(op_of(&m, kind)->dst = op_of(&m, kind % 12 + 1)->dst); /* written twice */
        REFUSED(op_of(&m, kind)->dst = 0);                             /* an input, and of integers */
        REFUSED(op_of(&m, kind)->dst = 2);                             /* an input */
        REFUSED(op_of(&m, kind)->src[0] = op_of(&m, kind)->dst);       /* not written yet */
        REFUSED(op_of(&m, kind)->flags = 1);
        REFUSED(op_of(&m, kind)->reserved = 1);
        REFUSED(op_of(&m, kind)->kind = 0);
        REFUSED(op_of(&m, kind)->kind = 13);
        REFUSED(op_of(&m, kind)->kind = UINT32_MAX);
        REFUSED(op_of(&m, kind)->f[3] = 1);
        REFUSED(op_of(&m, kind)->f[0] = NAN);
        REFUSED(op_of(&m, kind)->f[0] = INFINITY);
        REFUSED(op_of(&m, kind)->i[11] = 1);
        REFUSED(dst_of(&m, kind)->width++);
        REFUSED(dst_of(&m, kind)->row_add++);
        REFUSED(dst_of(&m, kind)->row_scale ^= 1);
        REFUSED(dst_of(&m, kind)->kind = CLIPGO_I32);
        REFUSED(dst_of(&m, kind)->kind = 2);
        REFUSED(dst_of(&m, kind)->role = 3);
        REFUSED(dst_of(&m, kind)->flags = 1);
        REFUSED(dst_of(&m, kind)->width = 0);
        REFUSED(dst_of(&m, kind)->width = UINT32_MAX);
        REFUSED(dst_of(&m, kind)->row_add = UINT32_MAX);
        REFUSED(dst_of(&m, kind)->row_scale = 2);
        if (kind != CLIPGO_OP_CONCAT) REFUSED(op_of(&m, kind)->src[0] = -1);
    }
}

static void test_shapes(void) {
    /* every source and tensor that some op reads, made wider, narrower, taller */
    model first;
    model_every_kind(&first);
    uint32_t n_values = first.n_values, n_tensors = first.n_tensors;
    model_free(&first);
    for (uint32_t v = 0; v < n_values; v++) {
        REFUSED(m.values[v].width++);
        REFUSED(m.values[v].row_add++);
        REFUSED(m.values[v].kind ^= 1);
    }
    for (uint32_t t = 0; t < n_tensors; t++) {
        REFUSED(m.tensors[t].cols--);
        REFUSED(m.tensors[t].rows--);
        REFUSED(m.tensors[t].cols += 32);
        REFUSED(m.tensors[t].rows = 0);
        REFUSED(m.tensors[t].cols = 0);
        REFUSED(m.tensors[t].rows = UINT64_MAX);
        REFUSED(m.tensors[t].cols = UINT64_MAX);
        REFUSED(m.tensors[t].cols = UINT64_MAX / 4 + 2); /* times 4 it is 8 again */
        REFUSED((m.tensors[t].rows = 1u << 31, m.tensors[t].cols = 1u << 31, m.tensors[t].bytes = 0));
        REFUSED(m.tensors[t].bytes--);
        REFUSED(m.tensors[t].bytes = UINT64_MAX);
        REFUSED(m.tensors[t].offset = UINT64_MAX);
        REFUSED(m.tensors[t].offset = UINT64_MAX - m.tensors[t].bytes + 1); /* the sum is 0 */
        REFUSED(m.tensors[t].offset = m.bytes - m.tensors[t].bytes + 1);
        REFUSED(m.tensors[t].flags = 1);
        REFUSED(m.tensors[t].type = 4); /* removed from GGML */
        REFUSED(m.tensors[t].type = 9999);
    }
    REFUSED(m.bytes--); /* the last tensor ends with the data */
    REFUSED(m.n_values = 0);
    REFUSED(m.n_ops = 0);
    REFUSED(m.n_values--);
    REFUSED(m.n_ops--); /* an output that nobody writes */
    REFUSED(m.n_tensors--);
}

static void test_windows(void) {
    static const int32_t bad[] = {-1, 0, 9, 1 << 16, INT32_MAX, INT32_MIN};
    for (uint32_t kind = CLIPGO_OP_IM2COL; kind <= CLIPGO_OP_DWCONV; kind++)
        for (int i = 0; i <= 10; i++)
            for (int b = 0; b < 6; b++) {
                if ((i == 7 || i == 8 || i == 0) && bad[b] == 0) continue; /* right */
                if (i == 6 && bad[b] == 9) continue;                       /* checked below */
                REFUSED(op_of(&m, kind)->i[i] = bad[b]);
            }
    REFUSED(op_of(&m, CLIPGO_OP_IM2COL)->i[6] = 9); /* the second window starts outside */
    REFUSED(op_of(&m, CLIPGO_OP_DWCONV)->i[0] = 8);
    REFUSED(op_of(&m, CLIPGO_OP_IM2COL)->i[0] = 1); /* the image is planar */
}

static void test_numbers(void) {
    static const int32_t bad[] = {-1, INT32_MAX, INT32_MIN, 1 << 20};
    for (int b = 0; b < 4; b++) {
        REFUSED(op_of(&m, CLIPGO_OP_ACT)->i[0] = bad[b]);
        REFUSED(op_of(&m, CLIPGO_OP_NORM)->i[0] = bad[b]);
        for (int i = 0; i < 2; i++) REFUSED(op_of(&m, CLIPGO_OP_LINEAR)->i[i] = bad[b]);
        for (int i = 0; i < 6; i++) REFUSED(op_of(&m, CLIPGO_OP_ATTENTION)->i[i] = bad[b]);
        for (int i = 0; i < 2; i++) REFUSED(op_of(&m, CLIPGO_OP_SELECT)->i[i] = bad[b]);
    }
    for (int32_t n = 0; n < 3; n++) REFUSED(op_of(&m, CLIPGO_OP_LINEAR)->i[1] = n);
    for (int t = 0; t < 3; t++) REFUSED(op_of(&m, CLIPGO_OP_LINEAR)->w[t] = -1);
    REFUSED(op_of(&m, CLIPGO_OP_NORM)->i[0] = 1); /* RMS with a bias */
    REFUSED(op_of(&m, CLIPGO_OP_NORM)->f[0] = -1);
    REFUSED(op_of(&m, CLIPGO_OP_L2NORM)->f[0] = -1);
    REFUSED(op_of(&m, CLIPGO_OP_ATTENTION)->f[0] = -1);
    REFUSED(op_of(&m, CLIPGO_OP_ATTENTION)->i[3] = 65);
    REFUSED((op_of(&m, CLIPGO_OP_ATTENTION)->i[0] = 1 << 15, op_of(&m, CLIPGO_OP_ATTENTION)->i[4] = 1 << 15));
    REFUSED(op_of(&m, CLIPGO_OP_EMBED)->w[1] = -1); /* position ids without positions */
    REFUSED(op_of(&m, CLIPGO_OP_ADD)->w[0] = -1);
    REFUSED(op_of(&m, CLIPGO_OP_ADD)->src[1] = op_of(&m, CLIPGO_OP_ADD)->src[0]); /* both */
    for (int32_t mode = 0; mode < 2; mode++) REFUSED(op_of(&m, CLIPGO_OP_SELECT)->i[0] = mode);
    REFUSED(op_of(&m, CLIPGO_OP_SELECT)->src[1] = -1);
    REFUSED((op_of(&m, CLIPGO_OP_SELECT)->src[1] = -1, op_of(&m, CLIPGO_OP_SELECT)->i[0] = 0,
             op_of(&m, CLIPGO_OP_SELECT)->i[1] = 1)); /* with R = 1 there is row 0 only */
}

int main(void) {
    test_right();
    test_every_op();
    test_shapes();
    test_windows();
    test_numbers();
    return test_result();
}
