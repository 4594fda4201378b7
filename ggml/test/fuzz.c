#include "fuzz.h"

#include "clipgo.h"

#include <stdlib.h>
#include <string.h>

enum { DATA_BYTES = 1 << 16, MOST_BYTES = 1 << 20 };

/* Bytes of all values of a run. One with more than MOST_BYTES isn't tried, so that a fuzzer spends its time on many
 * small programs. */
static uint64_t run_bytes(const clipgo_value *values, uint32_t n, uint32_t batch, uint32_t rows) {
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total += ((uint64_t)values[i].row_scale * rows + values[i].row_add) * values[i].width * batch * 4 + 64;
    return total;
}

/* Products of the largest op, likewise. */
static int is_quick(const clipgo_op *ops, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        if (ops[i].kind == CLIPGO_OP_DWCONV && ops[i].i[4] * (int64_t)ops[i].i[5] > 4096) return 0;
    return 1;
}

int32_t fuzz_one(const uint8_t *bytes, size_t n) {
    static const uint8_t *data;
    if (data == NULL) data = calloc(1, DATA_BYTES); /* zeros: ids and scales of any type */
    if (n < 3) return CLIPGO_ERR_ARGUMENT;
    uint32_t n_tensors = bytes[0] % 32, n_values = bytes[1] % 64, n_ops = bytes[2] % 64;
    size_t at = 3,
           need = n_tensors * sizeof(clipgo_tensor) + n_values * sizeof(clipgo_value) + n_ops * sizeof(clipgo_op);
    if (n - at < need) return CLIPGO_ERR_ARGUMENT;
    /* exact allocations, so that the address sanitizer sees a step beyond */
    clipgo_tensor *tensors = malloc(n_tensors * sizeof *tensors + 1);
    clipgo_value *values = malloc(n_values * sizeof *values + 1);
    clipgo_op *ops = malloc(n_ops * sizeof *ops + 1);
    memcpy(tensors, bytes + at, n_tensors * sizeof *tensors);
    memcpy(values, bytes + (at += n_tensors * sizeof *tensors), n_values * sizeof *values);
    memcpy(ops, bytes + (at += n_values * sizeof *values), n_ops * sizeof *ops);
    static clipgo_device *device;
    clipgo_weights *weights = NULL;
    clipgo_program *program = NULL;
    clipgo_context *context = NULL;
    clipgo_error err = {.size = sizeof err};
    clipgo_device_options device_options = {.size = sizeof device_options, .threads = 1};
    clipgo_program_desc desc = {.size = sizeof desc, .activations = n_ops % 4, .n_values = n_values, .n_ops = n_ops};
    clipgo_context_options options = {.size = sizeof options, .max_batch = 2, .max_rows = 6};
    clipgo_run_args args = {.size = sizeof args, .batch = 2, .rows = 6};
    int32_t status = CLIPGO_OK;
    if (device == NULL) status = clipgo_device_create(&device_options, &device, &err);
    if (status == CLIPGO_OK)
        status = clipgo_weights_create(device, data, DATA_BYTES, tensors, n_tensors, 0, &weights, &err);
    if (status == CLIPGO_OK) status = clipgo_program_create(weights, &desc, values, ops, &program, &err);
    uint64_t room = run_bytes(values, n_values, 2, 6);
    if (status == CLIPGO_OK && room <= MOST_BYTES && is_quick(ops, n_ops)) {
        status = clipgo_context_create(program, &options, &context, &err);
        void *in = calloc(1, room), *out = malloc(room);
        if (status == CLIPGO_OK) status = clipgo_run(context, &args, in, room, out, room, &err);
        free(in);
        free(out);
    }
    clipgo_context_free(context);
    clipgo_program_free(program);
    clipgo_weights_free(weights);
    free(tensors);
    free(values);
    free(ops);
    return status;
}
