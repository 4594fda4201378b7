/* dispatch.h: the instruction sets of this build that this processor runs. */
#ifndef CLIPGO_DISPATCH_H
#define CLIPGO_DISPATCH_H

#include "kernels.h"

/* The i-th best, from 0; NULL behind the last. */
const clipgo_kernels *dispatch_nth(uint32_t i);

/* By name; "" is the best. NULL: this build doesn't have it or this processor doesn't run it. */
const clipgo_kernels *dispatch_find(const char *name);

/* What matrices are to say of themselves in clipgo_matrix.direct. */
int32_t dispatch_direct(void);

#endif
