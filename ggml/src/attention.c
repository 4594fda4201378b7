/* attention.c: ATTENTION, by itself or with the products of queries, keys and values before it. */
#include "exec.h"

#include "memory.h"

/* Queries that share a transposed block of keys: fewer, and transposing would cost too much. */
static const uint64_t min_queries = 48;

/* Rows that are multiplied at a time with the panels of a head, if several items have no more: enough to pay for reading them. */
static const uint64_t head_rows = 256;

/* clipgo_attention_args.rounds */
static int32_t attention_rounds(uint32_t activations, int32_t may_round) {
    if (activations == CLIPGO_ACTIVATIONS_BF16) return may_round ? 2 : 1;
    return may_round && activations == CLIPGO_ACTIVATIONS_INT8 ? 2 : 0;
}

/* What all heads of an item have in common; dst is the first one's. */
static clipgo_attention_args item_args(const run *r, const clipgo_op *op, uint64_t item, uint32_t thread) {
    const int32_t *counts = op->src[3] < 0 ? NULL : run_place(r, op->src[3]);
    uint64_t width = counts != NULL ? run_width(r, op->src[3]) : 1;
    return (clipgo_attention_args){
        .dst_stride = run_width(r, op->dst),
        .q_rows = run_rows(r, op->dst),
        .k_rows = counts != NULL ? (size_t)counts[item * width] : run_rows(r, op->src[1]),
        .k_rows_before = width == 2 ? (size_t)counts[item * 2 + 1] : 0,
        .head_dim = (size_t)op->i[4],
        .scale = op->f[0],
        .causal = op->i[5],
        .rounds = attention_rounds(r->program->activations, op->i[6]),
        .scratch = run_scratch(r, thread),
        .dst = (float *)run_place(r, op->dst) + item * run_rows(r, op->dst) * run_width(r, op->dst),
    };
}

typedef struct attention_job {
    const run *r;
    const clipgo_op *op;
    uint64_t q_rows, per_block, blocks; /* of queries, for each head of each item */
} attention_job;

/* A thread has the heads whose products it computed. */
static void attention_chunk(void *arg, uint32_t chunk, uint32_t thread) {
    const attention_job *job = arg;
    const run *r = job->r;
    const clipgo_op *op = job->op;
    uint64_t heads = (uint64_t)op->i[0], block = chunk % job->blocks, head = chunk / job->blocks % heads,
             item = chunk / job->blocks / heads;
    uint64_t column = head * (uint64_t)op->i[4], first = block * job->per_block, n = job->q_rows - first;
    const float *src[3], *first_item[3];
    for (int s = 0; s < 3; s++) {
        first_item[s] = (const float *)run_place(r, op->src[s]) + (uint64_t)op->i[1 + s] + column;
        src[s] = first_item[s] + item * run_rows(r, op->src[s]) * run_width(r, op->src[s]);
    }
    clipgo_attention_args args = item_args(r, op, item, thread);
    args.q_stride = run_width(r, op->src[0]);
    args.k_stride = run_width(r, op->src[1]);
    args.v_stride = run_width(r, op->src[2]);
    args.q_rows = n < job->per_block ? n : job->per_block;
    args.q_first = first;
    args.q = src[0] + first * args.q_stride;
    args.k = src[1];
    args.v = src[2];
    args.k_before = first_item[1];
    args.v_before = first_item[2];
    args.dst += first * args.dst_stride + column;
    r->kernels->attention(&args);
}

static void attend(const run *r, const step *s) {
    attention_job job = {.r = r, .op = &s->op, .q_rows = run_rows(r, s->op.dst), .blocks = 1};
    uint64_t pairs = r->batch * (uint64_t)s->op.i[0], wanted = CHUNKS_PER_THREAD * (uint64_t)pool_threads(r->pool);
    if (pairs < wanted) job.blocks = divide_up(wanted, pairs);
    if (job.blocks > job.q_rows / min_queries) job.blocks = job.q_rows / min_queries;
    if (job.blocks == 0) job.blocks = 1;
    job.per_block = divide_up(job.q_rows, job.blocks);
    job.blocks = divide_up(job.q_rows, job.per_block);
    pool_run(r->pool, (uint32_t)(pairs * job.blocks), attention_chunk, &job, &r->context->cancel);
}

typedef struct heads_job {
    const run *r;
    const step *attention;
    linear_part parts[3];         /* of the step before: queries, keys, values */
    uint64_t rows, items, blocks; /* rows of an item; items in a block */
    size_t scratch;               /* bytes before a thread's queries, keys and values */
} heads_job;

/* Queries, keys and values of some heads [rows][3][heads * dim], for a block of items, and their attention, while they are in this
 * thread's cache. */
static void heads_chunk(void *arg, uint32_t chunk, uint32_t thread) {
    const heads_job *job = arg;
    const run *r = job->r;
    const clipgo_op *op = &job->attention->op;
    uint64_t group = chunk / job->blocks, item = chunk % job->blocks * job->items, items = r->batch - item;
    size_t heads = (size_t)job->attention->fused, dim = (size_t)op->i[4], width = heads * dim, stride = 3 * width;
    float *qkv = (float *)(void *)((uint8_t *)run_scratch(r, thread) + job->scratch);
    if (items > job->items) items = job->items;
    uint64_t first = item * job->rows, rows = items * job->rows;
    for (int t = 0; t < 3; t++) {
        const linear_part *part = &job->parts[t];
        uint32_t panels = (uint32_t)(width / part->matrix->panel_rows), begin = (uint32_t)group * panels;
        clipgo_epilogue e = part->epilogue;
        e.dst = qkv + (size_t)t * width;
        e.dst_first = group * width;
        e.dst_stride = stride;
        for (uint64_t at = 0, n, most = cached_rows(r, part->row_bytes); at < rows; at += n) {
            n = rows - at < most ? rows - at : most;
            r->kernels->gemm(part->matrix, part->rows + (first + at) * part->row_bytes, n, begin, begin + panels, &e);
            e.dst += n * stride;
        }
    }
    for (uint64_t i = 0; i < items; i++)
        for (uint64_t head = 0; head < heads; head++) {
            clipgo_attention_args args = item_args(r, op, item + i, thread);
            args.q_stride = args.k_stride = args.v_stride = stride;
            args.q = qkv + i * job->rows * stride + head * dim;
            args.k = args.q + width;
            args.v = args.k + width;
            args.dst += group * width + head * dim;
            r->kernels->attention(&args);
        }
}

/* Of the kernel, in whole cache lines. */
static uint64_t own_scratch(const clipgo_program *p, const clipgo_op *op, uint64_t max_rows) {
    /* keys of the batch before an item may be more than an item has */
    uint64_t keys =
        op->src[3] >= 0 && p->values[op->src[3]].width == 2 ? SIZE_MAX : value_rows(&p->values[op->src[1]], max_rows);
    uint64_t bytes = p->weights->device->kernels->attention_scratch(value_rows(&p->values[op->src[0]], max_rows), keys,
                                                                    (size_t)op->i[4]);
    size_align(bytes, &bytes); /* keys are cut into blocks: it is far from the largest number */
    return bytes;
}

uint64_t attention_scratch(const clipgo_program *p, const step *s, uint64_t max_rows) {
    uint64_t bytes = own_scratch(p, &s->op, max_rows), rows = value_rows(&p->values[s->op.dst], max_rows);
    if (s->fused == 0) return bytes;
    if (rows < head_rows) rows = head_rows;
    return bytes + rows * 3 * (uint64_t)(s->fused * s->op.i[4]) * sizeof(float);
}

static void attend_by_heads(const run *r, const step *s) {
    heads_job job = {.r = r, .attention = s, .rows = run_rows(r, s->op.dst)};
    for (int t = 0; t < 3; t++) job.parts[t] = linear_part_of(r, s - 1, t);
    job.items = job.rows < head_rows ? head_rows / job.rows : 1;
    job.blocks = divide_up(r->batch, job.items);
    job.items = divide_up(r->batch, job.blocks);
    job.scratch = (size_t)own_scratch(r->program, &s->op, r->rows);
    pool_run(r->pool, (uint32_t)((uint64_t)(s->op.i[0] / s->fused) * job.blocks), heads_chunk, &job,
             &r->context->cancel);
}

void attention_run(const run *r, const step *s) {
    if (run_fused(r, s)) attend_by_heads(r, s);
    else attend(r, s);
}
