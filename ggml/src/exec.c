#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "exec.h"

#include "arena.h"
#include "error.h"
#include "memory.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Chunks are counted in 32 bits; these keep every op's number of them there. */
static const uint64_t max_total_rows = 1u << 30, max_value_bytes = (uint64_t)1 << 40;

/* Bytes of a value, or 0: too many. */
static uint64_t value_bytes(const clipgo_value *v, uint64_t batch, uint64_t rows) {
    uint64_t total, elements, bytes;
    if (!size_mul(batch, value_rows(v, rows), &total) || total > max_total_rows ||
        !size_mul(total, v->width, &elements) || !size_mul(elements, 4, &bytes) || bytes > max_value_bytes)
        return 0;
    return bytes;
}

/* Has a value a place in the arena? */
static int is_stored(const clipgo_context *c, uint32_t value) {
    int32_t stored = c->program->lives[value].stored;
    return stored == STORED_ALWAYS || (stored == STORED_APART && c->nanoseconds != NULL);
}

/* Lays out the arena for the largest run. */
static int32_t plan(clipgo_context *c, clipgo_error *err) {
    const clipgo_program *p = c->program;
    uint32_t n = p->n_values + p->n_prepared, used = 0;
    arena_block *blocks = calloc(n, sizeof *blocks);
    uint64_t **answers = calloc(n, sizeof(uint64_t *));
    int32_t status = CLIPGO_OK;
    if (blocks == NULL || answers == NULL) {
        free(blocks);
        free(answers);
        return fail(err, CLIPGO_ERR_MEMORY, n, "no memory to plan an arena of %u values", n);
    }
    for (uint32_t i = 0; i < p->n_values && status == CLIPGO_OK; i++) {
        uint64_t bytes = value_bytes(&p->values[i], c->max_batch, c->max_rows);
        if (bytes == 0)
            status = fail(err, CLIPGO_ERR_INPUT, i, "value %u of %u items of %u rows is too large", i, c->max_batch,
                          c->max_rows);
        if (!is_stored(c, i)) continue;
        answers[used] = &c->value_offsets[i];
        blocks[used++] = (arena_block){bytes, p->lives[i].first, p->lives[i].last, 0};
    }
    for (uint32_t i = 0; i < p->n_prepared && status == CLIPGO_OK; i++) {
        const prepared *f = &p->prepared[i];
        uint64_t bytes;
        if (!size_mul(c->max_batch * value_rows(&p->values[f->value], c->max_rows), f->row_bytes, &bytes))
            status = fail(err, CLIPGO_ERR_INPUT, f->value, "value %d is too large", f->value);
        answers[used] = &c->prepared_offsets[i];
        blocks[used++] = (arena_block){bytes, f->first, f->last, 0};
    }
    for (uint32_t i = 0; i < p->n_ops && status == CLIPGO_OK; i++) {
        uint64_t bytes = op_scratch(p, &p->steps[i], c->max_rows);
        if (bytes > c->scratch_bytes) c->scratch_bytes = bytes;
    }
    uint64_t scratch;
    if (status == CLIPGO_OK &&
        (!arena_plan(blocks, used, &c->scratch_offset) || !size_align(c->scratch_bytes, &c->scratch_bytes) ||
         !size_mul(c->scratch_bytes, pool_threads(p->weights->device->pool), &scratch) ||
         !size_add(c->scratch_offset, scratch, &c->arena_bytes)))
        status =
            fail(err, CLIPGO_ERR_MEMORY, 0, "no memory for an arena of %u items of %u rows", c->max_batch, c->max_rows);
    for (uint32_t i = 0; i < used && status == CLIPGO_OK; i++) *answers[i] = blocks[i].offset;
    free(blocks);
    free(answers);
    return status;
}

void context_free(clipgo_context *c) {
    program_release(c->program);
    memory_unmap(c->arena, c->arena_bytes);
    free(c->value_offsets);
    free(c->prepared_offsets);
    free(c->nanoseconds);
    free(c->places);
    free(c);
}

int32_t context_create(clipgo_program *p, uint32_t max_batch, uint32_t max_rows, int profile, clipgo_context **context,
                       clipgo_error *err) {
    clipgo_context *c = calloc(1, sizeof *c);
    if (c == NULL) return fail(err, CLIPGO_ERR_MEMORY, (int64_t)sizeof *c, "no memory for a context");
    atomic_fetch_add(&p->references, 1);
    c->program = p;
    c->max_batch = max_batch;
    c->max_rows = max_rows;
    c->value_offsets = calloc(p->n_values, sizeof *c->value_offsets);
    c->prepared_offsets = calloc(p->n_prepared + 1, sizeof *c->prepared_offsets);
    c->places = calloc(p->n_values, sizeof *c->places);
    if (profile) c->nanoseconds = calloc(p->n_ops, sizeof *c->nanoseconds);
    int32_t status = CLIPGO_OK;
    if (c->value_offsets == NULL || c->prepared_offsets == NULL || c->places == NULL ||
        (profile && c->nanoseconds == NULL))
        status = fail(err, CLIPGO_ERR_MEMORY, p->n_values, "no memory for a context of %u values", p->n_values);
    if (status == CLIPGO_OK) status = plan(c, err);
    if (status == CLIPGO_OK && c->arena_bytes > 0 && !p->plan) {
        c->arena = memory_map(c->arena_bytes);
        if (c->arena == NULL) {
            status = fail(err, CLIPGO_ERR_MEMORY, (int64_t)c->arena_bytes, "no memory for an arena of %llu bytes",
                          (unsigned long long)c->arena_bytes);
            c->arena_bytes = 0;
        }
    }
    if (status != CLIPGO_OK) {
        context_free(c);
        return status;
    }
    *context = c;
    return CLIPGO_OK;
}

/* Places the values of a role in a caller's buffer, each at the next multiple of 64 bytes. */
static int32_t place_buffer(const run *r, uint32_t role, uint8_t *buffer, uint64_t bytes, clipgo_error *err) {
    const char *name = role == CLIPGO_INPUT ? "input" : "output";
    uint64_t at = 0, size;
    for (uint32_t i = 0; i < r->program->n_values; i++) {
        const clipgo_value *v = &r->program->values[i];
        if (v->role != role) continue;
        size = value_bytes(v, r->batch, r->rows);
        if (size == 0 || !size_align(at, &at) || !size_add(at, size, &size) || size > bytes)
            return fail(err, CLIPGO_ERR_INPUT, i, "the %s of %llu bytes ends before value %u [%llu, %llu, %u] does",
                        name, (unsigned long long)bytes, i, (unsigned long long)r->batch,
                        (unsigned long long)value_rows(v, r->rows), v->width);
        r->context->places[i] = buffer + at;
        at = size;
    }
    if (buffer != NULL && (uintptr_t)buffer % 4 != 0)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "the %s isn't aligned to 4 bytes", name);
    return CLIPGO_OK;
}

/* Checks that element i of a value lies in [0, most]. */
static int32_t check_integer(const run *r, uint32_t op, int32_t value, uint64_t i, int64_t most, clipgo_error *err) {
    int32_t x = ((const int32_t *)run_place(r, value))[i];
    if (x >= 0 && x <= most) return CLIPGO_OK;
    return fail(err, CLIPGO_ERR_INPUT, x, "op %u (%s): element %llu of value %d is %d, expected 0 to %lld", op,
                op_name(r->program->steps[op].op.kind), (unsigned long long)i, value, x, (long long)most);
}

/* The same for every integer of a value. */
static int32_t check_integers(const run *r, uint32_t op, int32_t value, int64_t most, clipgo_error *err) {
    int32_t status = CLIPGO_OK;
    uint64_t n = r->batch * run_rows(r, value);
    for (uint64_t i = 0; i < n && status == CLIPGO_OK; i++) status = check_integer(r, op, value, i, most, err);
    return status;
}

/* Checks an attention's counts of keys: those of an item are its own, and rows of the batch before it. */
static int32_t check_keys(const run *r, uint32_t op, int32_t value, uint64_t rows, clipgo_error *err) {
    int32_t status = CLIPGO_OK;
    uint64_t width = run_width(r, value);
    for (uint64_t i = 0; i < r->batch * width && status == CLIPGO_OK; i++)
        status = check_integer(r, op, value, i, (int64_t)(i % width == 0 ? rows : i / width * rows), err);
    return status;
}

static int32_t check_enough_rows(uint32_t op, const char *what, uint64_t have, uint64_t need, clipgo_error *err) {
    if (need <= have) return CLIPGO_OK;
    return fail(err, CLIPGO_ERR_INPUT, op, "op %u: %llu rows, but only %llu %s", op, (unsigned long long)need,
                (unsigned long long)have, what);
}

/* What the verifier couldn't know: integers, which are inputs all, and tables against the number of rows. */
static int32_t check_run(const run *r, clipgo_error *err) {
    const clipgo_tensor *tensors = r->program->weights->tensors;
    int32_t status = CLIPGO_OK;
    for (uint32_t i = 0; i < r->program->n_ops && status == CLIPGO_OK; i++) {
        const clipgo_op *op = &r->program->steps[i].op;
        switch (op->kind) {
        case CLIPGO_OP_EMBED:
            status = check_integers(r, i, op->src[0], (int64_t)tensors[op->w[0]].rows - 1, err);
            if (status != CLIPGO_OK || op->w[1] < 0) break;
            if (op->src[1] >= 0) status = check_integers(r, i, op->src[1], (int64_t)tensors[op->w[1]].rows - 1, err);
            else status = check_enough_rows(i, "positions", tensors[op->w[1]].rows, run_rows(r, op->dst), err);
            break;
        case CLIPGO_OP_ADD:
            if (op->w[0] >= 0)
                status = check_enough_rows(i, "to add", tensors[op->w[0]].rows, run_rows(r, op->dst), err);
            break;
        case CLIPGO_OP_ATTENTION:
            if (op->src[3] >= 0) status = check_keys(r, i, op->src[3], run_rows(r, op->src[1]), err);
            break;
        case CLIPGO_OP_SELECT:
            if (op->src[1] >= 0)
                status = check_integers(r, i, op->src[1], (int64_t)run_rows(r, op->src[0]) - (op->i[0] == 2), err);
            break;
        default: break;
        }
    }
    return status;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#if CLIPGO_POISON
/* Debug builds fill what nobody should read any more with NaNs. */
static void poison(const run *r, int32_t op) {
    const clipgo_program *p = r->program;
    for (uint32_t i = 0; i < p->n_values; i++)
        if (is_stored(r->context, i) && p->lives[i].last == op)
            memset(r->context->places[i], 0xff, value_bytes(&p->values[i], r->batch, r->rows));
    for (uint32_t i = 0; i < p->n_prepared; i++)
        if (p->prepared[i].last == op)
            memset(run_prepared(r, (int32_t)i), 0xff,
                   r->batch * run_rows(r, p->prepared[i].value) * p->prepared[i].row_bytes);
}
#else
static void poison(const run *r, int32_t op) { (void)r, (void)op; }
#endif

static int32_t run_steps(const run *r, clipgo_error *err) {
    clipgo_context *c = r->context;
    int32_t status = CLIPGO_OK;
    if (!pool_enter(r->pool, &c->cancel)) return fail(err, CLIPGO_ERR_CANCELLED, 0, "the run was cancelled");
    for (uint32_t i = 0; i < r->program->n_ops && status == CLIPGO_OK; i++) {
        uint64_t begin = c->nanoseconds != NULL ? now_ns() : 0;
        if (!atomic_load(&c->cancel)) op_run(r, &r->program->steps[i]);
        poison(r, (int32_t)i);
        if (c->nanoseconds != NULL) c->nanoseconds[i] += now_ns() - begin;
        if (atomic_load(&c->cancel)) status = fail(err, CLIPGO_ERR_CANCELLED, i, "the run was cancelled");
    }
    pool_leave(r->pool);
    return status;
}

int32_t context_run(clipgo_context *c, uint32_t batch, uint32_t rows, const void *in, uint64_t in_bytes, void *out,
                    uint64_t out_bytes, clipgo_error *err) {
    const clipgo_program *p = c->program;
    const run r = {p, c, p->weights->device->kernels, p->weights->device->pool, batch, rows};
    for (uint32_t i = 0; i < p->n_values; i++)
        if (is_stored(c, i)) c->places[i] = c->arena + c->value_offsets[i];
    int32_t status = place_buffer(&r, CLIPGO_INPUT, (uint8_t *)(uintptr_t)in, in_bytes, err);
    if (status == CLIPGO_OK) status = place_buffer(&r, CLIPGO_OUTPUT, out, out_bytes, err);
    if (status == CLIPGO_OK) status = check_run(&r, err);
    if (status == CLIPGO_OK) status = run_steps(&r, err);
    return status;
}
