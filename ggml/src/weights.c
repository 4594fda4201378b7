#include "weights.h"

#include "error.h"
#include "memory.h"
#include "program.h"
#include "tensor.h"

#include <stdlib.h>
#include <string.h>

/* Panels of about this size are packed at a time: enough to keep a thread busy, few enough to spread. */
static const uint64_t pack_chunk_bytes = 256u << 10;

/* And of a tensor, about this much is read before it is given back. */
static const uint64_t pack_piece_bytes = 2u << 20;

void device_release(clipgo_device *d) {
    if (atomic_fetch_sub(&d->references, 1) != 1) return;
    pool_free(d->pool);
    free(d);
}

void weights_release(clipgo_weights *w) {
    if (atomic_fetch_sub(&w->references, 1) != 1) return;
    device_release(w->device);
    pthread_mutex_destroy(&w->lock);
    free(w->tensors);
    free(w);
}

int32_t weights_create(clipgo_device *device, const void *data, uint64_t bytes, const clipgo_tensor *tensors,
                       uint64_t n_tensors, uint64_t flags, clipgo_weights **weights, clipgo_error *err) {
    clipgo_weights *w = calloc(1, sizeof *w);
    clipgo_tensor *copy = calloc(n_tensors > 0 ? (size_t)n_tensors : 1, sizeof *copy);
    if (w == NULL || copy == NULL) {
        free(w);
        free(copy);
        return fail(err, CLIPGO_ERR_MEMORY, (int64_t)(n_tensors * sizeof *copy),
                    "no memory for a table of %llu tensors", (unsigned long long)n_tensors);
    }
    if (n_tensors > 0) memcpy(copy, tensors, (size_t)n_tensors * sizeof *copy);
    int32_t status = verify_tensors(bytes, copy, n_tensors, err);
    if (status != CLIPGO_OK) {
        free(w);
        free(copy);
        return status;
    }
    atomic_init(&w->references, 1);
    atomic_fetch_add(&device->references, 1);
    w->device = device;
    w->data = data;
    w->tensors = copy;
    w->n_tensors = n_tensors;
    w->flags = flags;
    pthread_mutex_init(&w->lock, NULL);
    *weights = w;
    return CLIPGO_OK;
}

static packed *find_packed(const clipgo_weights *w, const factor *f, uint32_t activations) {
    packed *p = w->packed;
    while (p != NULL &&
           (p->factor.tensor != f->tensor || p->factor.may_round != f->may_round || p->activations != activations))
        p = p->next;
    return p;
}

static void drop(clipgo_weights *w, packed *p) {
    if (--p->references != 0) return;
    packed **at = &w->packed;
    while (*at != p) at = &(*at)->next;
    *at = p->next;
    if (p->slab != NULL && --p->slab->references == 0) {
        if (!p->slab->borrowed) memory_unmap(p->slab->data, p->slab->bytes);
        free(p->slab);
    }
    free(p);
}

/* Enters a tensor into the table with its plan, but no panels yet. */
static int32_t plan(clipgo_weights *w, const factor *f, uint32_t activations, packed **out, clipgo_error *err) {
    const clipgo_tensor *t = &w->tensors[f->tensor];
    packed *p = calloc(1, sizeof *p);
    if (p == NULL) return fail(err, CLIPGO_ERR_MEMORY, (int64_t)sizeof *p, "no memory to plan tensor %d", f->tensor);
    p->factor = *f;
    p->activations = activations;
    if (!w->device->kernels->plan(&p->matrix, t->type, t->rows, t->cols, activations, f->may_round)) {
        free(p);
        return fail(err, CLIPGO_ERR_TENSOR, f->tensor, "tensor %d has type %u, which this engine can't multiply",
                    f->tensor, t->type);
    }
    p->matrix.direct = w->device->direct;
    p->next = w->packed;
    w->packed = *out = p;
    return CLIPGO_OK;
}

/* One slab for the panels of all tensors that are planned and have none. It has no data if it is only planned. */
static int32_t allocate(clipgo_weights *w, const panel_source *source, slab **made, uint64_t *made_bytes,
                        clipgo_error *err) {
    uint64_t total = 0, bytes;
    for (const packed *p = w->packed; p != NULL; p = p->next) {
        if (p->matrix.data != NULL) continue;
        if (!size_mul(p->matrix.panels, p->matrix.panel_bytes, &bytes) || !size_align(bytes, &bytes) ||
            !size_add(total, bytes, &total))
            return fail(err, CLIPGO_ERR_TENSOR, p->factor.tensor, "tensor %d is too large to pack", p->factor.tensor);
    }
    *made = NULL;
    *made_bytes = total;
    if (source->restored != NULL && source->restored_bytes != total)
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)total, "%llu bytes of panels to restore, expected %llu",
                    (unsigned long long)source->restored_bytes, (unsigned long long)total);
    if (total == 0 || source->plan) return CLIPGO_OK;
    slab *s = calloc(1, sizeof *s);
    uint8_t *data = (uint8_t *)(uintptr_t)source->restored;
    if (s != NULL && data == NULL) data = memory_map(total);
    if (s == NULL || data == NULL) {
        free(s);
        return fail(err, CLIPGO_ERR_MEMORY, (int64_t)total, "no memory for %llu bytes of packed weights",
                    (unsigned long long)total);
    }
    *s = (slab){.bytes = total, .data = data, .borrowed = source->restored != NULL};
    for (packed *p = w->packed; p != NULL; p = p->next) {
        if (p->matrix.data != NULL) continue;
        p->matrix.data = data;
        p->slab = s;
        s->references++;
        size_align(p->matrix.panels * p->matrix.panel_bytes, &bytes);
        data += bytes;
    }
    *made = s;
    return CLIPGO_OK;
}

typedef struct pack_job {
    const clipgo_kernels *kernels;
    const clipgo_matrix *matrix;
    const uint8_t *tensor;
    size_t row_bytes;
    uint32_t begin, end; /* panels */
    uint32_t panels;     /* per chunk */
} pack_job;

static void pack_chunk(void *arg, uint32_t chunk, uint32_t thread) {
    const pack_job *job = arg;
    uint32_t begin = job->begin + chunk * job->panels, left = job->end - begin;
    (void)thread;
    job->kernels->pack(job->matrix, job->tensor, job->row_bytes, begin,
                       begin + (left < job->panels ? left : job->panels));
}

/* Panels that take about so many bytes, at least one. */
static uint32_t panels_in(const clipgo_matrix *m, uint64_t bytes) {
    uint64_t n = bytes / m->panel_bytes;
    return n == 0 ? 1 : n < m->panels ? (uint32_t)n : m->panels;
}

/* Piece by piece, so that what was read of one is given back before the next is touched. */
static void pack_tensor(const clipgo_weights *w, const packed *p) {
    const clipgo_tensor *t = &w->tensors[p->factor.tensor];
    const clipgo_matrix *m = &p->matrix;
    pack_job job = {w->device->kernels,
                    m,
                    w->data + t->offset,
                    (size_t)tensor_row_bytes(t->type, t->cols),
                    0,
                    0,
                    panels_in(m, pack_chunk_bytes)};
    uint32_t piece = panels_in(m, pack_piece_bytes);
    for (; job.begin < m->panels; job.begin = job.end) {
        uint32_t left = m->panels - job.begin;
        job.end = job.begin + (left < piece ? left : piece);
        uint32_t n = job.end - job.begin, chunks = n / job.panels + (n % job.panels != 0);
        pool_run(w->device->pool, chunks, pack_chunk, &job, NULL);
        /* From the tensor's start, for the sake of the pages that two pieces share. */
        uint64_t rows = (uint64_t)job.end * m->panel_rows;
        if (w->flags & CLIPGO_WEIGHTS_DISCARD_PAGES)
            memory_discard(job.tensor, job.end == m->panels ? t->bytes : rows * job.row_bytes);
    }
}

static void pack_slab(clipgo_weights *w, const slab *s) {
    pool_enter(w->device->pool, NULL);
    for (const packed *p = w->packed; p != NULL; p = p->next)
        if (p->slab == s) pack_tensor(w, p);
    pool_leave(w->device->pool);
}

int32_t weights_pack(clipgo_weights *w, const factor *factors, uint32_t n, uint32_t activations,
                     const panel_source *source, packed **out, slab *made, clipgo_error *err) {
    int32_t status = CLIPGO_OK;
    slab *s = NULL;
    *made = (slab){0};
    uint32_t got = 0;
    pthread_mutex_lock(&w->lock);
    while (got < n && status == CLIPGO_OK) {
        out[got] = find_packed(w, &factors[got], activations);
        if (out[got] == NULL) status = plan(w, &factors[got], activations, &out[got], err);
        if (status == CLIPGO_OK) out[got++]->references++;
    }
    if (status == CLIPGO_OK) status = allocate(w, source, &s, &made->bytes, err);
    if (s != NULL) made->data = s->data;
    if (s != NULL && !s->borrowed) pack_slab(w, s);
    if (status != CLIPGO_OK)
        for (uint32_t i = 0; i < got; i++) drop(w, out[i]);
    pthread_mutex_unlock(&w->lock);
    return status;
}

void weights_unpack(clipgo_weights *w, packed **list, uint32_t n) {
    pthread_mutex_lock(&w->lock);
    for (uint32_t i = 0; i < n; i++) drop(w, list[i]);
    pthread_mutex_unlock(&w->lock);
}
