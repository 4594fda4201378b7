/* One pass of a resize, on every instruction set, against a plain loop: sizes that leave tails, every number of
 * channels, rows with bytes between them, weights of both signs up to the largest; and what the call must refuse. */
#include "dispatch.h"
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t seed = 7;

/* Records of random weights whose absolute values add up to less than 2 << shift, zeros behind. */
static int32_t *make_kernel(uint32_t outputs, uint32_t inputs, uint32_t most, uint32_t shift, uint32_t *taps) {
    *taps = (most + 3) / 4 * 4;
    int32_t *kernel = calloc((size_t)outputs * (2 + *taps), sizeof *kernel);
    for (uint32_t i = 0; i < outputs; i++) {
        int32_t *record = kernel + (size_t)i * (2 + *taps);
        uint32_t count = random_below(&seed, (most < inputs ? most : inputs) + 1);
        record[0] = (int32_t)random_below(&seed, inputs - count + 1);
        record[1] = (int32_t)count;
        int32_t largest = (int32_t)((2u << shift) / (count + 1));
        for (uint32_t j = 0; j < count; j++) record[2 + j] = (int32_t)(random_float(&seed) * (float)largest);
    }
    return kernel;
}

static uint8_t plain_sample(const clipgo_resample_args *a, const uint8_t *src, const int32_t *record, size_t at,
                            size_t step) {
    int64_t sum = (int64_t)1 << (a->shift - 1);
    for (int32_t j = 0; j < record[1]; j++) sum += (int64_t)record[2 + j] * src[at + (size_t)(record[0] + j) * step];
    sum >>= a->shift;
    return (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
}

static void plain_pass(const clipgo_resample_args *a, const uint8_t *src, const int32_t *kernel, uint8_t *dst) {
    uint32_t n = a->channels, rows = a->axis == CLIPGO_DOWN ? a->outputs : a->src_height;
    uint32_t columns = a->axis == CLIPGO_DOWN ? a->src_width : a->outputs;
    for (uint32_t y = 0; y < rows; y++)
        for (uint32_t x = 0; x < columns; x++)
            for (uint32_t c = 0; c < n; c++) {
                size_t record = (size_t)(a->axis == CLIPGO_DOWN ? y : x) * (2 + a->taps);
                size_t at = a->axis == CLIPGO_DOWN ? (size_t)x * n + c : y * a->src_stride + c;
                dst[y * a->dst_stride + (size_t)x * n + c] =
                    plain_sample(a, src, kernel + record, at, a->axis == CLIPGO_DOWN ? a->src_stride : n);
            }
}

static void test_pass(clipgo_device *device, const char *isa, uint32_t axis, uint32_t channels, uint32_t width,
                      uint32_t height, uint32_t outputs, uint32_t most) {
    static const uint32_t shifts[] = {22, 15, 1};
    uint32_t inputs = axis == CLIPGO_DOWN ? height : width;
    clipgo_resample_args a = {.size = sizeof a,
                              .axis = axis,
                              .channels = channels,
                              .shift = shifts[random_below(&seed, 3)],
                              .src_width = width,
                              .src_height = height,
                              .outputs = outputs};
    int32_t *kernel = make_kernel(outputs, inputs, most, a.shift, &a.taps);
    uint64_t dst_width = (uint64_t)(axis == CLIPGO_DOWN ? width : outputs) * channels;
    a.src_stride = width * channels + random_below(&seed, 5);
    a.dst_stride = dst_width + random_below(&seed, 5);
    /* Not a byte more than the call is told of, so that a sanitizer sees one that is touched. */
    uint64_t src_bytes = (height - 1) * a.src_stride + width * channels;
    uint64_t dst_bytes = ((axis == CLIPGO_DOWN ? outputs : height) - 1) * a.dst_stride + dst_width;
    uint8_t *src = malloc(src_bytes), *dst = malloc(dst_bytes), *want = malloc(dst_bytes);
    for (uint64_t i = 0; i < src_bytes; i++) src[i] = (uint8_t)(random_bits(&seed) | (0 - (random_bits(&seed) & 1)));
    memset(dst, 0x5a, dst_bytes);
    memset(want, 0x5a, dst_bytes); /* bytes between rows stay as they are */
    plain_pass(&a, src, kernel, want);
    clipgo_error err = {.size = sizeof err};
    int32_t status = clipgo_resample(device, &a, src, src_bytes, kernel, dst, dst_bytes, &err);
    CHECK(status == CLIPGO_OK, "%s: %s", isa, err.message);
    CHECK(memcmp(dst, want, dst_bytes) == 0, "%s: axis %u, %u channels, %u x %u to %u, %u taps, shift %u", isa, axis,
          channels, width, height, outputs, a.taps, a.shift);
    free(kernel);
    free(src);
    free(dst);
    free(want);
}

static void test_isa(clipgo_device *device, const char *isa) {
    for (uint32_t axis = 0; axis < 2; axis++)
        for (uint32_t channels = 1; channels <= 4; channels++) {
            for (uint32_t side = 1; side < 40; side++)
                test_pass(device, isa, axis, channels, side, 1 + random_below(&seed, 40), 1 + random_below(&seed, 30),
                          random_below(&seed, 12));
            test_pass(device, isa, axis, channels, 700, 300, 33, 90);
        }
}

static void test_refusals(clipgo_device *device) {
    uint8_t src[64] = {0}, dst[64];
    int32_t kernel[12] = {0, 2, 1, 1, 0, 0, 2, 2, 1, 1, 0, 0};
    const clipgo_resample_args right = {.size = sizeof right,
                                        .channels = 3,
                                        .shift = 1,
                                        .src_width = 4,
                                        .src_height = 2,
                                        .outputs = 2,
                                        .taps = 4,
                                        .src_stride = 12,
                                        .dst_stride = 6};
    clipgo_error err = {.size = sizeof err};
    clipgo_resample_args a = right;
    CHECK(clipgo_resample(device, &a, src, 24, kernel, dst, 12, &err) == CLIPGO_OK, "%s", err.message);
#define REFUSED(change)                                                                                           \
    do {                                                                                                          \
        a = right;                                                                                                \
        change;                                                                                                   \
        err.message[0] = '\0';                                                                                    \
        CHECK(clipgo_resample(device, &a, src, src_bytes, kernel, dst, dst_bytes, &err) == CLIPGO_ERR_ARGUMENT && \
                  err.message[0] != '\0',                                                                         \
              #change);                                                                                           \
        src_bytes = 24, dst_bytes = 12;                                                                           \
    } while (0)
    uint64_t src_bytes = 24, dst_bytes = 12;
    REFUSED(a.size = 4);
    REFUSED(a.axis = 2);
    REFUSED(a.channels = 0);
    REFUSED(a.channels = 5);
    REFUSED(a.shift = 0);
    REFUSED(a.shift = 23);
    REFUSED(a.taps = 3);
    REFUSED(a.taps = UINT32_MAX - 3);
    REFUSED(a.outputs = 0);
    REFUSED(a.src_width = 0);
    REFUSED(a.src_height = UINT32_MAX);
    REFUSED(a.src_stride = 11);
    REFUSED(a.src_stride = UINT64_MAX);
    REFUSED(a.dst_stride = 5);
    REFUSED(a.dst_stride = UINT64_MAX - 3);
    REFUSED(src_bytes = 23);
    REFUSED(src_bytes = 0);
    REFUSED(dst_bytes = 11);
    REFUSED(dst_bytes = UINT64_MAX);
    REFUSED(kernel[0] = -1);
    kernel[0] = 0;
    REFUSED(kernel[7] = 3); /* inputs 2 to 5 of 4 */
    REFUSED(kernel[7] = 5); /* more than the taps */
    REFUSED(kernel[7] = -1);
    kernel[7] = 2;
#undef REFUSED
    a = right;
    CHECK(clipgo_resample(device, &a, src, 24, kernel, src + 20, 12, &err) == CLIPGO_ERR_ARGUMENT, "overlap");
    CHECK(clipgo_resample(NULL, &a, src, 24, kernel, dst, 12, &err) == CLIPGO_ERR_ARGUMENT, "no device");
    CHECK(clipgo_resample(device, NULL, src, 24, kernel, dst, 12, &err) == CLIPGO_ERR_ARGUMENT, "no args");
    CHECK(clipgo_resample(device, &a, NULL, 24, kernel, dst, 12, &err) == CLIPGO_ERR_ARGUMENT, "no source");
    CHECK(clipgo_resample(device, &a, src, 24, NULL, dst, 12, &err) == CLIPGO_ERR_ARGUMENT, "no kernel");
    CHECK(clipgo_resample(device, &a, src, 24, kernel, NULL, 12, NULL) == CLIPGO_ERR_ARGUMENT, "no result");
}

/* A chroma sample in 16ths (2 x 2), quarters (2 x 1) or as it is: nearer ones count three times as much as farther ones. */
static int32_t plain_chroma(const clipgo_ycc_args *a, const uint8_t *plane, uint32_t x, uint32_t y) {
    int32_t width = (int32_t)((a->width + a->across - 1) / a->across),
            height = (int32_t)((a->height + a->down - 1) / a->down);
    int32_t cx = (int32_t)(x / a->across), cy = (int32_t)(y / a->down);
    int32_t other_x = x % 2 ? (cx + 1 < width ? cx + 1 : cx) : (cx > 0 ? cx - 1 : cx);
    int32_t other_y = y % 2 ? (cy + 1 < height ? cy + 1 : cy) : (cy > 0 ? cy - 1 : cy);
#define AT(x, y) ((int32_t)plane[(uint64_t)(y)*a->chroma_stride + (uint64_t)(x)])
    if (a->across == 1) return AT(cx, cy);
    if (a->down == 1) return (3 * AT(cx, cy) + AT(other_x, cy) + (x % 2 ? 2 : 1)) >> 2;
    return (9 * AT(cx, cy) + 3 * AT(cx, other_y) + 3 * AT(other_x, cy) + AT(other_x, other_y) + (x % 2 ? 7 : 8)) >> 4;
#undef AT
}

static uint8_t plain_clip(int32_t v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

static void test_ycc(clipgo_device *device, const char *isa, uint32_t across, uint32_t down, uint32_t width,
                     uint32_t height) {
    clipgo_ycc_args a = {.size = sizeof a, .width = width, .height = height, .across = across, .down = down};
    uint64_t chroma_width = (width + across - 1) / across, chroma_height = (height + down - 1) / down;
    a.y_stride = width + random_below(&seed, 9);
    a.chroma_stride = chroma_width + random_below(&seed, 9);
    a.cb_offset = a.y_stride * height;
    a.cr_offset = a.cb_offset + a.chroma_stride * chroma_height;
    a.first = random_below(&seed, height);
    a.rows = 1 + random_below(&seed, height - a.first);
    uint64_t bytes = a.cr_offset + a.chroma_stride * (chroma_height - 1) + chroma_width;
    uint64_t dst_bytes = 3ull * width * a.rows;
    uint8_t *planes = malloc(bytes), *dst = malloc(dst_bytes);
    for (uint64_t i = 0; i < bytes; i++) planes[i] = (uint8_t)random_bits(&seed);
    clipgo_error err = {.size = sizeof err};
    int32_t status = clipgo_ycc_rows(device, &a, planes, bytes, dst, dst_bytes, &err);
    CHECK(status == CLIPGO_OK, "%s: %s", isa, err.message);
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < a.rows; i++)
        for (uint32_t x = 0; x < width; x++) {
            int32_t luma = planes[(a.first + i) * a.y_stride + x];
            int32_t cb = plain_chroma(&a, planes + a.cb_offset, x, a.first + i) - 128;
            int32_t cr = plain_chroma(&a, planes + a.cr_offset, x, a.first + i) - 128;
            const uint8_t *got = dst + 3 * ((uint64_t)i * width + x);
            wrong += got[0] != plain_clip(luma + ((91881 * cr + 32768) >> 16));
            wrong += got[1] != plain_clip(luma + ((-22554 * cb - 46802 * cr + 32768) >> 16));
            wrong += got[2] != plain_clip(luma + ((116130 * cb + 32768) >> 16));
        }
    CHECK(wrong == 0, "%s: %llu bytes of %u x %u, chroma %u x %u", isa, (unsigned long long)wrong, width, height,
          across, down);
    CHECK(clipgo_ycc_rows(device, &a, planes, bytes - 1, dst, dst_bytes, &err) == CLIPGO_ERR_ARGUMENT, "cr is cut");
    CHECK(clipgo_ycc_rows(device, &a, planes, bytes, dst, dst_bytes - 1, &err) == CLIPGO_ERR_ARGUMENT,
          "the result is cut");
    free(planes);
    free(dst);
}

static void test_ycc_isa(clipgo_device *device, const char *isa) {
    for (uint32_t across = 1; across <= 2; across++)
        for (uint32_t down = 1; down <= across; down++) {
            for (uint32_t width = 1; width < 50; width++)
                test_ycc(device, isa, across, down, width, 1 + random_below(&seed, 9));
            test_ycc(device, isa, across, down, 1023, 5);
            test_ycc(device, isa, across, down, 1024, 6);
            test_ycc(device, isa, across, down, 1025, 7);
        }
}

static void test_ycc_refusals(clipgo_device *device) {
    uint8_t planes[64] = {0}, dst[64];
    const clipgo_ycc_args right = {.size = sizeof right,
                                   .width = 4,
                                   .height = 4,
                                   .across = 2,
                                   .down = 2,
                                   .rows = 4,
                                   .y_stride = 4,
                                   .chroma_stride = 2,
                                   .cb_offset = 16,
                                   .cr_offset = 20};
    clipgo_error err = {.size = sizeof err};
    clipgo_ycc_args a = right;
    CHECK(clipgo_ycc_rows(device, &a, planes, 24, dst, 48, &err) == CLIPGO_OK, "%s", err.message);
#define REFUSED(change)                                                                                                \
    do {                                                                                                               \
        a = right;                                                                                                     \
        change;                                                                                                        \
        err.message[0] = '\0';                                                                                         \
        CHECK(clipgo_ycc_rows(device, &a, planes, 24, dst, 48, &err) == CLIPGO_ERR_ARGUMENT && err.message[0] != '\0', \
              #change);                                                                                                \
    } while (0)
    REFUSED(a.size = 1);
    REFUSED(a.flags = 1);
    REFUSED(a.width = 0);
    REFUSED(a.width = UINT32_MAX);
    REFUSED(a.height = 0);
    REFUSED(a.height = 5);
    REFUSED(a.across = 0);
    REFUSED(a.across = 1); /* 1 x 2 is not among them */
    REFUSED(a.across = 4);
    REFUSED(a.down = 4);
    REFUSED(a.first = 1);
    REFUSED(a.first = 5);
    REFUSED(a.rows = 0);
    REFUSED(a.rows = UINT32_MAX);
    REFUSED(a.y_stride = 3);
    REFUSED(a.y_stride = UINT64_MAX);
    REFUSED(a.chroma_stride = 1);
    REFUSED(a.chroma_stride = UINT64_MAX / 2 + 2);
    REFUSED(a.cb_offset = 21);
    REFUSED(a.cr_offset = 21);
    REFUSED(a.cr_offset = UINT64_MAX);
#undef REFUSED
    a = right;
    CHECK(clipgo_ycc_rows(device, &a, planes, 24, planes + 8, 48, &err) == CLIPGO_ERR_ARGUMENT, "overlap");
    CHECK(clipgo_ycc_rows(NULL, &a, planes, 24, dst, 48, &err) == CLIPGO_ERR_ARGUMENT, "no device");
    CHECK(clipgo_ycc_rows(device, NULL, planes, 24, dst, 48, &err) == CLIPGO_ERR_ARGUMENT, "no args");
    CHECK(clipgo_ycc_rows(device, &a, NULL, 24, dst, 48, &err) == CLIPGO_ERR_ARGUMENT, "no planes");
    CHECK(clipgo_ycc_rows(device, &a, planes, 24, NULL, 48, NULL) == CLIPGO_ERR_ARGUMENT, "no result");
}

/* Blocks of coefficients such as pictures have come within one level of the inverse DCT in double precision. */
static void test_idct(clipgo_device *device, const char *isa, uint32_t blocks) {
    static const uint8_t zigzag[64] = {0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,
                                       12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6,  7,  14, 21, 28,
                                       35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
                                       58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63};
    clipgo_idct_args a = {.size = sizeof a, .blocks = blocks, .stride = 8 * blocks + random_below(&seed, 5)};
    uint64_t bytes = 7 * a.stride + 8 * blocks;
    int16_t *coeffs = calloc(64 * blocks, sizeof *coeffs);
    uint8_t *last = calloc(blocks, 1), *dst = malloc(bytes);
    int32_t quant[64];
    for (int k = 0; k < 64; k++) quant[k] = 1 + (int32_t)random_below(&seed, 20);
    for (uint32_t b = 0; b < blocks; b++) {
        last[b] = (uint8_t)(random_below(&seed, 3) == 0 ? 0 : random_below(&seed, 64));
        for (int k = 0; k <= last[b]; k++)
            coeffs[64 * b + (uint32_t)k] = (int16_t)((int32_t)random_below(&seed, 33) - 16);
    }
    clipgo_error err = {.size = sizeof err};
    int32_t status = clipgo_idct(device, &a, coeffs, last, quant, dst, bytes, &err);
    CHECK(status == CLIPGO_OK, "%s: %s", isa, err.message);
    double worst = 0;
    for (uint32_t b = 0; b < blocks; b++)
        for (int at = 0; at < 64; at++) {
            double sum = 128;
            for (int k = 0; k <= last[b]; k++) {
                int u = zigzag[k] % 8, v = zigzag[k] / 8;
                const double pi = 3.14159265358979323846;
                double c = coeffs[64 * b + (uint32_t)k] * quant[k] / 4.0 * (u ? 1 : sqrt(0.5)) * (v ? 1 : sqrt(0.5));
                sum += c * cos((2 * (at % 8) + 1) * u * pi / 16) * cos((2 * (at / 8) + 1) * v * pi / 16);
            }
            sum = sum < 0 ? 0 : sum > 255 ? 255 : sum;
            double off = fabs(sum - dst[(uint64_t)(at / 8) * a.stride + 8 * b + (uint64_t)(at % 8)]);
            if (off > worst) worst = off;
        }
    CHECK(worst < 1, "%s, %u blocks: off by %g", isa, blocks, worst);
    CHECK(clipgo_idct(device, &a, coeffs, last, quant, dst, bytes - 1, &err) == CLIPGO_ERR_ARGUMENT, "dst is cut");
    last[blocks - 1] = 64;
    CHECK(clipgo_idct(device, &a, coeffs, last, quant, dst, bytes, &err) == CLIPGO_ERR_ARGUMENT, "65 coefficients");
    a.stride = 8 * blocks - 1;
    CHECK(clipgo_idct(device, &a, coeffs, last, quant, dst, bytes, &err) == CLIPGO_ERR_ARGUMENT, "rows overlap");
    a.blocks = 0;
    CHECK(clipgo_idct(device, &a, coeffs, last, quant, dst, bytes, &err) == CLIPGO_ERR_ARGUMENT, "no blocks");
    a.blocks = UINT32_MAX;
    CHECK(clipgo_idct(device, &a, coeffs, last, quant, dst, bytes, &err) == CLIPGO_ERR_ARGUMENT, "too many blocks");
    CHECK(clipgo_idct(device, &a, NULL, last, quant, dst, bytes, NULL) == CLIPGO_ERR_ARGUMENT, "no coefficients");
    free(coeffs);
    free(last);
    free(dst);
}

int main(void) {
    const clipgo_kernels *isa;
    for (uint32_t i = 0; (isa = dispatch_nth(i)) != NULL; i++) {
        clipgo_device_options options = {.size = sizeof options, .threads = 1};
        snprintf(options.isa, sizeof options.isa, "%s", isa->isa);
        clipgo_device *device;
        clipgo_error err = {.size = sizeof err};
        CHECK(clipgo_device_create(&options, &device, &err) == CLIPGO_OK, "%s", err.message);
        test_isa(device, isa->isa);
        test_refusals(device);
        test_ycc_isa(device, isa->isa);
        test_ycc_refusals(device);
        for (uint32_t blocks = 1; blocks < 40; blocks++) test_idct(device, isa->isa, blocks);
        clipgo_device_free(device);
    }
    return test_result();
}
