#include "program.h"

#include "error.h"
#include "memory.h"
#include "tensor.h"

#include <stdlib.h>
#include <string.h>

static int is_packed_slot(uint32_t kind, int slot) { return kind == CLIPGO_OP_LINEAR && slot < 3; }

/* Tables of embeddings are read where they lie, a row at a time; other tensors become floats once. */
static int is_vector_slot(const clipgo_op *op, int slot) {
    if (op->w[slot] < 0 || is_packed_slot(op->kind, slot)) return 0;
    return op->kind != CLIPGO_OP_EMBED || slot == 2;
}

/* [C, taps] -> [taps, C], so that neighbouring channels lie together. */
static void transpose(float *dst, const float *src, uint64_t rows, uint64_t cols) {
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t c = 0; c < cols; c++) dst[c * rows + r] = src[r * cols + c];
}

static int32_t make_vectors(clipgo_program *p, clipgo_error *err) {
    const clipgo_weights *w = p->weights;
    uint64_t total = 0, bytes, largest = 0;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        for (int slot = 0; slot < 8; slot++) {
            const clipgo_op *op = &p->steps[i].op;
            if (!is_vector_slot(op, slot)) continue;
            const clipgo_tensor *t = &w->tensors[op->w[slot]];
            if (!size_mul(t->rows * t->cols, sizeof(float), &bytes) || !size_align(bytes, &bytes) ||
                !size_add(total, bytes, &total))
                return fail(err, CLIPGO_ERR_TENSOR, op->w[slot], "tensor %d is too large", op->w[slot]);
            if (op->kind == CLIPGO_OP_DWCONV && bytes > largest) largest = bytes;
        }
    }
    if (total == 0) return CLIPGO_OK;
    p->vectors = memory_map(total);
    float *untransposed = largest > 0 ? memory_map(largest) : NULL;
    if (p->vectors == NULL || (largest > 0 && untransposed == NULL)) {
        memory_unmap(untransposed, largest);
        memory_unmap(p->vectors, total);
        p->vectors = NULL;
        return fail(err, CLIPGO_ERR_MEMORY, (int64_t)total, "no memory for %llu bytes of norms and biases",
                    (unsigned long long)total);
    }
    p->vector_bytes = total;
    float *at = p->vectors;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        for (int slot = 0; slot < 8; slot++) {
            step *s = &p->steps[i];
            if (!is_vector_slot(&s->op, slot)) continue;
            const clipgo_tensor *t = &w->tensors[s->op.w[slot]];
            if (s->op.kind == CLIPGO_OP_DWCONV && slot == 0) {
                tensor_to_f32(untransposed, w->data + t->offset, t);
                transpose(at, untransposed, t->rows, t->cols);
            } else {
                tensor_to_f32(at, w->data + t->offset, t);
            }
            s->vectors[slot] = at;
            size_align(t->rows * t->cols * sizeof(float), &bytes);
            at += bytes / sizeof(float);
        }
    }
    memory_unmap(untransposed, largest);
    return CLIPGO_OK;
}

static int32_t pack_linears(clipgo_program *p, uint32_t activations, const panel_source *source, clipgo_error *err) {
    factor *factors = calloc(p->n_ops, 3 * sizeof *factors);
    p->packed = calloc(p->n_ops, 3 * sizeof(packed *));
    p->prepared = calloc(p->n_ops, 3 * sizeof(prepared));
    if (factors == NULL || p->packed == NULL || p->prepared == NULL) {
        free(factors);
        return fail(err, CLIPGO_ERR_MEMORY, p->n_ops, "no memory for a program of %u ops", p->n_ops);
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        const clipgo_op *op = &p->steps[i].op;
        for (int slot = 0; slot < 3; slot++)
            if (is_packed_slot(op->kind, slot) && op->w[slot] >= 0) factors[n++] = (factor){op->w[slot], op->i[2]};
    }
    int32_t status = weights_pack(p->weights, factors, n, activations, source, p->packed, &p->panels, err);
    free(factors);
    if (status != CLIPGO_OK) return status;
    p->n_packed = n;
    n = 0;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        step *s = &p->steps[i];
        for (int slot = 0; slot < 3; slot++)
            if (is_packed_slot(s->op.kind, slot) && s->op.w[slot] >= 0) s->packed[slot] = p->packed[n++];
    }
    return CLIPGO_OK;
}

/* The heads for which ATTENTION makes the products of the op before it at a time, or 0: it doesn't. It does if nobody else reads them,
 * if so many heads are whole panels and each thread has equally many of these groups, and enough of them to share out. Keys of
 * other items may be another chunk's. */
static int32_t heads_together(const clipgo_program *p, uint32_t i) {
    const step *s = &p->steps[i], *next = s + 1;
    if (i + 1 == p->n_ops || s->op.kind != CLIPGO_OP_LINEAR || next->op.kind != CLIPGO_OP_ATTENTION) return 0;
    const uint32_t heads = (uint32_t)next->op.i[0], dim = (uint32_t)next->op.i[4];
    const uint32_t threads = pool_threads(p->weights->device->pool);
    const int32_t qkv = s->op.dst, keys = next->op.src[3];
    if (s->op.i[1] != 3 || s->op.src[1] >= 0 || s->op.src[2] >= 0 || p->values[qkv].role != CLIPGO_TEMPORARY) return 0;
    if (keys >= 0 && p->values[keys].width != 1) return 0;
    const uint32_t panel_rows = s->packed[0]->matrix.panel_rows;
    uint32_t together = 1;
    while (together < heads && together * dim % panel_rows != 0) together++; /* all heads are one group: too few */
    if (heads % (together * threads) != 0 || heads / (together * threads) < CHUNKS_PER_THREAD) return 0;
    for (uint32_t t = 0; t < 3; t++) {
        const clipgo_matrix *m = &s->packed[t]->matrix;
        if (next->op.src[t] != qkv || (uint32_t)next->op.i[1 + t] != t * heads * dim ||
            m->rows != (uint64_t)heads * dim)
            return 0;
    }
    for (uint32_t j = 0; j < p->n_ops; j++)
        for (int slot = 0; slot < 4; slot++)
            if (p->steps[j].op.src[slot] == qkv && j != i + 1) return 0;
    return (int32_t)together;
}

static void fuse_heads(clipgo_program *p) {
    for (uint32_t i = 0; i < p->n_ops; i++) {
        int32_t heads = heads_together(p, i);
        if (heads > 0) p->steps[i].fused = p->steps[i + 1].fused = heads;
    }
}

/* The step in which the products of a LINEAR step are made. */
static int32_t products_step(const clipgo_program *p, uint32_t i) {
    return (int32_t)i + (p->steps[i].fused > 0 && p->steps[i].op.kind == CLIPGO_OP_LINEAR);
}

/* What a LINEAR op reads of its value: the floats themselves, or a form of them that is prepared once for all. */
static void choose_forms(clipgo_program *p) {
    const clipgo_kernels *k = p->weights->device->kernels;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        step *s = &p->steps[i];
        s->prepares = STEP_NO_FORM;
        for (int t = 0; t < 3; t++) {
            s->prepared[t] = STEP_NO_FORM;
            if (s->packed[t] == NULL) continue;
            int32_t x = s->op.src[0];
            clipgo_form form = s->packed[t]->matrix.form;
            uint64_t row_bytes = k->prepared_bytes(form, p->values[x].width);
            /* Callers' buffers needn't be aligned as the arena is. */
            if (form == CLIPGO_FORM_F32 && row_bytes == p->values[x].width * sizeof(float) &&
                p->values[x].role == CLIPGO_TEMPORARY)
                continue;
            uint32_t found = 0;
            while (found < p->n_prepared && (p->prepared[found].value != x || p->prepared[found].form != form)) found++;
            if (found == p->n_prepared)
                p->prepared[p->n_prepared++] = (prepared){x, form, row_bytes, (int32_t)i, (int32_t)i};
            p->prepared[found].last = products_step(p, i);
            s->prepared[t] = (int32_t)found;
        }
    }
}

/* The one prepared form that every reader of a value reads, or STEP_NO_FORM. */
static int32_t only_form(const clipgo_program *p, int32_t value) {
    int32_t form = STEP_NO_FORM;
    for (uint32_t i = 0; i < p->n_ops; i++) {
        const step *s = &p->steps[i];
        for (int slot = 0; slot < 4; slot++) {
            if (s->op.src[slot] != value) continue;
            if (s->op.kind != CLIPGO_OP_LINEAR || slot != 0) return STEP_NO_FORM;
            for (int t = 0; t < 3; t++) {
                if (s->packed[t] == NULL) continue;
                if (s->prepared[t] == STEP_NO_FORM || (form != STEP_NO_FORM && form != s->prepared[t]))
                    return STEP_NO_FORM;
                form = s->prepared[t];
            }
        }
    }
    return form;
}

/* Can a norm or a product write a form of its value? A product writes groups of columns that have one scale. */
static int can_prepare(const clipgo_program *p, const step *s, int32_t index) {
    if (s->op.kind == CLIPGO_OP_NORM) return 1;
    if (s->packed[1] != NULL) return 0;
    const clipgo_matrix *m = &s->packed[0]->matrix;
    return p->prepared[index].form != CLIPGO_FORM_F32 && m->rows % PREPARED_GROUP == 0 &&
           PREPARED_GROUP % m->panel_rows == 0;
}

/* A norm or a product before LINEAR ops writes what they read, and its floats never exist. */
static void fuse_forms(clipgo_program *p) {
    for (uint32_t i = 0; i < p->n_ops; i++) {
        step *s = &p->steps[i];
        if (s->op.kind != CLIPGO_OP_NORM && s->op.kind != CLIPGO_OP_LINEAR) continue;
        if (p->values[s->op.dst].role != CLIPGO_TEMPORARY) continue;
        int32_t index = only_form(p, s->op.dst);
        if (index == STEP_NO_FORM || !can_prepare(p, s, index)) continue;
        s->prepares = index;
        p->prepared[index].first = (int32_t)i;
    }
}

static void find_lives(clipgo_program *p) {
    for (uint32_t v = 0; v < p->n_values; v++)
        p->lives[v] = (life){-1, -1, p->values[v].role == CLIPGO_TEMPORARY ? STORED_ALWAYS : STORED_NEVER};
    for (uint32_t i = 0; i < p->n_ops; i++) {
        const step *s = &p->steps[i];
        p->lives[s->op.dst].first = p->lives[s->op.dst].last = (int32_t)i;
        if (s->prepares != STEP_NO_FORM) p->lives[s->op.dst].stored = STORED_NEVER;
        if (products_step(p, i) != (int32_t)i) p->lives[s->op.dst].stored = STORED_APART;
        for (int slot = 0; slot < 4; slot++) {
            if (s->op.src[slot] < 0) continue;
            int reads = 1;
            if (s->op.kind == CLIPGO_OP_LINEAR && slot == 0) {
                reads = 0;
                for (int t = 0; t < 3; t++)
                    if (s->packed[t] != NULL &&
                        (s->prepared[t] == STEP_NO_FORM || p->prepared[s->prepared[t]].first == (int32_t)i))
                        reads = 1;
            }
            if (reads) p->lives[s->op.src[slot]].last = products_step(p, i);
        }
    }
}

void program_release(clipgo_program *p) {
    if (atomic_fetch_sub(&p->references, 1) != 1) return;
    if (p->n_packed > 0) weights_unpack(p->weights, p->packed, p->n_packed);
    weights_release(p->weights);
    memory_unmap(p->vectors, p->vector_bytes);
    free(p->packed);
    free(p->prepared);
    free(p->values);
    free(p->lives);
    free(p->steps);
    free(p);
}

int32_t program_create(clipgo_weights *weights, const clipgo_program_desc *desc, const clipgo_value *values,
                       const clipgo_op *ops, const panel_source *source, clipgo_program **program, clipgo_error *err) {
    int32_t status =
        verify_program(weights->tensors, weights->n_tensors, values, desc->n_values, ops, desc->n_ops, err);
    if (status != CLIPGO_OK) return status;
    clipgo_program *p = calloc(1, sizeof *p);
    if (p == NULL) return fail(err, CLIPGO_ERR_MEMORY, (int64_t)sizeof *p, "no memory for a program");
    atomic_init(&p->references, 1);
    atomic_fetch_add(&weights->references, 1);
    p->weights = weights;
    p->plan = source->plan;
    p->n_values = desc->n_values;
    p->n_ops = desc->n_ops;
    p->activations = desc->activations;
    p->values = malloc(p->n_values * sizeof *p->values);
    p->lives = calloc(p->n_values, sizeof *p->lives);
    p->steps = calloc(p->n_ops, sizeof *p->steps);
    if (p->values == NULL || p->lives == NULL || p->steps == NULL) {
        program_release(p);
        return fail(err, CLIPGO_ERR_MEMORY, desc->n_ops, "no memory for a program of %u ops", desc->n_ops);
    }
    memcpy(p->values, values, p->n_values * sizeof *values);
    for (uint32_t i = 0; i < p->n_ops; i++) p->steps[i].op = ops[i];
    status = make_vectors(p, err);
    if (status == CLIPGO_OK) status = pack_linears(p, desc->activations, source, err);
    if (status != CLIPGO_OK) {
        program_release(p);
        return status;
    }
    fuse_heads(p);
    choose_forms(p);
    fuse_forms(p);
    find_lives(p);
    *program = p;
    return CLIPGO_OK;
}
