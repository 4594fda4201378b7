/* resample.h: one pass of a picture's resize, checked. */
#ifndef CLIPGO_RESAMPLE_H
#define CLIPGO_RESAMPLE_H

#include "kernels.h"

int32_t resample(const clipgo_kernels *kernels, const clipgo_resample_args *args, const void *src, uint64_t src_bytes,
                 const int32_t *kernel, void *dst, uint64_t dst_bytes, clipgo_error *err);

#endif
