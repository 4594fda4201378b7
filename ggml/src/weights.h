/* weights.h: devices, the table of tensors, and panels packed from it. */
#ifndef CLIPGO_WEIGHTS_H
#define CLIPGO_WEIGHTS_H

#include "kernels.h"
#include "pool.h"

#include <pthread.h>

enum { WEIGHTS_MAX_TENSORS = 1 << 16 };

struct clipgo_device {
    atomic_uint references; /* the caller's handle, and weights */
    const clipgo_kernels *kernels;
    int32_t direct; /* what its matrices are */
    pool *pool;
    uint64_t cached_bytes; /* of a thread's L2 cache, for the prepared rows of a product */
};

/* Memory for the panels of one program; several programs may share what lies in it. */
typedef struct slab {
    uint32_t references; /* packed tensors; under the weights' lock */
    uint64_t bytes;
    uint8_t *data;
    int borrowed; /* the caller's */
} slab;

/* Where panels come from: they are packed, only planned, or restored from the caller's memory. */
typedef struct panel_source {
    int plan;
    const uint8_t *restored; /* NULL: no */
    uint64_t restored_bytes;
} panel_source;

/* A right side of a LINEAR op. */
typedef struct factor {
    int32_t tensor, may_round;
} factor;

/* A tensor in the order that products read it, made once for all programs with the same activations. */
typedef struct packed {
    struct packed *next;
    uint32_t references; /* LINEAR ops; under the weights' lock */
    factor factor;
    uint32_t activations;
    clipgo_matrix matrix;
    slab *slab;
} packed;

struct clipgo_weights {
    atomic_uint references; /* the caller's handle, and programs */
    clipgo_device *device;
    const uint8_t *data;
    clipgo_tensor *tensors;
    uint64_t n_tensors;
    uint64_t flags;
    pthread_mutex_t lock;
    packed *packed;
};

void device_release(clipgo_device *d);

int32_t weights_create(clipgo_device *device, const void *data, uint64_t bytes, const clipgo_tensor *tensors,
                       uint64_t n_tensors, uint64_t flags, clipgo_weights **weights, clipgo_error *err);
void weights_release(clipgo_weights *w);

/* For each of the n factors, which repeat or not, a reference to its panels in out; all or none. The device's
 * turn must not be held. *made: the panels that this call made, no data if it only planned them. A wish that can't be
 * met is told in err. */
int32_t weights_pack(clipgo_weights *w, const factor *factors, uint32_t n, uint32_t activations,
                     const panel_source *source, packed **out, slab *made, clipgo_error *err);
void weights_unpack(clipgo_weights *w, packed **list, uint32_t n);

#endif
