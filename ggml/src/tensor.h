/* tensor.h: the types of tensors, and tensors as plain floats. */
#ifndef CLIPGO_TENSOR_H
#define CLIPGO_TENSOR_H

#include "clipgo.h"

#include <stddef.h>

/* Bytes of a row of cols elements; 0: the type is unknown, the row isn't whole blocks, or no size_t holds it. */
uint64_t tensor_row_bytes(uint32_t type, uint64_t cols);

/* dst[rows * cols] = the tensor at data, which lies there as its type has it. */
void tensor_to_f32(float *dst, const uint8_t *data, const clipgo_tensor *t);

#endif
