/* program.h: a program that was verified, with what was decided for its run. */
#ifndef CLIPGO_PROGRAM_H
#define CLIPGO_PROGRAM_H

#include "weights.h"

/* Limits that no model comes near and that keep every product of two in an int64_t. */
enum {
    PROGRAM_MAX_RECORDS = 4096,   /* values, ops */
    PROGRAM_MAX_EXTENT = 1 << 24, /* a width, a number of rows, a geometry */
};

/* Columns of a value as LINEAR ops read them: prepared once for all that read it in one form. */
typedef struct prepared {
    int32_t value;
    clipgo_form form;
    uint64_t row_bytes;
    int32_t first, last; /* ops: it is written in first, read until last */
} prepared;

/* What a value's place in the arena depends on. */
typedef struct life {
    int32_t first, last; /* ops: written in first (-1: an input), last read in last */
    int32_t stored;      /* one of STORED_* */
} life;

enum {
    STORED_NEVER, /* it is the caller's, or only a prepared form of it is read */
    STORED_ALWAYS,
    STORED_APART /* where a fused pair of steps runs as two */
};

enum { CHUNKS_PER_THREAD = 4 /* of a job, so that the last ones come out even */ };

enum { STEP_NO_FORM = -1 };

/* An op with what belongs to it. */
typedef struct step {
    clipgo_op op;
    const float *vectors[8]; /* small tensors as floats; NULL: absent, or read as they lie */
    packed *packed[3];       /* LINEAR */
    int32_t prepared[3];     /* LINEAR: what its tensors multiply; STEP_NO_FORM: the floats of src[0] */
    /* LINEAR: its products are made by the step behind it, an ATTENTION; and that one: it makes them, for so many heads at a time.
     * 0: no */
    int32_t fused;
    int32_t prepares; /* NORM, LINEAR: the form it writes instead of its value, or STEP_NO_FORM */
} step;

struct clipgo_program {
    atomic_uint references; /* the caller's handle, and contexts */
    clipgo_weights *weights;
    uint32_t n_values, n_ops, n_prepared, n_packed;
    uint32_t activations;
    clipgo_value *values;
    life *lives;
    step *steps;
    prepared *prepared;
    packed **packed;
    slab panels; /* what was made for this program: without data, nothing or only a plan */
    int plan;    /* can't run */
    float *vectors;
    uint64_t vector_bytes;
};

/* Checks the table of tensors against the bytes of their data. */
int32_t verify_tensors(uint64_t data_bytes, const clipgo_tensor *tensors, uint64_t n, clipgo_error *err);

/* Checks every record; afterwards no op can reach outside its values and tensors but by run-time values, which a run
 * checks. */
int32_t verify_program(const clipgo_tensor *tensors, uint64_t n_tensors, const clipgo_value *values, uint32_t n_values,
                       const clipgo_op *ops, uint32_t n_ops, clipgo_error *err);

const char *op_name(uint32_t kind);

/* Rows of a value when a run has so many. */
static inline uint64_t value_rows(const clipgo_value *v, uint64_t rows) { return v->row_scale * rows + v->row_add; }

int32_t program_create(clipgo_weights *weights, const clipgo_program_desc *desc, const clipgo_value *values,
                       const clipgo_op *ops, const panel_source *source, clipgo_program **program, clipgo_error *err);
void program_release(clipgo_program *p);

#endif
