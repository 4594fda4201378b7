/* model.h: programs for tests, built by hand, and what they should compute. */
#ifndef CLIPGO_TEST_MODEL_H
#define CLIPGO_TEST_MODEL_H

#include "clipgo.h"

enum { MODEL_TENSORS = 64, MODEL_VALUES = 64, MODEL_OPS = 64 };

typedef struct model {
    clipgo_tensor tensors[MODEL_TENSORS];
    clipgo_value values[MODEL_VALUES];
    clipgo_op ops[MODEL_OPS];
    uint32_t n_tensors, n_values, n_ops;
    uint8_t *data;
    uint64_t bytes;
    uint64_t seed;
} model;

void model_init(model *m, uint64_t seed);
void model_free(model *m);

/* A tensor of random F32 (type 0), F16 (1), BF16 (30) or Q8_0 (8), about scale in size. Each starts at an odd offset,
 * as no alignment is promised. */
int32_t model_tensor(model *m, uint32_t type, uint64_t rows, uint64_t cols, float scale);

int32_t model_value(model *m, uint32_t kind, uint32_t role, uint32_t row_scale, uint32_t row_add, uint32_t width);

/* An op without sources or tensors, to be filled in. */
clipgo_op *model_op(model *m, uint32_t kind, int32_t dst);

/* A right program with an op of every kind: ops[i] is of kind i + 1. */
void model_every_kind(model *m);

/* Bytes of all values of a role, as they lie in a caller's buffer. */
uint64_t model_bytes(const model *m, uint32_t role, uint32_t batch, uint32_t rows);

/* Computes the program with every op in double, as clipgo.h defines it: in and out are laid out as for clipgo_run, out
 * of doubles. */
void model_reference(const model *m, uint32_t batch, uint32_t rows, const void *in, double *out);

#endif
