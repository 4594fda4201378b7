/* kernels.h: one instruction set's kernels, as a table. The sources under cpu/ are written once over a small vocabulary
 * (simd.h) and compiled once per instruction set; each compilation defines one such table. Kernels work on the part of
 * the job that they are given and are called by several threads at once; they allocate nothing and cannot fail. */
#ifndef CLIPGO_KERNELS_H
#define CLIPGO_KERNELS_H

#include "clipgo.h"

#include <stddef.h>

/* How a row of activations is prepared for a product. */
typedef enum clipgo_form {
    CLIPGO_FORM_F32 = 0,      /* float32 as it is */
    CLIPGO_FORM_Q8 = 1,       /* int8, a scale per 128 columns, sums per 32 */
    CLIPGO_FORM_Q8_BLOCK = 2, /* int8, a scale (and sum) per 32 columns */
    CLIPGO_FORM_BF16 = 3,
    CLIPGO_FORM_BF16_X3 = 4 /* three bfloat16 that add up to the float32 */
} clipgo_form;

enum {
    PREPARED_GROUP = 128, /* columns with one scale, in form Q8 */
    SUM_ROWS = 96         /* rows of a product whose unfinished sums a thread keeps */
};

/* A tensor packed for LINEAR: panels of panel_rows output columns (= rows of the tensor), in the order that the
 * micro-kernel reads. The last panel is padded. */
typedef struct clipgo_matrix {
    uint32_t type; /* GGML type of the tensor */
    clipgo_form form;
    uint64_t rows;
    uint64_t cols;
    uint32_t panel_rows;
    uint32_t panels;
    uint64_t panel_bytes;
    uint8_t *data;  /* panels * panel_bytes, 64-byte aligned */
    int32_t blocks; /* panels hold blocks: of the tensor's type or, rounded, of Q8_0 */
    int32_t direct; /* 8-bit products stage nothing, on instruction sets with a gemm_direct.inc */
} clipgo_matrix;

/* What happens to a product before it is stored: dst = residual + scale * gate * act(x W^T + bias).
 * Pointers but dst start at the tensor's first output column; NULL: absent. Strides in elements. */
typedef struct clipgo_epilogue {
    const float *bias;  /* [n] */
    const float *scale; /* [n] */
    const float *gate;  /* [m, gate_stride] */
    const float *residual;
    float *dst;
    size_t dst_first; /* the output column that dst[0] is */
    size_t gate_stride, residual_stride, dst_stride;
    int32_t act;
} clipgo_epilogue;

typedef struct clipgo_norm_args {
    const float *x;    /* [rows, width] */
    const float *gain; /* [width] or NULL */
    const float *bias; /* [width] or NULL */
    float *dst;        /* [rows, width] */
    size_t width;
    float eps;
    int32_t rms;
} clipgo_norm_args;

typedef struct clipgo_attention_args {
    const float *q, *k, *v; /* first element of (item, head) */
    float *dst;
    size_t q_stride, k_stride, v_stride, dst_stride; /* elements from a row to the next */
    size_t q_rows, k_rows;                           /* k_rows: only the valid keys */
    const float *k_before, *v_before;                /* keys before those, seen by every query, and their values */
    size_t k_rows_before;
    size_t q_first; /* the row of its item that q[0] is: what causal counts from */
    size_t head_dim;
    float scale;
    int32_t causal;
    int32_t rounds; /* of products: 0 not at all, 1 at most as bfloat16 does, 2 as activations of 8 bits do */
    float *scratch; /* attention_scratch(...) bytes, of this thread */
} clipgo_attention_args;

typedef struct clipgo_dwconv_args {
    const float *x;    /* [height * width, channels] */
    const float *taps; /* [kernel_h * kernel_w, channels] */
    const float *bias; /* [channels] or NULL */
    float *dst;        /* [out_h * out_w, channels] */
    size_t channels, height, width, kernel_h, kernel_w, stride, pad_top, pad_left, out_w;
    int32_t act;
} clipgo_dwconv_args;

/* One pass of a resize; clipgo.h's clipgo_resample_args with pointers. */
typedef struct clipgo_resampling {
    const uint8_t *src;
    uint8_t *dst;
    const int32_t *kernel; /* [outputs, 2 + taps]: first input, inputs, weights */
    size_t src_width, src_stride, dst_stride, channels, outputs, taps;
    uint32_t shift;
} clipgo_resampling;

/* A row of blocks of a JPEG component; clipgo.h's clipgo_idct_args with pointers. */
typedef struct clipgo_idct {
    const int16_t *coeffs; /* [blocks, 64] */
    const uint8_t *last;   /* [blocks] */
    const int32_t *quant;  /* [64] */
    uint8_t *dst;
    size_t blocks, stride;
} clipgo_idct_row;

/* A row of a JPEG picture. cb and cr: the nearer row of samples and, where down is 2, the farther one. */
typedef struct clipgo_ycc_row {
    const uint8_t *y, *cb[2], *cr[2];
    uint8_t *rgb;
    size_t width, chroma_width;
    uint32_t across, down; /* pixels of a chroma sample: 1 x 1, 2 x 1 or 2 x 2 */
} clipgo_ycc_row;

typedef struct clipgo_kernels {
    const char *isa;

    /* matrix products (gemm) */
    /* Fills m's form, panel_rows, panels and panel_bytes from type, rows, cols and the program's activations
     * (CLIPGO_ACTIVATIONS_*). may_round: float weights may become Q8_0. Returns 0 if this type can't be multiplied. */
    int32_t (*plan)(clipgo_matrix *m, uint32_t type, uint64_t rows, uint64_t cols, uint32_t activations,
                    int32_t may_round);
    /* Packs panels [begin, end) of m from the tensor's rows as stored (row_bytes each; any alignment). */
    void (*pack)(const clipgo_matrix *m, const uint8_t *tensor, size_t row_bytes, uint32_t begin, uint32_t end);
    /* Bytes of one prepared row; a multiple of 64. */
    size_t (*prepared_bytes)(clipgo_form form, size_t cols);
    /* Prepares rows of activations: dst [rows, prepared_bytes], src [rows, src_stride]. */
    void (*prepare)(clipgo_form form, void *dst, const float *src, size_t src_stride, size_t rows, size_t cols);
    /* The same of columns [from, from + cols) of rows that have `width`, in all forms but F32; src begins at column
     * from. Both are multiples of PREPARED_GROUP. */
    void (*prepare_columns)(clipgo_form form, void *dst, const float *src, size_t src_stride, size_t rows, size_t width,
                            size_t from, size_t cols);
    /* Products of m_rows prepared rows with panels [begin, end), through the epilogue. */
    void (*gemm)(const clipgo_matrix *m, const void *prepared, size_t m_rows, uint32_t begin, uint32_t end,
                 const clipgo_epilogue *ep);
    /* dst[cols] = one row of a tensor as stored, as float32. */
    void (*dequantize_row)(float *dst, const uint8_t *row, uint32_t type, size_t cols);

    /* the rest, each over whole rows; n in elements */
    void (*norm)(const clipgo_norm_args *args, size_t begin, size_t end); /* rows [begin, end) */
    void (*l2norm)(float *dst, const float *x, size_t width, float eps, size_t begin, size_t end);
    size_t (*attention_scratch)(size_t q_rows, size_t k_rows, size_t head_dim);
    void (*attention)(const clipgo_attention_args *args);                     /* one item, one head */
    void (*dwconv)(const clipgo_dwconv_args *args, size_t begin, size_t end); /* output pixels [begin, end) */
    void (*act)(float *dst, const float *x, size_t n, int32_t act);
    void (*add)(float *dst, const float *a, const float *b, size_t n);
    void (*mul)(float *dst, const float *a, const float *b, size_t n);
    void (*axpby)(float *dst, float a, const float *x, size_t n); /* dst += a * x */

    /* pictures */
    void (*resample_across)(const clipgo_resampling *args, size_t begin, size_t end); /* rows [begin, end) */
    void (*resample_down)(const clipgo_resampling *args, size_t begin, size_t end);   /* output rows [begin, end) */
    void (*idct)(const clipgo_idct_row *args);
    void (*ycc_row)(const clipgo_ycc_row *args);

    /* Loops of the instructions that products are made of, n >= 1 rounds; they return the number of operations. NULL:
     * there are no such instructions. */
    uint64_t (*ceiling_f32)(uint64_t n);
    uint64_t (*ceiling_bf16)(uint64_t n);
    uint64_t (*ceiling_int8)(uint64_t n);
} clipgo_kernels;

#endif
