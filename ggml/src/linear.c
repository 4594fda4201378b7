/* linear.c: matrix products. The rows of all items are one tall matrix; its rows, prepared once, are multiplied with
 * the panels of one to three tensors. A chunk is a few panels, times all rows where there are panels enough for the
 * threads: then each panel is read by one of them, once. The kernels block rows for the caches themselves. */
#include "exec.h"

/* Multiply-adds of a chunk: at least about 5 microseconds' worth, at most some milliseconds'. */
static const uint64_t least_products = 1u << 20, most_products = 1u << 26;
/* Chunks for each thread, so that the last ones come out even. */
static const uint64_t chunks_per_thread = 4;
/* Fewer rows than this don't pay for reading the panels again. */
static const uint64_t least_rows = 48;

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

static uint64_t divide_up(uint64_t a, uint64_t b) { return (a + b - 1) / b; }

/* Decides how many rows and panels make a chunk; returns the number of blocks of rows. */
static uint64_t cut(linear_job *job, int32_t parts, uint32_t threads) {
    uint64_t panels = 0, products = 0, wanted = chunks_per_thread * threads;
    for (int t = 0; t < parts; t++) {
        const clipgo_matrix *m = job->parts[t].matrix;
        panels += m->panels;
        if (m->cols * m->panel_rows > products) products = m->cols * m->panel_rows; /* of a row with a panel */
    }
    uint64_t blocks = divide_up(job->rows * products, most_products);
    if (panels * blocks < wanted) blocks = divide_up(wanted, panels);
    if (blocks > job->rows / least_rows) blocks = job->rows / least_rows;
    if (blocks == 0) blocks = 1;
    job->block_rows = divide_up(job->rows, blocks);
    blocks = divide_up(job->rows, job->block_rows);
    uint64_t per_chunk = least_products / (job->block_rows * products), even = panels * blocks / wanted;
    if (per_chunk > even) per_chunk = even;
    if (per_chunk == 0) per_chunk = 1;
    for (int t = 0; t < parts; t++) {
        part *p = &job->parts[t];
        p->per_chunk = (uint32_t)per_chunk;
        p->chunks = (uint32_t)divide_up(p->matrix->panels, per_chunk);
        job->chunks += p->chunks;
    }
    return blocks;
}

static const float *offset(const float *p, uint64_t n) { return p != NULL ? p + n : NULL; }

void linear_run(const run *r, const step *s) {
    const clipgo_op *op = &s->op;
    size_t width = run_width(r, op->dst);
    uint64_t rows = r->batch * run_rows(r, op->dst), column = 0;
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
    }
    uint64_t blocks = cut(&job, op->i[1], pool_threads(r->pool));
    pool_run(r->pool, (uint32_t)(blocks * job.chunks), linear_chunk, &job, &r->context->cancel);
}
