/* ops.c: how each op is cut into chunks, and which kernels a chunk calls. LINEAR and ATTENTION have their own files. */
#include "exec.h"

#include "memory.h"

#include <string.h>

/* About 2 to 20 microseconds of work: enough to pay for taking a chunk, little enough to share out evenly. */
static const uint64_t chunk_elements = 8192;

/* Rows of a norm whose floats pass through scratch on their way to a prepared form. */
enum { NORM_BATCH = 4 };

static void row_chunk(void *arg, uint32_t chunk, uint32_t thread) {
    const row_job *job = arg;
    uint64_t begin = chunk * job->per_chunk, end = begin + job->per_chunk;
    job->fn(job, begin, end < job->rows ? end : job->rows, thread);
}

void run_over_rows(const run *r, const step *s, uint64_t rows, uint64_t elements, int32_t index, row_fn *fn) {
    uint64_t per_chunk = elements < chunk_elements ? chunk_elements / elements : 1;
    row_job job = {r, s, fn, rows, per_chunk, index};
    pool_run(r->pool, (uint32_t)divide_up(rows, per_chunk), row_chunk, &job, &r->context->cancel);
}

static void over_dst(const run *r, const step *s, row_fn *fn) {
    int32_t dst = s->op.dst;
    run_over_rows(r, s, r->batch * run_rows(r, dst), run_width(r, dst), 0, fn);
}

static void embed_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const clipgo_op *op = &job->s->op;
    const clipgo_weights *w = r->program->weights;
    const clipgo_tensor *table = &w->tensors[op->w[0]], *positions = op->w[1] < 0 ? NULL : &w->tensors[op->w[1]];
    const int32_t *ids = run_place(r, op->src[0]), *position_ids = op->src[1] < 0 ? NULL : run_place(r, op->src[1]);
    size_t width = run_width(r, op->dst);
    uint64_t rows = run_rows(r, op->dst), table_row = table->bytes / table->rows;
    float *scratch = run_scratch(r, thread), *dst = (float *)run_place(r, op->dst) + begin * width;
    for (uint64_t i = begin; i < end; i++, dst += width) {
        const uint8_t *row = w->data + table->offset + (uint64_t)ids[i] * table_row;
        if (op->f[0] == 1.0f) {
            r->kernels->dequantize_row(dst, row, table->type, width);
        } else {
            memset(dst, 0, width * sizeof *dst);
            r->kernels->dequantize_row(scratch, row, table->type, width);
            r->kernels->axpby(dst, op->f[0], scratch, width);
        }
        if (positions != NULL) {
            uint64_t position = position_ids != NULL ? (uint64_t)position_ids[i] : i % rows;
            row = w->data + positions->offset + position * (positions->bytes / positions->rows);
            r->kernels->dequantize_row(scratch, row, positions->type, width);
            r->kernels->add(dst, dst, scratch, width);
        }
        if (job->s->vectors[2] != NULL) r->kernels->add(dst, dst, job->s->vectors[2], width);
    }
}

static void run_embed(const run *r, const step *s) { over_dst(r, s, embed_rows); }

/* dst[at..] = n floats of a row of x from column from on, where columns outside [0, width) are zeros */
static void copy_padded(float *dst, const float *x, int64_t from, int64_t n, int64_t width) {
    int64_t before = from < 0 ? (-from < n ? -from : n) : 0, stop = from + n < width ? n : width - from;
    if (stop < before) stop = before;
    memset(dst, 0, (size_t)before * sizeof *dst);
    memcpy(dst + before, x + from + before, (size_t)(stop - before) * sizeof *dst);
    memset(dst + stop, 0, (size_t)(n - stop) * sizeof *dst);
}

static void im2col_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const int32_t *i = job->s->op.i;
    int64_t c = i[1], h = i[2], w = i[3], kh = i[4], kw = i[5], stride = i[6], top = i[7], left = i[8], ow = i[10];
    uint64_t pixels = (uint64_t)i[9] * (uint64_t)ow;
    /* planar: c planes of rows of w floats, kw at a time; channels last: one plane of rows of w*c floats, kw*c at a
     * time */
    int64_t planes = i[0] == 0 ? c : 1, depth = i[0] == 0 ? 1 : c;
    const float *src = run_place(r, job->s->op.src[0]);
    float *dst = (float *)run_place(r, job->s->op.dst) + begin * run_width(r, job->s->op.dst);
    (void)thread;
    for (uint64_t row = begin; row < end; row++) {
        const float *item = src + row / pixels * (uint64_t)(c * h * w);
        int64_t pixel = (int64_t)(row % pixels), y = pixel / ow * stride - top, x = pixel % ow * stride - left;
        for (int64_t plane = 0; plane < planes; plane++)
            for (int64_t ky = 0; ky < kh; ky++, dst += kw * depth) {
                if (y + ky < 0 || y + ky >= h) memset(dst, 0, (size_t)(kw * depth) * sizeof *dst);
                else copy_padded(dst, item + (plane * h + y + ky) * w * depth, x * depth, kw * depth, w * depth);
            }
    }
}

static void run_im2col(const run *r, const step *s) { over_dst(r, s, im2col_rows); }

static void dwconv_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const step *s = job->s;
    const int32_t *i = s->op.i;
    uint64_t pixels = (uint64_t)i[9] * (uint64_t)i[10], channels = (uint64_t)i[1];
    uint64_t item_elements = (uint64_t)i[2] * (uint64_t)i[3] * channels;
    (void)thread;
    while (begin < end) { /* an item at a time */
        uint64_t item = begin / pixels, first = begin % pixels, n = pixels - first;
        if (n > end - begin) n = end - begin;
        clipgo_dwconv_args args = {
            .x = (const float *)run_place(r, s->op.src[0]) + item * item_elements,
            .taps = s->vectors[0],
            .bias = s->vectors[1],
            .dst = (float *)run_place(r, s->op.dst) + item * pixels * channels,
            .channels = channels,
            .height = (size_t)i[2],
            .width = (size_t)i[3],
            .kernel_h = (size_t)i[4],
            .kernel_w = (size_t)i[5],
            .stride = (size_t)i[6],
            .pad_top = (size_t)i[7],
            .pad_left = (size_t)i[8],
            .out_w = (size_t)i[10],
            .act = i[0],
        };
        r->kernels->dwconv(&args, first, first + n);
        begin += n;
    }
}

static void run_dwconv(const run *r, const step *s) {
    uint64_t taps = (uint64_t)s->op.i[4] * (uint64_t)s->op.i[5];
    run_over_rows(r, s, r->batch * run_rows(r, s->op.dst), taps * run_width(r, s->op.dst), 0, dwconv_rows);
}

static void concat_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const clipgo_op *op = &job->s->op;
    size_t width = run_width(r, op->dst);
    uint64_t rows = run_rows(r, op->dst), from_x = op->src[0] < 0 ? 0 : run_rows(r, op->src[0]), first = rows - from_x;
    const float *x = op->src[0] < 0 ? NULL : run_place(r, op->src[0]);
    float *dst = run_place(r, op->dst);
    (void)thread;
    for (uint64_t i = begin; i < end; i++) {
        uint64_t item = i / rows, row = i % rows;
        const float *src = row < first ? job->s->vectors[0] + row * width : x + (item * from_x + row - first) * width;
        memcpy(dst + i * width, src, width * sizeof *dst);
    }
}

static void run_concat(const run *r, const step *s) { over_dst(r, s, concat_rows); }

/* ADD and MUL: with a value of the same shape, with its one row, or with the rows of a tensor */
static void combine_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const clipgo_op *op = &job->s->op;
    size_t width = run_width(r, op->dst);
    uint64_t rows = run_rows(r, op->dst);
    const float *x = run_place(r, op->src[0]), *y = op->src[1] < 0 ? NULL : run_place(r, op->src[1]);
    float *dst = run_place(r, op->dst);
    void (*combine)(float *, const float *, const float *, size_t) =
        op->kind == CLIPGO_OP_ADD ? r->kernels->add : r->kernels->mul;
    (void)thread;
    if (y != NULL && run_rows(r, op->src[1]) == rows) {
        combine(dst + begin * width, x + begin * width, y + begin * width, (end - begin) * width);
        return;
    }
    for (uint64_t i = begin; i < end; i++) {
        const float *other = y != NULL ? y + i / rows * width : job->s->vectors[0] + i % rows * width;
        combine(dst + i * width, x + i * width, other, width);
    }
}

static void run_add(const run *r, const step *s) { over_dst(r, s, combine_rows); }
static void run_mul(const run *r, const step *s) { over_dst(r, s, combine_rows); }

static void act_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const clipgo_op *op = &job->s->op;
    size_t width = run_width(job->r, op->dst);
    const float *x = run_place(job->r, op->src[0]);
    (void)thread;
    job->r->kernels->act((float *)run_place(job->r, op->dst) + begin * width, x + begin * width, (end - begin) * width,
                         op->i[0]);
}

static void run_act(const run *r, const step *s) { over_dst(r, s, act_rows); }

static void norm_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const step *s = job->s;
    clipgo_norm_args args = {
        .x = run_place(r, s->op.src[0]),
        .gain = s->vectors[0],
        .bias = s->vectors[1],
        .width = run_width(r, s->op.dst),
        .eps = s->op.f[0],
        .rms = s->op.i[0],
    };
    if (s->prepares == STEP_NO_FORM) {
        args.dst = run_place(r, s->op.dst);
        r->kernels->norm(&args, begin, end);
        return;
    }
    const prepared *form = &r->program->prepared[s->prepares];
    uint8_t *dst = run_prepared(r, s->prepares);
    args.dst = run_scratch(r, thread);
    for (uint64_t i = begin; i < end; i += NORM_BATCH) {
        size_t n = end - i < NORM_BATCH ? end - i : NORM_BATCH;
        clipgo_norm_args some = args;
        some.x = args.x + i * args.width;
        r->kernels->norm(&some, 0, n);
        r->kernels->prepare(form->form, dst + i * form->row_bytes, args.dst, args.width, n, args.width);
    }
}

static void run_norm(const run *r, const step *s) { over_dst(r, s, norm_rows); }

static void l2norm_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const clipgo_op *op = &job->s->op;
    (void)thread;
    job->r->kernels->l2norm(run_place(job->r, op->dst), run_place(job->r, op->src[0]), run_width(job->r, op->dst),
                            op->f[0], begin, end);
}

static void run_l2norm(const run *r, const step *s) { over_dst(r, s, l2norm_rows); }

static void run_linear(const run *r, const step *s) { linear_run(r, s); }

static void run_attention(const run *r, const step *s) { attention_run(r, s); }

static void select_rows(const row_job *job, uint64_t begin, uint64_t end, uint32_t thread) {
    const run *r = job->r;
    const clipgo_op *op = &job->s->op;
    size_t width = run_width(r, op->dst);
    uint64_t rows = run_rows(r, op->src[0]);
    const int32_t *index = op->src[1] < 0 ? NULL : run_place(r, op->src[1]);
    (void)thread;
    for (uint64_t item = begin; item < end; item++) {
        const float *x = (const float *)run_place(r, op->src[0]) + item * rows * width;
        float *dst = (float *)run_place(r, op->dst) + item * width;
        if (op->i[0] == 3) {
            uint64_t n = index != NULL ? (uint64_t)index[item] : rows;
            float *sum = run_scratch(r, thread);
            memset(sum, 0, width * sizeof *sum);
            memset(dst, 0, width * sizeof *dst);
            for (uint64_t i = 0; i < n; i++) r->kernels->add(sum, sum, x + i * width, width);
            r->kernels->axpby(dst, 1.0f / ((float)n + op->f[0]), sum, width);
        } else {
            uint64_t row = op->i[0] == 0 ? (uint64_t)op->i[1] : op->i[0] == 1 ? rows - 1 : (uint64_t)index[item];
            memcpy(dst, x + row * width, width * sizeof *dst);
        }
    }
}

static void run_select(const run *r, const step *s) { over_dst(r, s, select_rows); }

static void (*const run_kind[])(const run *, const step *) = {
#define OP(KIND, name, sources, weights, ints, floats) [CLIPGO_OP_##KIND] = run_##name,
#include "ops.def"
#undef OP
};

void op_run(const run *r, const step *s) { run_kind[s->op.kind](r, s); }

uint64_t op_scratch(const clipgo_program *p, const step *s, uint64_t max_rows) {
    const clipgo_op *op = &s->op;
    uint64_t row = p->values[op->dst].width * sizeof(float);
    switch (op->kind) {
    case CLIPGO_OP_EMBED:
    case CLIPGO_OP_SELECT: return row;
    case CLIPGO_OP_LINEAR: return s->prepares != STEP_NO_FORM ? SUM_ROWS * PREPARED_GROUP * sizeof(float) : 0;
    case CLIPGO_OP_NORM: return s->prepares != STEP_NO_FORM ? NORM_BATCH * row : 0;
    case CLIPGO_OP_ATTENTION: return attention_scratch(p, s, max_rows);
    default: return 0;
    }
}
