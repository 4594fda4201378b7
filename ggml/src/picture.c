#include "picture.h"

#include "error.h"

enum { max_side = 1 << 20, max_taps = 1 << 24 };

/* Whether rows of `width` bytes, `stride` apart, lie within `bytes`. */
static int fits(uint64_t rows, uint64_t width, uint64_t stride, uint64_t bytes) {
    if (stride < width || bytes > PTRDIFF_MAX) return 0;
    return width <= bytes && (rows - 1) <= (bytes - width) / stride;
}

int32_t resample(const clipgo_kernels *kernels, const clipgo_resample_args *args, const void *src, uint64_t src_bytes,
                 const int32_t *kernel, void *dst, uint64_t dst_bytes, clipgo_error *err) {
    if (args->axis > CLIPGO_DOWN)
        return fail(err, CLIPGO_ERR_ARGUMENT, args->axis, "args.axis is %u, expected 0 or 1", args->axis);
    if (args->channels < 1 || args->channels > 4)
        return fail(err, CLIPGO_ERR_ARGUMENT, args->channels, "args.channels is %u, expected 1 to 4", args->channels);
    if (args->shift < 1 || args->shift > 22)
        return fail(err, CLIPGO_ERR_ARGUMENT, args->shift, "args.shift is %u, expected 1 to 22", args->shift);
    if (args->taps % 4 != 0 || args->taps > max_taps)
        return fail(err, CLIPGO_ERR_ARGUMENT, args->taps, "args.taps is %u, expected a multiple of 4 up to %d",
                    args->taps, max_taps);
    if (args->src_width < 1 || args->src_width > max_side || args->src_height < 1 || args->src_height > max_side ||
        args->outputs < 1 || args->outputs > max_side)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "%u x %u pixels to %u outputs, expected 1 to %d of each",
                    args->src_width, args->src_height, args->outputs, max_side);
    int down = args->axis == CLIPGO_DOWN;
    uint64_t width = (uint64_t)args->src_width * args->channels;
    uint64_t dst_width = down ? width : (uint64_t)args->outputs * args->channels;
    if (!fits(args->src_height, width, args->src_stride, src_bytes))
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)src_bytes, "the source of %u x %u pixels isn't within its bytes",
                    args->src_width, args->src_height);
    if (!fits(down ? args->outputs : args->src_height, dst_width, args->dst_stride, dst_bytes))
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)dst_bytes, "the result isn't within its bytes");
    int64_t inputs = down ? args->src_height : args->src_width;
    for (uint32_t i = 0; i < args->outputs; i++) {
        const int32_t *record = kernel + (size_t)i * (2u + args->taps);
        int64_t first = record[0], count = record[1];
        if (first < 0 || count < 0 || count > args->taps || first + count > inputs)
            return fail(err, CLIPGO_ERR_ARGUMENT, i, "output %u is made of inputs %lld to %lld of %lld", i,
                        (long long)first, (long long)(first + count), (long long)inputs);
    }
    clipgo_resampling a = {.src = src,
                           .dst = dst,
                           .kernel = kernel,
                           .src_width = args->src_width,
                           .src_stride = args->src_stride,
                           .dst_stride = args->dst_stride,
                           .channels = args->channels,
                           .outputs = args->outputs,
                           .taps = args->taps,
                           .shift = args->shift};
    if (down) kernels->resample_down(&a, 0, args->outputs);
    else kernels->resample_across(&a, 0, args->src_height);
    return CLIPGO_OK;
}

int32_t idct(const clipgo_kernels *kernels, const clipgo_idct_args *args, const int16_t *coeffs, const uint8_t *last,
             const int32_t *quant, void *dst, uint64_t dst_bytes, clipgo_error *err) {
    if (args->blocks < 1 || args->blocks > 1u << 16)
        return fail(err, CLIPGO_ERR_ARGUMENT, args->blocks, "%u blocks, expected 1 to 65536", args->blocks);
    if (!fits(8, 8ull * args->blocks, args->stride, dst_bytes))
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)dst_bytes, "the samples of %u blocks aren't within their bytes",
                    args->blocks);
    for (uint32_t i = 0; i < args->blocks; i++)
        if (last[i] > 63)
            return fail(err, CLIPGO_ERR_ARGUMENT, i, "block %u has coefficient %u, expected at most 63", i, last[i]);
    clipgo_idct_row a = {.coeffs = coeffs,
                         .last = last,
                         .quant = quant,
                         .dst = dst,
                         .blocks = args->blocks,
                         .stride = (size_t)args->stride};
    kernels->idct(&a);
    return CLIPGO_OK;
}

int32_t ycc_rows(const clipgo_kernels *kernels, const clipgo_ycc_args *args, const void *planes, uint64_t planes_bytes,
                 void *dst, uint64_t dst_bytes, clipgo_error *err) {
    if (args->width < 1 || args->width > max_side || args->height < 1 || args->height > max_side)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "a picture of %u x %u pixels, expected 1 to %d", args->width,
                    args->height, max_side);
    if (!((args->across == 1 && args->down == 1) || (args->across == 2 && (args->down == 1 || args->down == 2))))
        return fail(err, CLIPGO_ERR_ARGUMENT, args->across,
                    "chroma samples of %u x %u pixels, expected 1 x 1, 2 x 1 or 2 x 2", args->across, args->down);
    uint64_t chroma_width = (args->width + args->across - 1) / args->across;
    uint64_t chroma_height = (args->height + args->down - 1) / args->down;
    if (!fits(args->height, args->width, args->y_stride, planes_bytes) || args->cb_offset > planes_bytes ||
        args->cr_offset > planes_bytes ||
        !fits(chroma_height, chroma_width, args->chroma_stride, planes_bytes - args->cb_offset) ||
        !fits(chroma_height, chroma_width, args->chroma_stride, planes_bytes - args->cr_offset))
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)planes_bytes,
                    "the components of %u x %u pixels aren't within their bytes", args->width, args->height);
    if (args->first > args->height || args->rows > args->height - args->first || args->rows < 1 ||
        !fits(args->rows, 3ull * args->width, 3ull * args->width, dst_bytes))
        return fail(err, CLIPGO_ERR_ARGUMENT, args->rows, "%u rows from row %u on of %u, to %llu bytes", args->rows,
                    args->first, args->height, (unsigned long long)dst_bytes);
    const uint8_t *y = planes, *cb = y + args->cb_offset, *cr = y + args->cr_offset;
    clipgo_ycc_row a = {
        .width = args->width, .chroma_width = (size_t)chroma_width, .across = args->across, .down = args->down};
    for (uint32_t i = 0; i < args->rows; i++) {
        uint64_t row = args->first + i, near = row / args->down, far = near;
        if (args->down == 2 && row % 2 == 0 && near > 0) far--;
        if (args->down == 2 && row % 2 == 1 && near + 1 < chroma_height) far++;
        a.y = y + row * args->y_stride;
        a.cb[0] = cb + near * args->chroma_stride;
        a.cb[1] = cb + far * args->chroma_stride;
        a.cr[0] = cr + near * args->chroma_stride;
        a.cr[1] = cr + far * args->chroma_stride;
        a.rgb = (uint8_t *)dst + 3ull * args->width * i;
        kernels->ycc_row(&a);
    }
    return CLIPGO_OK;
}
