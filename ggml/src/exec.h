/* exec.h: contexts, and a run of a program in one. */
#ifndef CLIPGO_EXEC_H
#define CLIPGO_EXEC_H

#include "program.h"

struct clipgo_context {
    clipgo_program *program;
    uint32_t max_batch, max_rows;
    atomic_int cancel, busy;
    uint8_t *arena;
    uint64_t arena_bytes;
    uint64_t *value_offsets, *prepared_offsets; /* in the arena */
    uint64_t scratch_offset, scratch_bytes;     /* the first thread's, and each thread's */
    uint64_t *nanoseconds;                      /* per op, which run apart for it; NULL without a profile */
    void **places;                              /* of each value, during a run */
};

/* One run: what every op may look at. */
typedef struct run {
    const clipgo_program *program;
    clipgo_context *context;
    const clipgo_kernels *kernels;
    pool *pool;
    uint64_t batch, rows;
} run;

int32_t context_create(clipgo_program *p, uint32_t max_batch, uint32_t max_rows, int profile, clipgo_context **context,
                       clipgo_error *err);
void context_free(clipgo_context *c);

int32_t context_run(clipgo_context *c, uint32_t batch, uint32_t rows, const void *in, uint64_t in_bytes, void *out,
                    uint64_t out_bytes, clipgo_error *err);

/* ops.c: does one op; and the bytes of scratch that a thread needs for it in the largest run. */
void op_run(const run *r, const step *s);
uint64_t op_scratch(const clipgo_program *p, const step *s, uint64_t max_rows);

/* linear.c */
void linear_run(const run *r, const step *s);

/* One of a LINEAR's products. */
typedef struct linear_part {
    const clipgo_matrix *matrix;
    const uint8_t *rows; /* prepared */
    uint64_t row_bytes;
    clipgo_epilogue epilogue; /* of the first row; dst is the caller's to set */
} linear_part;
linear_part linear_part_of(const run *r, const step *s, int t);

/* Rows that stay in a thread's L2 cache while panels pass by. */
uint64_t cached_rows(const run *r, uint64_t row_bytes);

/* attention.c */
void attention_run(const run *r, const step *s);
uint64_t attention_scratch(const clipgo_program *p, const step *s, uint64_t max_rows);

static inline uint64_t run_rows(const run *r, int32_t value) { return value_rows(&r->program->values[value], r->rows); }
static inline size_t run_width(const run *r, int32_t value) { return r->program->values[value].width; }
static inline void *run_place(const run *r, int32_t value) { return r->context->places[value]; }
static inline uint8_t *run_prepared(const run *r, int32_t index) {
    return r->context->arena + r->context->prepared_offsets[index];
}
static inline void *run_scratch(const run *r, uint32_t thread) {
    return r->context->arena + r->context->scratch_offset + thread * r->context->scratch_bytes;
}

/* Is the step one of a pair that runs as one? */
static inline int run_fused(const run *r, const step *s) { return s->fused > 0 && r->context->nanoseconds == NULL; }

/* A job over the rows of all items, counted through; fn does rows [begin, end). */
typedef struct row_job row_job;
typedef void row_fn(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread);
struct row_job {
    const run *r;
    const step *s;
    row_fn *fn;
    uint64_t rows, per_chunk;
    int32_t index; /* for fn */
};

/* Cuts rows of so many elements into chunks that are worth a thread's while. */
void run_over_rows(const run *r, const step *s, uint64_t rows, uint64_t elements, int32_t index, row_fn *fn);

static inline uint64_t divide_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

#endif
