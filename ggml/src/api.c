/* api.c: the calls of clipgo.h. They check what they are given and hand over; the work is done elsewhere. */
#include "clipgo.h"

#include "processor.h"
#include "ceilings.h"
#include "dispatch.h"
#include "error.h"
#include "exec.h"
#include "memory.h"
#include "picture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int32_t clipgo_abi_version(void) { return CLIPGO_ABI_VERSION; }

int32_t clipgo_layout(uint32_t *out, uint64_t n) {
    static const uint32_t layout[] = {
/* clang-format off */
#define S(type) sizeof(type)
#define F(type, field) offsetof(type, field)
        S(clipgo_error), F(clipgo_error, size), F(clipgo_error, code), F(clipgo_error, detail), F(clipgo_error, message),
        S(clipgo_device_options), F(clipgo_device_options, size), F(clipgo_device_options, threads),
        F(clipgo_device_options, spin_us), F(clipgo_device_options, flags), F(clipgo_device_options, isa),
        S(clipgo_device_info), F(clipgo_device_info, size), F(clipgo_device_info, threads), F(clipgo_device_info, isa),
        F(clipgo_device_info, cpu),
        S(clipgo_tensor), F(clipgo_tensor, offset), F(clipgo_tensor, bytes), F(clipgo_tensor, rows),
        F(clipgo_tensor, cols), F(clipgo_tensor, type), F(clipgo_tensor, flags),
        S(clipgo_value), F(clipgo_value, kind), F(clipgo_value, role), F(clipgo_value, row_scale),
        F(clipgo_value, row_add), F(clipgo_value, width), F(clipgo_value, flags),
        S(clipgo_op), F(clipgo_op, kind), F(clipgo_op, flags), F(clipgo_op, dst), F(clipgo_op, reserved),
        F(clipgo_op, src), F(clipgo_op, w), F(clipgo_op, i), F(clipgo_op, f),
        S(clipgo_program_desc), F(clipgo_program_desc, size), F(clipgo_program_desc, activations),
        F(clipgo_program_desc, n_values), F(clipgo_program_desc, n_ops), F(clipgo_program_desc, flags),
        S(clipgo_context_options), F(clipgo_context_options, size), F(clipgo_context_options, max_batch),
        F(clipgo_context_options, max_rows), F(clipgo_context_options, flags),
        S(clipgo_run_args), F(clipgo_run_args, size), F(clipgo_run_args, batch), F(clipgo_run_args, rows),
        F(clipgo_run_args, flags),
        S(clipgo_memory), F(clipgo_memory, size), F(clipgo_memory, reserved), F(clipgo_memory, packed_bytes),
        F(clipgo_memory, arena_bytes),
        S(clipgo_resample_args), F(clipgo_resample_args, size), F(clipgo_resample_args, axis),
        F(clipgo_resample_args, channels), F(clipgo_resample_args, shift), F(clipgo_resample_args, src_width),
        F(clipgo_resample_args, src_height), F(clipgo_resample_args, outputs), F(clipgo_resample_args, taps),
        F(clipgo_resample_args, src_stride), F(clipgo_resample_args, dst_stride),
        S(clipgo_idct_args), F(clipgo_idct_args, size), F(clipgo_idct_args, blocks), F(clipgo_idct_args, stride),
        S(clipgo_ycc_args), F(clipgo_ycc_args, size), F(clipgo_ycc_args, width), F(clipgo_ycc_args, height),
        F(clipgo_ycc_args, across), F(clipgo_ycc_args, down), F(clipgo_ycc_args, first), F(clipgo_ycc_args, rows),
        F(clipgo_ycc_args, flags), F(clipgo_ycc_args, y_stride), F(clipgo_ycc_args, chroma_stride),
        F(clipgo_ycc_args, cb_offset), F(clipgo_ycc_args, cr_offset),
        S(clipgo_ceilings), F(clipgo_ceilings, size), F(clipgo_ceilings, threads), F(clipgo_ceilings, f32),
        F(clipgo_ceilings, bf16), F(clipgo_ceilings, int8), F(clipgo_ceilings, read),
        F(clipgo_ceilings, handover),
#undef S
#undef F
        /* clang-format on */
    };
    const uint64_t total = sizeof layout / sizeof layout[0];
    if (out != NULL) memcpy(out, layout, (n < total ? n : total) * sizeof *out);
    return (int32_t)total;
}

int32_t clipgo_isas(char *text, uint64_t n) {
    if (text == NULL || n == 0) return CLIPGO_ERR_ARGUMENT;
    uint64_t at = 0;
    const clipgo_kernels *k;
    text[0] = '\0';
    for (uint32_t i = 0; (k = dispatch_nth(i)) != NULL; i++) {
        uint64_t need = strlen(k->isa) + (at > 0);
        if (need >= n - at) return CLIPGO_ERR_ARGUMENT;
        if (at > 0) text[at++] = ',';
        memcpy(text + at, k->isa, strlen(k->isa) + 1);
        at += strlen(k->isa);
    }
    return CLIPGO_OK;
}

static int32_t null_argument(clipgo_error *err, const char *name) {
    return fail(err, CLIPGO_ERR_ARGUMENT, 0, "%s is NULL", name);
}

static int32_t wrong_size(clipgo_error *err, const char *name, uint32_t got, size_t want) {
    return fail(err, CLIPGO_ERR_ARGUMENT, got,
                "%s.size is %u, expected %zu: caller and library are of different versions", name, got, want);
}

static int32_t wrong_flags(clipgo_error *err, const char *name, uint64_t flags) {
    return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)flags, "%s.flags %llu are unknown", name, (unsigned long long)flags);
}

#define CHECK_POINTER(p) \
    if ((p) == NULL) return null_argument(err, #p)
#define CHECK_STRUCT(p) \
    CHECK_POINTER(p);   \
    if ((p)->size != sizeof *(p)) return wrong_size(err, #p, (p)->size, sizeof *(p))
#define CHECK_FLAGS(p, known) \
    if ((p)->flags & ~(known)) return wrong_flags(err, #p, (p)->flags)

int32_t clipgo_device_create(const clipgo_device_options *options, clipgo_device **device, clipgo_error *err) {
    CHECK_STRUCT(options);
    CHECK_POINTER(device);
    CHECK_FLAGS(options, 0u);
    *device = NULL;
    if (options->threads > POOL_MAX_THREADS)
        return fail(err, CLIPGO_ERR_ARGUMENT, options->threads, "options.threads is %u, expected at most %u",
                    options->threads, POOL_MAX_THREADS);
    if (options->spin_us > 1000000u)
        return fail(err, CLIPGO_ERR_ARGUMENT, options->spin_us, "options.spin_us is %u, expected at most 1000000",
                    options->spin_us);
    if (memchr(options->isa, '\0', sizeof options->isa) == NULL)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "options.isa has no end");
    const clipgo_kernels *kernels = dispatch_find(options->isa);
    if (kernels == NULL) {
        char isas[128];
        clipgo_isas(isas, sizeof isas);
        return fail(err, CLIPGO_ERR_UNSUPPORTED, 0, "instruction set \"%s\" isn't available here, expected one of %s",
                    options->isa, isas);
    }
    uint32_t threads = options->threads != 0 ? options->threads : cpu_count();
    if (threads > POOL_MAX_THREADS) threads = POOL_MAX_THREADS;
    clipgo_device *d = calloc(1, sizeof *d);
    if (d == NULL) return fail(err, CLIPGO_ERR_MEMORY, (int64_t)sizeof *d, "no memory for a device");
    int error;
    d->kernels = kernels;
    d->direct = dispatch_direct();
    /* Panels pass through the rest. Virtual machines tell odd sizes. */
    uint64_t l2 = cpu_l2_bytes();
    d->cached_bytes = l2 <= (512u << 10) ? 384u << 10 : l2 > (2u << 20) ? 1280u << 10 : l2 / 8 * 5;
    d->pool = pool_create(threads, options->spin_us, &error);
    if (d->pool == NULL) {
        free(d);
        if (error == ENOMEM) return fail(err, CLIPGO_ERR_MEMORY, 0, "no memory for %u threads", threads);
        return fail(err, CLIPGO_ERR_SYSTEM, error, "can't start %u threads: error %d", threads, error);
    }
    atomic_init(&d->references, 1);
    *device = d;
    return CLIPGO_OK;
}

int32_t clipgo_device_describe(clipgo_device *device, clipgo_device_info *info, clipgo_error *err) {
    CHECK_POINTER(device);
    CHECK_STRUCT(info);
    info->threads = pool_threads(device->pool);
    snprintf(info->isa, sizeof info->isa, "%s", device->kernels->isa);
    cpu_name(info->cpu, sizeof info->cpu);
    return CLIPGO_OK;
}

int32_t clipgo_device_ceilings(clipgo_device *device, uint64_t read_bytes, clipgo_ceilings *ceilings,
                               clipgo_error *err) {
    CHECK_POINTER(device);
    CHECK_STRUCT(ceilings);
    if (read_bytes > PTRDIFF_MAX)
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)read_bytes, "read_bytes is larger than memory");
    return ceilings_measure(device, read_bytes, ceilings, err);
}

void clipgo_device_free(clipgo_device *device) {
    if (device != NULL) device_release(device);
}

int32_t clipgo_weights_create(clipgo_device *device, const void *data, uint64_t bytes, const clipgo_tensor *tensors,
                              uint64_t n_tensors, uint64_t flags, clipgo_weights **weights, clipgo_error *err) {
    CHECK_POINTER(device);
    CHECK_POINTER(weights);
    *weights = NULL;
    if (n_tensors > 0) {
        CHECK_POINTER(data);
        CHECK_POINTER(tensors);
    }
    if (flags & ~(uint64_t)CLIPGO_WEIGHTS_DISCARD_PAGES) return wrong_flags(err, "weights", flags);
    if (n_tensors > WEIGHTS_MAX_TENSORS)
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)n_tensors, "%llu tensors, expected at most %d",
                    (unsigned long long)n_tensors, WEIGHTS_MAX_TENSORS);
    if (bytes > PTRDIFF_MAX) return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)bytes, "data is larger than memory");
    return weights_create(device, data, bytes, tensors, n_tensors, flags, weights, err);
}

void clipgo_weights_free(clipgo_weights *weights) {
    if (weights != NULL) weights_release(weights);
}

static int32_t create_program(clipgo_weights *weights, const clipgo_program_desc *desc, const clipgo_value *values,
                              const clipgo_op *ops, panel_source *source, clipgo_program **program, clipgo_error *err) {
    CHECK_POINTER(weights);
    CHECK_STRUCT(desc);
    CHECK_POINTER(values);
    CHECK_POINTER(ops);
    CHECK_POINTER(program);
    CHECK_FLAGS(desc, (uint64_t)CLIPGO_PROGRAM_PLAN);
    *program = NULL;
    if (desc->activations > CLIPGO_ACTIVATIONS_BF16)
        return fail(err, CLIPGO_ERR_ARGUMENT, desc->activations, "desc.activations is %u, expected 0 to 3",
                    desc->activations);
    source->plan = (desc->flags & CLIPGO_PROGRAM_PLAN) != 0;
    if (source->plan && source->restored != NULL)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "panels to restore for a program that is only planned");
    return program_create(weights, desc, values, ops, source, program, err);
}

int32_t clipgo_program_create(clipgo_weights *weights, const clipgo_program_desc *desc, const clipgo_value *values,
                              const clipgo_op *ops, clipgo_program **program, clipgo_error *err) {
    panel_source to_pack = {0};
    return create_program(weights, desc, values, ops, &to_pack, program, err);
}

int32_t clipgo_program_restore(clipgo_weights *weights, const clipgo_program_desc *desc, const clipgo_value *values,
                               const clipgo_op *ops, const void *panels, uint64_t panel_bytes, clipgo_program **program,
                               clipgo_error *err) {
    CHECK_POINTER(program);
    *program = NULL;
    CHECK_POINTER(panels);
    if ((uintptr_t)panels % ALIGNMENT != 0)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "panels aren't aligned to %u bytes", ALIGNMENT);
    panel_source restored = {.restored = panels, .restored_bytes = panel_bytes};
    return create_program(weights, desc, values, ops, &restored, program, err);
}

int32_t clipgo_program_panels(clipgo_program *program, const void **panels, uint64_t *bytes, clipgo_error *err) {
    CHECK_POINTER(program);
    CHECK_POINTER(panels);
    CHECK_POINTER(bytes);
    *panels = program->panels.data;
    *bytes = program->panels.data != NULL ? program->panels.bytes : 0;
    return CLIPGO_OK;
}

int32_t clipgo_program_memory(clipgo_program *program, clipgo_memory *memory, clipgo_error *err) {
    CHECK_POINTER(program);
    CHECK_STRUCT(memory);
    memory->reserved = 0;
    memory->packed_bytes = program->panels.bytes + program->vector_bytes;
    memory->arena_bytes = 0;
    return CLIPGO_OK;
}

void clipgo_program_free(clipgo_program *program) {
    if (program != NULL) program_release(program);
}

int32_t clipgo_context_create(clipgo_program *program, const clipgo_context_options *options, clipgo_context **context,
                              clipgo_error *err) {
    CHECK_POINTER(program);
    CHECK_STRUCT(options);
    CHECK_POINTER(context);
    CHECK_FLAGS(options, (uint32_t)CLIPGO_CONTEXT_PROFILE);
    *context = NULL;
    if (options->max_batch == 0 || options->max_rows == 0)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "options.max_batch is %u and max_rows %u, expected at least 1",
                    options->max_batch, options->max_rows);
    return context_create(program, options->max_batch, options->max_rows,
                          (options->flags & CLIPGO_CONTEXT_PROFILE) != 0, context, err);
}

int32_t clipgo_context_memory(clipgo_context *context, clipgo_memory *memory, clipgo_error *err) {
    CHECK_POINTER(context);
    CHECK_STRUCT(memory);
    memory->reserved = 0;
    memory->packed_bytes = 0;
    memory->arena_bytes = context->arena_bytes;
    return CLIPGO_OK;
}

void clipgo_context_free(clipgo_context *context) {
    if (context != NULL) context_free(context);
}

/* Whether [a, a + n) and [b, b + m) have a byte in common. */
static int overlap(const void *a, uint64_t n, const void *b, uint64_t m) {
    uintptr_t x = (uintptr_t)a, y = (uintptr_t)b;
    return x <= y ? y - x < n : x - y < m;
}

int32_t clipgo_run(clipgo_context *context, const clipgo_run_args *args, const void *in, uint64_t in_bytes, void *out,
                   uint64_t out_bytes, clipgo_error *err) {
    CHECK_POINTER(context);
    CHECK_STRUCT(args);
    CHECK_FLAGS(args, 0u);
    if (in_bytes > 0) CHECK_POINTER(in);
    CHECK_POINTER(out);
    if (in_bytes > 0 && out_bytes > 0 && overlap(in, in_bytes, out, out_bytes))
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "in and out overlap");
    if (args->batch == 0 || args->batch > context->max_batch || args->rows == 0 || args->rows > context->max_rows)
        return fail(err, CLIPGO_ERR_INPUT, args->batch,
                    "a run of %u items of %u rows: the context was made for 1 to %u of 1 to %u", args->batch,
                    args->rows, context->max_batch, context->max_rows);
    if (context->program->plan) return fail(err, CLIPGO_ERR_ARGUMENT, 0, "the program was only planned, and can't run");
    if (atomic_exchange(&context->busy, 1))
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "the context is in use: one caller at a time");
    int32_t status = context_run(context, args->batch, args->rows, in, in_bytes, out, out_bytes, err);
    atomic_store(&context->busy, 0);
    return status;
}

int32_t clipgo_cancel(clipgo_context *context, int32_t on) {
    if (context == NULL) return CLIPGO_ERR_ARGUMENT;
    atomic_store(&context->cancel, on != 0);
    pool_nudge(context->program->weights->device->pool);
    return CLIPGO_OK;
}

int32_t clipgo_resample(clipgo_device *device, const clipgo_resample_args *args, const void *src, uint64_t src_bytes,
                        const int32_t *kernel, void *dst, uint64_t dst_bytes, clipgo_error *err) {
    CHECK_POINTER(device);
    CHECK_STRUCT(args);
    CHECK_POINTER(src);
    CHECK_POINTER(kernel);
    CHECK_POINTER(dst);
    if (overlap(src, src_bytes, dst, dst_bytes)) return fail(err, CLIPGO_ERR_ARGUMENT, 0, "src and dst overlap");
    return resample(device->kernels, args, src, src_bytes, kernel, dst, dst_bytes, err);
}

int32_t clipgo_idct(clipgo_device *device, const clipgo_idct_args *args, const int16_t *coeffs, const uint8_t *last,
                    const int32_t *quant, void *dst, uint64_t dst_bytes, clipgo_error *err) {
    CHECK_POINTER(device);
    CHECK_STRUCT(args);
    CHECK_POINTER(coeffs);
    CHECK_POINTER(last);
    CHECK_POINTER(quant);
    CHECK_POINTER(dst);
    return idct(device->kernels, args, coeffs, last, quant, dst, dst_bytes, err);
}

int32_t clipgo_ycc_rows(clipgo_device *device, const clipgo_ycc_args *args, const void *planes, uint64_t planes_bytes,
                        void *dst, uint64_t dst_bytes, clipgo_error *err) {
    CHECK_POINTER(device);
    CHECK_STRUCT(args);
    CHECK_FLAGS(args, 0u);
    CHECK_POINTER(planes);
    CHECK_POINTER(dst);
    if (overlap(planes, planes_bytes, dst, dst_bytes))
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "planes and dst overlap");
    return ycc_rows(device->kernels, args, planes, planes_bytes, dst, dst_bytes, err);
}

int32_t clipgo_profile(clipgo_context *context, uint64_t *nanoseconds, uint64_t n, clipgo_error *err) {
    CHECK_POINTER(context);
    CHECK_POINTER(nanoseconds);
    if (context->nanoseconds == NULL)
        return fail(err, CLIPGO_ERR_ARGUMENT, 0, "the context was made without CLIPGO_CONTEXT_PROFILE");
    if (n < context->program->n_ops)
        return fail(err, CLIPGO_ERR_ARGUMENT, (int64_t)n, "room for %llu ops, the program has %u",
                    (unsigned long long)n, context->program->n_ops);
    memcpy(nanoseconds, context->nanoseconds, context->program->n_ops * sizeof *nanoseconds);
    return CLIPGO_OK;
}
