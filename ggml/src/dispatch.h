/* dispatch.h: the instruction sets of this build that this processor runs. */
#ifndef CLIPGO_DISPATCH_H
#define CLIPGO_DISPATCH_H

#include "kernels.h"

/* The i-th best, from 0; NULL behind the last. */
const clipgo_kernels *dispatch_nth(uint32_t i);

/* By name; "" is the best. NULL: this build doesn't have it or this processor doesn't run it. */
const clipgo_kernels *dispatch_find(const char *name);

/* Kernels with vectors of 256 bits instead of k's 512, for short work in float32 among products of bytes; NULL where that
 * gains nothing. */
const clipgo_kernels *dispatch_narrow(const clipgo_kernels *k);

/* What matrices are to say of themselves in clipgo_matrix.direct. */
int32_t dispatch_direct(void);

#endif
