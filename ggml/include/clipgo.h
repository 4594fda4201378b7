/* clipgo.h: the whole interface of the clipgo engine.
 *
 * MANUAL
 *
 * The engine knows no models. The caller describes a computation as a program: a table of values and a list of
 * fixed-size op records over tensors of GGML types. The engine verifies it once, packs the weights once for the
 * instruction set it runs on, plans one arena, and then runs it as often as asked: prepare, then run.
 *
 *   device   a thread pool and an instruction set            clipgo_device_create
 *   weights  a table of tensors over the caller's memory     clipgo_weights_create
 *   program  verified ops, packed weights; immutable         clipgo_program_create
 *   context  an arena; for one caller at a time              clipgo_context_create, clipgo_run
 *
 * Order of death: contexts, programs, weights, device, then the memory that the weights lie in. A handle that is freed
 * early stays alive inside until the last handle made from it is freed, so the wrong order is harmless; the memory
 * under the weights is the caller's to keep. Freeing NULL does nothing.
 *
 * Every call that can fail returns a status and, if err is not NULL, fills *err (err->size set by the caller). The
 * engine never aborts, prints, exits or calls back, and has no thread-local or mutable static state. Any thread may
 * call. Weights, programs and devices may be shared by threads; a context may not, but for clipgo_cancel.
 *
 * Only integers and pointers cross, at most 8 a call. Structs carry their size first, hold no pointers, and are passed
 * by pointer; the engine keeps none of them. All integers are little-endian, all structs without padding holes.
 *
 * SHAPES
 *
 * A value is [batch, rows, width] of float32 or int32, row-major. batch is given at run time, rows is
 * row_scale * R + row_add where R is given at run time (77 text tokens, 49 patches) and row_scale is 0 or 1.
 * A tensor of weights is [rows, cols] in rows of a GGML type, each row a whole number of blocks.
 *
 * OPS (b = batch, r = row, c = column; x = src[0]; "opt" = may be -1)
 *
 *   EMBED      dst[b,r] = f[0] * w0[id] + w1[pos] + w2[0].  id = src[0] (int32, width 1); pos = src[1] (int32, opt; r when
 *              absent). w1 (positions) and w2 (one row, added to every row) opt. An id outside its table is
 *              CLIPGO_ERR_INPUT with the id in detail.
 *   IM2COL     dst[b, oy*OW+ox, :] = the patch of x under the kernel, zeros outside. i: 0 layout (0: x is [b, C*H, W], and
 *              a patch is ordered c,ky,kx; 1: x is [b, H*W, C], and a patch is ordered ky,kx,c), 1 C, 2 H, 3 W, 4 KH, 5 KW,
 *              6 stride, 7 pad top, 8 pad left, 9 OH, 10 OW.
 *   DWCONV     depthwise convolution: x [b, H*W, C], w0 [C, KH*KW], w1 bias [1, C] opt;
 *              dst[b, oy*OW+ox, c] = act(sum x * w0 + w1). i: 0 act, 1 C, 2 H, 3 W, 4 KH, 5 KW, 6 stride, 7 pad top,
 *              8 pad left, 9 OH, 10 OW.
 *   CONCAT     dst = rows of w0 [n, width], then rows of x (opt), for each item.
 *   ADD        dst = x + src[1], or x + w0 [rows, width] for each item where src[1] is -1. src[1] may have one row, which is
 *              then added to every row. w0 may have more rows than x; the first are used.
 *   MUL        dst = x * src[1]; src[1] may have one row, which then multiplies every row.
 *   ACT        dst = act(x). i: 0 act.
 *   NORM       i[0] = 0: (x - mean) / sqrt(var + f[0]) * w0 + w1; i[0] = 1: x / sqrt(mean(x*x) + f[0]) * w0. w0, w1 opt.
 *   L2NORM     dst = x / max(|x|, f[0]) for each row.
 *   LINEAR     t = act(x W^T + bias); t = t * src[2] (opt, shape of dst); t = t * w6[0] (opt, one row: layer scale);
 *              dst = t + src[1] (opt, shape of dst: residual). W is i[1] (1..3) tensors w0..w2 stacked by rows (a packed
 *              QKV), with biases w3..w5 [1, rows of that tensor] (opt each). i: 0 act, 1 tensors,
 *              2 whether float weights may be rounded to Q8_0 where activations are 8 bits (the columns of a row
 *              needn't be a multiple of 32).
 *   ATTENTION  softmax(f[0] * q k^T + mask) v per head. q = src[0], k = src[1], v = src[2], read from column i[1], i[2],
 *              i[3] on, i[0] heads of i[4] columns; q may have other rows than k and v. mask i[5]: 0 none, 1 causal
 *              (key <= query). src[3] (int32 [b,1,1] or [b,1,2], opt): only the first src[3][0] keys count, and before them, seen by
 *              every query, the first src[3][1] rows of the whole batch, which lie before the item: how texts that begin
 *              alike share the computation of their beginning. No key at all gives zeros. i[6]: whether q, k, v and the
 *              weights may be rounded, to bfloat16 or to integers with scales (cpu/attention_scales.inc), whichever the
 *              processor multiplies faster than float32, where activations have 8 bits with a scale per 128 columns, or
 *              are of bfloat16. With the latter they may be rounded without i[6], too, but no coarser than bfloat16 is.
 *              dst [b, rows of q, heads * i[4]].
 *   SELECT     dst is one row of x for each item. i[0]: 0 row i[1]; 1 the last row; 2 row src[1][b] (int32 [b,1,1]), outside
 *              is CLIPGO_ERR_INPUT; 3 sum over the first src[1][b] rows (all, when -1) / (count + f[0]).
 *   act        0 none, 1 GELU (erf), 2 GELU (tanh), 3 quick GELU x*sigmoid(1.702x), 4 ReLU, 5 SiLU, 6 sigmoid, 7 tanh.
 *
 * PICTURES
 *
 * clipgo_resample does one pass of a separable resize of 8-bit samples:
 *   dst[i] = clip((2^(shift-1) + sum over j < count of weight[j] * src[first + j]) >> shift)
 * along rows (CLIPGO_ACROSS: pixels of each row) or along columns (CLIPGO_DOWN), in 32-bit integers that wrap.
 *
 * clipgo_idct makes samples of a row of blocks of a JPEG component, whose coefficients the caller has decoded: coefficient
 * times quant modulo 2^16, libjpeg's accurate inverse DCT in 32-bit integers that wrap, + 128, clipped.
 *
 * clipgo_ycc_rows makes red, green, blue of the components of a JPEG picture, which the caller has decoded. Chroma with a
 * sample for 2 x 1 or 2 x 2 pixels is interpolated, 3 parts of the nearer and 1 of the farther, as libjpeg does; then
 *   r = y + 1.402 (cr - 128), g = y - 0.34414 (cb - 128) - 0.71414 (cr - 128), b = y + 1.772 (cb - 128)
 * in 16 fraction bits, rounded and clipped.
 *
 * Inputs and outputs of a run lie in one buffer each: the values of that role in the order of the value table, each
 * [batch, rows, width] of 4-byte elements, starting at the next multiple of 64 bytes.
 */
#ifndef CLIPGO_H
#define CLIPGO_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(_WIN32)
#define CLIPGO_API __declspec(dllexport)
#else
#define CLIPGO_API __attribute__((visibility("default")))
#endif

#define CLIPGO_ABI_VERSION 8

enum {
    CLIPGO_OK = 0,
    CLIPGO_ERR_ARGUMENT = 1,    /* a NULL, a wrong struct size, an option out of range */
    CLIPGO_ERR_MEMORY = 2,      /* allocation failed; detail = bytes asked for */
    CLIPGO_ERR_TENSOR = 3,      /* a tensor's type, shape or place is wrong; detail = its index */
    CLIPGO_ERR_PROGRAM = 4,     /* an op or value is wrong; detail = its index */
    CLIPGO_ERR_INPUT = 5,       /* a run-time size or an input value is wrong */
    CLIPGO_ERR_CANCELLED = 6,   /* clipgo_cancel was called */
    CLIPGO_ERR_UNSUPPORTED = 7, /* this build or this processor can't */
    CLIPGO_ERR_SYSTEM = 8       /* the operating system refused; detail = errno */
};

typedef struct clipgo_error {
    uint32_t size;
    int32_t code;
    int64_t detail;
    char message[240]; /* NUL-terminated, one line, lower case */
} clipgo_error;

typedef struct clipgo_device_options {
    uint32_t size;
    uint32_t threads; /* 0: the processors this process may use */
    uint32_t spin_us; /* how long an idle worker spins before it sleeps; 0: the default */
    uint32_t flags;   /* 0 */
    char isa[16];     /* "": the best; else one of clipgo_isas */
} clipgo_device_options;

typedef struct clipgo_device_info {
    uint32_t size;
    uint32_t threads;
    char isa[16];
    char cpu[64];
} clipgo_device_info;

typedef struct clipgo_tensor {
    uint64_t offset; /* from the start of data */
    uint64_t bytes;
    uint64_t rows;
    uint64_t cols;
    uint32_t type;  /* GGML type id: 0 F32, 1 F16, 2 Q4_0, 8 Q8_0, 30 BF16, ... */
    uint32_t flags; /* 0 */
} clipgo_tensor;

enum {
    /* data is a private mapping of a file: a tensor's pages are given back once it is packed */
    CLIPGO_WEIGHTS_DISCARD_PAGES = 1
};

enum { CLIPGO_F32 = 0, CLIPGO_I32 = 1 };
enum { CLIPGO_TEMPORARY = 0, CLIPGO_INPUT = 1, CLIPGO_OUTPUT = 2 };

typedef struct clipgo_value {
    uint32_t kind; /* CLIPGO_F32 | CLIPGO_I32 */
    uint32_t role; /* CLIPGO_TEMPORARY | CLIPGO_INPUT | CLIPGO_OUTPUT */
    uint32_t row_scale;
    uint32_t row_add;
    uint32_t width;
    uint32_t flags; /* 0 */
} clipgo_value;

enum {
    CLIPGO_OP_EMBED = 1,
    CLIPGO_OP_IM2COL = 2,
    CLIPGO_OP_DWCONV = 3,
    CLIPGO_OP_CONCAT = 4,
    CLIPGO_OP_ADD = 5,
    CLIPGO_OP_MUL = 6,
    CLIPGO_OP_ACT = 7,
    CLIPGO_OP_NORM = 8,
    CLIPGO_OP_L2NORM = 9,
    CLIPGO_OP_LINEAR = 10,
    CLIPGO_OP_ATTENTION = 11,
    CLIPGO_OP_SELECT = 12
};

enum {
    CLIPGO_ACT_NONE = 0,
    CLIPGO_ACT_GELU = 1,
    CLIPGO_ACT_GELU_TANH = 2,
    CLIPGO_ACT_QUICK_GELU = 3,
    CLIPGO_ACT_RELU = 4,
    CLIPGO_ACT_SILU = 5,
    CLIPGO_ACT_SIGMOID = 6,
    CLIPGO_ACT_TANH = 7
};

typedef struct clipgo_op {
    uint32_t kind;
    uint32_t flags;   /* 0 */
    int32_t dst;      /* value */
    int32_t reserved; /* 0 */
    int32_t src[4];   /* values, -1: none */
    int32_t w[8];     /* tensors, -1: none */
    int32_t i[12];
    float f[4];
} clipgo_op; /* 128 bytes */

enum {
    /* These say how much may be rounded. An instruction set may round less: amx keeps bfloat16 where others keep 8 bits. */
    CLIPGO_ACTIVATIONS_F32 = 0,        /* products in float32 whatever the weights' type */
    CLIPGO_ACTIVATIONS_INT8 = 1,       /* with quantised weights: 8-bit activations, a scale per 128 columns */
    CLIPGO_ACTIVATIONS_INT8_BLOCK = 2, /* the same with a scale per 32 columns: finer and slower */
    CLIPGO_ACTIVATIONS_BF16 = 3        /* INT8, and with F16 and BF16 weights products of bfloat16, summed in float32 */
};

typedef struct clipgo_program_desc {
    uint32_t size;
    uint32_t activations;
    uint32_t n_values;
    uint32_t n_ops;
    uint64_t flags; /* CLIPGO_PROGRAM_PLAN or 0 */
} clipgo_program_desc;

enum {
    /* nothing is packed, and contexts have no arena: their memory can be asked for, but they can't run */
    CLIPGO_PROGRAM_PLAN = 1
};

typedef struct clipgo_context_options {
    uint32_t size;
    uint32_t max_batch;
    uint32_t max_rows;
    uint32_t flags; /* CLIPGO_CONTEXT_PROFILE or 0 */
} clipgo_context_options;

enum { CLIPGO_CONTEXT_PROFILE = 1 };

typedef struct clipgo_run_args {
    uint32_t size;
    uint32_t batch;
    uint32_t rows;
    uint32_t flags; /* 0 */
} clipgo_run_args;

typedef struct clipgo_memory {
    uint32_t size;
    uint32_t reserved;
    uint64_t packed_bytes; /* of a program: panels made for it */
    uint64_t arena_bytes;  /* of a context */
} clipgo_memory;

enum { CLIPGO_ACROSS = 0, CLIPGO_DOWN = 1 };

typedef struct clipgo_resample_args {
    uint32_t size;
    uint32_t axis;     /* CLIPGO_ACROSS | CLIPGO_DOWN */
    uint32_t channels; /* of a pixel, interleaved: 1 to 4 */
    uint32_t shift;    /* fraction bits of the weights: 1 to 22 */
    uint32_t src_width, src_height;
    uint32_t outputs;                /* pixels in a row of dst (ACROSS), or its rows (DOWN) */
    uint32_t taps;                   /* weights in a record of the kernel: a multiple of 4 */
    uint64_t src_stride, dst_stride; /* bytes from a row to the next */
} clipgo_resample_args;

typedef struct clipgo_ceilings {
    uint32_t size;
    uint32_t threads; /* that were measured at once: the device's */
    double f32;       /* operations a second of them all, a multiply-add counted as two; 0: no such instructions */
    double bf16;
    double int8;
    double read;     /* bytes a second from memory */
    double handover; /* seconds in which a cache line goes from a thread to the next; 0: there is but one */
} clipgo_ceilings;

typedef struct clipgo_idct_args {
    uint32_t size;
    uint32_t blocks; /* 1 to 2^16 */
    uint64_t stride; /* bytes from a row of dst to the next */
} clipgo_idct_args;

typedef struct clipgo_ycc_args {
    uint32_t size;
    uint32_t width, height;           /* of the picture, in pixels */
    uint32_t across, down;            /* pixels of a chroma sample: 1 x 1, 2 x 1 or 2 x 2 */
    uint32_t first, rows;             /* of the picture's rows, the ones to make */
    uint32_t flags;                   /* 0 */
    uint64_t y_stride, chroma_stride; /* bytes from a row to the next */
    uint64_t cb_offset, cr_offset;    /* from the start of the planes, where y is */
} clipgo_ycc_args;

typedef struct clipgo_device clipgo_device;
typedef struct clipgo_weights clipgo_weights;
typedef struct clipgo_program clipgo_program;
typedef struct clipgo_context clipgo_context;

CLIPGO_API int32_t clipgo_abi_version(void);

/* Writes, for each struct above in the order of this file, its size, then the offset of each field in order; at most n
 * numbers. Returns how many there are. The caller compares them with its own. */
CLIPGO_API int32_t clipgo_layout(uint32_t *out, uint64_t n);

/* Writes the names of the instruction sets that this build has and this processor runs, best first, separated by
 * commas, NUL-terminated, into text of n bytes. */
CLIPGO_API int32_t clipgo_isas(char *text, uint64_t n);

CLIPGO_API int32_t clipgo_device_create(const clipgo_device_options *options, clipgo_device **device,
                                        clipgo_error *err);
CLIPGO_API int32_t clipgo_device_describe(clipgo_device *device, clipgo_device_info *info, clipgo_error *err);
/* Measures what no product on the device can exceed: the speed of its instruction set's multiply-adds, all threads at
 * once, and of reading read_bytes (0: not measured) of memory. Takes some hundredths of a second, and the device's turn. */
CLIPGO_API int32_t clipgo_device_ceilings(clipgo_device *device, uint64_t read_bytes, clipgo_ceilings *ceilings,
                                          clipgo_error *err);
CLIPGO_API void clipgo_device_free(clipgo_device *device);

/* data[0..bytes) must stay mapped until the weights are gone; flags: CLIPGO_WEIGHTS_*. */
CLIPGO_API int32_t clipgo_weights_create(clipgo_device *device, const void *data, uint64_t bytes,
                                         const clipgo_tensor *tensors, uint64_t n_tensors, uint64_t flags,
                                         clipgo_weights **weights, clipgo_error *err);
CLIPGO_API void clipgo_weights_free(clipgo_weights *weights);

/* Verifies everything, then packs what LINEAR ops use. */
CLIPGO_API int32_t clipgo_program_create(clipgo_weights *weights, const clipgo_program_desc *desc,
                                         const clipgo_value *values, const clipgo_op *ops, clipgo_program **program,
                                         clipgo_error *err);
/* The same with panels that clipgo_program_panels gave for the same weights, program and activations, on the same
 * instruction set of the same build of the engine: nothing is packed. Only their number of bytes is checked. They are
 * aligned to 64 bytes, aren't written to, and must stay mapped until the program and its contexts are gone. */
CLIPGO_API int32_t clipgo_program_restore(clipgo_weights *weights, const clipgo_program_desc *desc,
                                          const clipgo_value *values, const clipgo_op *ops, const void *panels,
                                          uint64_t panel_bytes, clipgo_program **program, clipgo_error *err);

/* The panels that were made for the program; they live as long as it. NULL and 0: those of other programs serve it. */
CLIPGO_API int32_t clipgo_program_panels(clipgo_program *program, const void **panels, uint64_t *bytes,
                                         clipgo_error *err);
CLIPGO_API int32_t clipgo_program_memory(clipgo_program *program, clipgo_memory *memory, clipgo_error *err);
CLIPGO_API void clipgo_program_free(clipgo_program *program);

CLIPGO_API int32_t clipgo_context_create(clipgo_program *program, const clipgo_context_options *options,
                                         clipgo_context **context, clipgo_error *err);
CLIPGO_API int32_t clipgo_context_memory(clipgo_context *context, clipgo_memory *memory, clipgo_error *err);
CLIPGO_API void clipgo_context_free(clipgo_context *context);

/* in and out are aligned to 4 bytes and don't overlap; they may be longer than the values need. batch and rows are at
 * least 1 and at most what the context was made for. */
CLIPGO_API int32_t clipgo_run(clipgo_context *context, const clipgo_run_args *args, const void *in, uint64_t in_bytes,
                              void *out, uint64_t out_bytes, clipgo_error *err);

/* on = 1: the run in progress, and every later one, ends soon with CLIPGO_ERR_CANCELLED; on = 0: runs are allowed
 * again. May be called from any thread while the context lives. */
CLIPGO_API int32_t clipgo_cancel(clipgo_context *context, int32_t on);

/* One pass over a picture, on the caller's thread; device gives the instruction set. kernel has a record of int32 for
 * each output: the first input, the number of inputs, then taps weights, zeros after the last one that counts. src and
 * dst may not overlap. */
CLIPGO_API int32_t clipgo_resample(clipgo_device *device, const clipgo_resample_args *args, const void *src,
                                   uint64_t src_bytes, const int32_t *kernel, void *dst, uint64_t dst_bytes,
                                   clipgo_error *err);

/* On the caller's thread. coeffs [blocks, 64] and quant [64] are in the order of the file (zigzag); of each block those
 * behind last[block] <= 63 are 0. dst is 8 rows of 8 * blocks bytes. */
CLIPGO_API int32_t clipgo_idct(clipgo_device *device, const clipgo_idct_args *args, const int16_t *coeffs,
                               const uint8_t *last, const int32_t *quant, void *dst, uint64_t dst_bytes,
                               clipgo_error *err);

/* Rows of a JPEG picture, on the caller's thread, to dst [rows, width, 3]. planes and dst may not overlap. */
CLIPGO_API int32_t clipgo_ycc_rows(clipgo_device *device, const clipgo_ycc_args *args, const void *planes,
                                   uint64_t planes_bytes, void *dst, uint64_t dst_bytes, clipgo_error *err);

/* Nanoseconds spent in each op, summed over the runs of a context made with CLIPGO_CONTEXT_PROFILE; n >= n_ops. Ops that run as
 * one elsewhere, as products of queries, keys and values do with their attention, run apart there, with the same result. */
CLIPGO_API int32_t clipgo_profile(clipgo_context *context, uint64_t *nanoseconds, uint64_t n, clipgo_error *err);

#ifdef __cplusplus
}
#endif

#endif
