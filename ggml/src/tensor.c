#include "tensor.h"

#include "memory.h"

#define CLIPGO_SCALAR 1 /* this file runs on any processor */
#include "cpu/types.h"

uint64_t tensor_row_bytes(uint32_t type, uint64_t cols) {
    uint64_t elements = 1, bytes = 0, total;
    const block_type *block = find_block_type(type);
    if (block != NULL) {
        elements = block->elements;
        bytes = block->bytes;
    } else if (type == TYPE_F32) {
        bytes = 4;
    } else if (type == TYPE_F16 || type == TYPE_BF16) {
        bytes = 2;
    }
    if (bytes == 0 || cols % elements != 0 || !size_mul(cols / elements, bytes, &total) || total > PTRDIFF_MAX)
        return 0;
    return total;
}

void tensor_to_f32(float *dst, const uint8_t *data, const clipgo_tensor *t) {
    uint64_t row_bytes = tensor_row_bytes(t->type, t->cols);
    for (uint64_t r = 0; r < t->rows; r++)
        dequantize_row(dst + r * t->cols, data + r * row_bytes, t->type, (size_t)t->cols);
}
