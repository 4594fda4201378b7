/* picture.h: what is done to pictures, checked. */
#ifndef CLIPGO_PICTURE_H
#define CLIPGO_PICTURE_H

#include "kernels.h"

int32_t resample(const clipgo_kernels *kernels, const clipgo_resample_args *args, const void *src, uint64_t src_bytes,
                 const int32_t *kernel, void *dst, uint64_t dst_bytes, clipgo_error *err);

int32_t idct(const clipgo_kernels *kernels, const clipgo_idct_args *args, const int16_t *coeffs, const uint8_t *last,
             const int32_t *quant, void *dst, uint64_t dst_bytes, clipgo_error *err);

int32_t ycc_rows(const clipgo_kernels *kernels, const clipgo_ycc_args *args, const void *planes, uint64_t planes_bytes,
                 void *dst, uint64_t dst_bytes, clipgo_error *err);

#endif
