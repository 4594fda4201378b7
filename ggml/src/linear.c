/* linear.c: matrix products. The rows of all items are one tall matrix; its rows, prepared once, are multiplied with
 * the panels of one to three tensors. A chunk is a few panels, times a block of rows that stays in a thread's L2 cache.
 *
 * Each thread has chunks that lie one behind the other, since the kernel prefetches what follows the panel that it works
 * on. Of queries, keys and values it has the same columns, so that it finds the heads that it is to compute in its cache. */
#include "exec.h"

/* Multiply-adds of a chunk: at least about 5 microseconds' worth. */
static const uint64_t least_products = 1u << 20;
/* Fewer rows than this don't pay for reading the panels again. */
static const uint64_t least_rows = 48;

typedef struct linear_job {
    const run *r;
    int32_t prepares; /* the form that is written instead of dst, or STEP_NO_FORM */
    linear_part parts[3];
    uint32_t n_parts;
    uint64_t rows, block_rows;
    uint32_t per_chunk; /* panels */
    uint32_t chunks;    /* in a block of rows, over all parts */
    uint32_t per_slice; /* chunks of a part that a thread has, where its share is the same columns of all parts; or 0 */
} linear_job;

/* Rows [first, first + n) of a product with panels [begin, end), rounded at once for the op that reads them: a piece of dst
 * is but in this thread's cache, and other threads fetch a quarter of its bytes. */
static void rounded_product(const linear_job *job, const linear_part *p, clipgo_epilogue e, const uint8_t *rows,
                            uint64_t first, uint64_t n, uint32_t begin, uint32_t end, uint32_t thread) {
    const run *r = job->r;
    const clipgo_matrix *m = p->matrix;
    const prepared *form = &r->program->prepared[job->prepares];
    uint8_t *dst = run_prepared(r, job->prepares) + first * form->row_bytes;
    e.dst = run_scratch(r, thread);
    e.dst_stride = PREPARED_GROUP;
    for (uint32_t panels = PREPARED_GROUP / m->panel_rows; begin < end; begin += panels) {
        e.dst_first = (size_t)begin * m->panel_rows;
        clipgo_epilogue some = e;
        for (uint64_t row = 0, count; row < n; row += count) {
            count = n - row < SUM_ROWS ? n - row : SUM_ROWS;
            r->kernels->gemm(m, rows + row * p->row_bytes, count, begin, begin + panels, &some);
            r->kernels->prepare_columns(form->form, dst + row * form->row_bytes, e.dst, PREPARED_GROUP, count, m->rows,
                                        e.dst_first, PREPARED_GROUP);
            if (some.gate != NULL) some.gate += count * some.gate_stride;
            if (some.residual != NULL) some.residual += count * some.residual_stride;
        }
    }
}

/* Chunks of a part, in a block of rows. */
static uint32_t part_chunks(const linear_job *job, const linear_part *p) {
    return (uint32_t)divide_up(p->matrix->panels, job->per_chunk);
}

/* The part that a chunk of a block of rows belongs to. *chunk becomes its number there. */
static const linear_part *part_of(const linear_job *job, uint32_t *chunk) {
    const linear_part *p = job->parts;
    if (job->per_slice != 0) {
        uint32_t slice = *chunk / (job->per_slice * job->n_parts), at = *chunk % (job->per_slice * job->n_parts);
        *chunk = slice * job->per_slice + at % job->per_slice;
        return p + at / job->per_slice;
    }
    for (uint32_t n; *chunk >= (n = part_chunks(job, p)); p++) *chunk -= n;
    return p;
}

static void linear_chunk(void *arg, uint32_t chunk, uint32_t thread) {
    const linear_job *job = arg;
    uint64_t first = chunk / job->chunks * job->block_rows, n = job->rows - first;
    uint32_t group = chunk % job->chunks;
    const linear_part *p = part_of(job, &group);
    uint32_t begin = group * job->per_chunk, left = p->matrix->panels - begin;
    uint32_t end = begin + (left < job->per_chunk ? left : job->per_chunk);
    clipgo_epilogue e = p->epilogue;
    const uint8_t *rows = p->rows + first * p->row_bytes;
    if (n > job->block_rows) n = job->block_rows;
    if (e.gate != NULL) e.gate += first * e.gate_stride;
    if (e.residual != NULL) e.residual += first * e.residual_stride;
    if (job->prepares != STEP_NO_FORM) {
        rounded_product(job, p, e, rows, first, n, begin, end, thread);
    } else {
        e.dst += first * e.dst_stride;
        job->r->kernels->gemm(p->matrix, rows, n, begin, end, &e);
    }
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

uint64_t cached_rows(const run *r, uint64_t row_bytes) {
    uint64_t rows = r->program->weights->device->cached_bytes / row_bytes;
    return rows > least_rows ? rows : least_rows;
}

/* Decides how many rows and panels make a chunk, and whose they are; returns the number of chunks. */
static uint32_t cut(linear_job *job, int32_t parts, uint32_t threads) {
    uint64_t panels = 0, products = 0, row_bytes = 0, wanted = CHUNKS_PER_THREAD * threads;
    for (int t = 0; t < parts; t++) {
        const linear_part *p = &job->parts[t];
        const clipgo_matrix *m = p->matrix;
        panels += m->panels;
        if (m->cols * m->panel_rows > products) products = m->cols * m->panel_rows; /* of a row with a panel */
        if (p->row_bytes > row_bytes) row_bytes = p->row_bytes;
    }
    uint64_t blocks = divide_up(job->rows, cached_rows(job->r, row_bytes));
    if (panels * blocks < wanted) blocks = divide_up(wanted, panels);
    if (blocks > divide_up(job->rows, least_rows)) blocks = divide_up(job->rows, least_rows);
    job->block_rows = divide_up(job->rows, blocks);
    blocks = divide_up(job->rows, job->block_rows);
    uint64_t per_chunk = least_products / (job->block_rows * products), even = panels * blocks / wanted;
    if (per_chunk > even) per_chunk = even;
    if (per_chunk == 0) per_chunk = 1;
    uint64_t whole = job->prepares != STEP_NO_FORM ? PREPARED_GROUP / job->parts[0].matrix->panel_rows : 1;
    per_chunk = divide_up(per_chunk, whole) * whole;
    job->per_chunk = (uint32_t)per_chunk;
    uint32_t first = part_chunks(job, job->parts);
    job->per_slice = first % threads == 0 ? first / threads : 0;
    for (int t = 0; t < parts; t++) {
        uint32_t n = part_chunks(job, &job->parts[t]);
        job->chunks += n;
        if (n != first) job->per_slice = 0;
    }
    return (uint32_t)(blocks * job->chunks);
}

static const float *offset(const float *p, uint64_t n) { return p != NULL ? p + n : NULL; }

linear_part linear_part_of(const run *r, const step *s, int t) {
    const clipgo_op *op = &s->op;
    size_t width = run_width(r, op->dst);
    uint64_t column = 0;
    for (int i = 0; i < t; i++) column += s->packed[i]->matrix.rows;
    linear_part p = {
        .matrix = &s->packed[t]->matrix,
        .rows = run_place(r, op->src[0]),
        .row_bytes = run_width(r, op->src[0]) * sizeof(float),
        .epilogue = {.bias = s->vectors[3 + t],
                     .scale = offset(s->vectors[6], column),
                     .gate = op->src[2] < 0 ? NULL : offset(run_place(r, op->src[2]), column),
                     .residual = op->src[1] < 0 ? NULL : offset(run_place(r, op->src[1]), column),
                     .gate_stride = width,
                     .residual_stride = width,
                     .dst_stride = width,
                     .act = op->i[0]},
    };
    if (s->prepared[t] != STEP_NO_FORM) {
        p.rows = run_prepared(r, s->prepared[t]);
        p.row_bytes = r->program->prepared[s->prepared[t]].row_bytes;
    }
    return p;
}

void linear_run(const run *r, const step *s) {
    const clipgo_op *op = &s->op;
    uint64_t rows = r->batch * run_rows(r, op->dst), column = 0;
    linear_job job;
    job.r = r;
    job.rows = rows;
    job.chunks = 0;
    job.n_parts = (uint32_t)op->i[1];
    job.prepares = s->prepares;
    prepare(r, s, rows);
    if (run_fused(r, s)) return;
    for (int t = 0; t < op->i[1]; t++) {
        job.parts[t] = linear_part_of(r, s, t);
        if (s->prepares == STEP_NO_FORM) job.parts[t].epilogue.dst = (float *)run_place(r, op->dst) + column;
        column += job.parts[t].matrix->rows;
    }
    uint32_t chunks = cut(&job, op->i[1], pool_threads(r->pool));
    pool_run(r->pool, chunks, linear_chunk, &job, &r->context->cancel);
}
