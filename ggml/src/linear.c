/* linear.c: matrix products. The rows of all items are one tall matrix; its rows, prepared once, are multiplied with
 * the panels of one to three tensors. A chunk is a block of rows that stays in the second-level cache, times a few
 * panels: each panel is read once per block, the rows once per panel from nearby. */
#include "exec.h"

/* Prepared rows of a block: half of a small second-level cache. */
static const uint64_t block_bytes = 256u << 10;
/* Rows of a block come in multiples of this, which the tiles of all kernels divide well. */
static const uint64_t block_unit = 48;
/* Multiply-adds of a chunk: 5 to 20 microseconds. */
static const uint64_t chunk_products = 1u << 20;

typedef struct part {
    const clipgo_matrix *matrix;
    const uint8_t *rows; /* prepared */
    uint64_t row_bytes;
    clipgo_epilogue epilogue;   /* of the first row */
    uint32_t per_chunk, chunks; /* panels; chunks in a block of rows */
} part;

typedef struct linear_job {
    const run *r;
    part parts[3];
    uint64_t rows, block_rows;
    uint32_t chunks; /* in a block of rows, over all parts */
} linear_job;

static void linear_chunk(void *arg, uint32_t chunk, uint32_t thread) {
    const linear_job *job = arg;
    uint64_t first = chunk / job->chunks * job->block_rows, n = job->rows - first;
    uint32_t group = chunk % job->chunks;
    const part *p = job->parts;
    (void)thread;
    for (; group >= p->chunks; p++) group -= p->chunks;
    uint32_t begin = group * p->per_chunk, left = p->matrix->panels - begin;
    clipgo_epilogue e = p->epilogue;
    e.dst += first * e.dst_stride;
    if (e.gate != NULL) e.gate += first * e.gate_stride;
    if (e.residual != NULL) e.residual += first * e.residual_stride;
    job->r->kernels->gemm(p->matrix, p->rows + first * p->row_bytes, n < job->block_rows ? n : job->block_rows, begin,
                          begin + (left < p->per_chunk ? left : p->per_chunk), &e);
}

static void prepare_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const prepared *form = &r->program->prepared[job->index];
    size_t width = run_width(r, form->value);
    (void)thread;
    r->kernels->prepare(form->form, run_prepared(r, job->index) + begin * form->row_bytes,
                        (const float *)run_place(r, form->value) + begin * width, width, end - begin, width);
}

/* Makes the forms that this op is the first to read. */
static void prepare(const run *r, const step *s, uint64_t rows) {
    int32_t op = (int32_t)(s - r->program->steps), done = STEP_NO_FORM;
    for (int t = 0; t < 3; t++) {
        int32_t index = s->prepared[t];
        if (s->packed[t] == NULL || index == STEP_NO_FORM || index == done) continue;
        if (r->program->prepared[index].first != op) continue;
        run_over_rows(r, s, rows, run_width(r, s->op.src[0]), index, prepare_rows);
        done = index;
    }
}

static const float *offset(const float *p, uint64_t n) { return p != NULL ? p + n : NULL; }

void linear_run(const run *r, const step *s) {
    const clipgo_op *op = &s->op;
    size_t width = run_width(r, op->dst);
    uint64_t rows = r->batch * run_rows(r, op->dst), column = 0, widest = 0;
    linear_job job = {.r = r, .rows = rows};
    prepare(r, s, rows);
    for (int t = 0; t < op->i[1]; t++) {
        const clipgo_matrix *m = &s->packed[t]->matrix;
        part *p = &job.parts[t];
        p->matrix = m;
        if (s->prepared[t] == STEP_NO_FORM) {
            p->rows = run_place(r, op->src[0]);
            p->row_bytes = run_width(r, op->src[0]) * sizeof(float);
        } else {
            p->rows = run_prepared(r, s->prepared[t]);
            p->row_bytes = r->program->prepared[s->prepared[t]].row_bytes;
        }
        p->epilogue = (clipgo_epilogue){
            .bias = s->vectors[3 + t],
            .scale = offset(s->vectors[6], column),
            .gate = op->src[2] < 0 ? NULL : offset(run_place(r, op->src[2]), column),
            .residual = op->src[1] < 0 ? NULL : offset(run_place(r, op->src[1]), column),
            .dst = (float *)run_place(r, op->dst) + column,
            .gate_stride = width,
            .residual_stride = width,
            .dst_stride = width,
            .act = op->i[0],
        };
        column += m->rows;
        if (p->row_bytes > widest) widest = p->row_bytes;
    }
    uint64_t fit = block_bytes / widest / block_unit * block_unit;
    if (fit == 0) fit = block_unit;
    uint64_t blocks = (rows + fit - 1) / fit;
    job.block_rows = (rows + blocks - 1) / blocks;
    if (blocks > 1) job.block_rows = (job.block_rows + block_unit - 1) / block_unit * block_unit;
    blocks = (rows + job.block_rows - 1) / job.block_rows;
    for (int t = 0; t < op->i[1]; t++) {
        part *p = &job.parts[t];
        uint64_t products = job.block_rows * p->matrix->cols * p->matrix->panel_rows;
        p->per_chunk = products < chunk_products ? (uint32_t)(chunk_products / products) : 1;
        p->chunks = (p->matrix->panels + p->per_chunk - 1) / p->per_chunk;
        job.chunks += p->chunks;
    }
    pool_run(r->pool, (uint32_t)(blocks * job.chunks), linear_chunk, &job, &r->context->cancel);
}
