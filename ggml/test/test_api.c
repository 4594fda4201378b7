/* The interface against its callers: missing arguments, wrong sizes and versions, every order of freeing, wrong inputs
 * of a run, cancelling, sharing of packed weights, and memory that runs out at every single allocation. */
#define _DEFAULT_SOURCE /* fileno, nanosleep */
#include "exec.h"
#include "model.h"
#include "test.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Allocations of the engine, counted; the one numbered fail_at (from 1) fails. */
static atomic_int allocations, fail_at;

#if !defined(CLIPGO_TEST_WRAP)
#define CLIPGO_TEST_WRAP 0
#endif

#if CLIPGO_TEST_WRAP
static int refuse(void) { return atomic_fetch_add(&allocations, 1) + 1 == atomic_load(&fail_at); }

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t n);
void *__real_mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t n);
void *__wrap_mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset);

void *__wrap_malloc(size_t n) { return refuse() ? NULL : __real_malloc(n); }
void *__wrap_calloc(size_t n, size_t size) { return refuse() ? NULL : __real_calloc(n, size); }
void *__wrap_aligned_alloc(size_t alignment, size_t n) { return refuse() ? NULL : __real_aligned_alloc(alignment, n); }
void *__wrap_mmap(void *p, size_t n, int protection, int flags, int fd, off_t offset) {
    return refuse() ? MAP_FAILED : __real_mmap(p, n, protection, flags, fd, offset);
}
#endif

enum { BATCH = 2, ROWS = 5, WIDTH = 64, VOCABULARY = 11 };

/* ids -> embedding -> norm -> product with a residual -> row count: two inputs, one output, everything in use. */
static void build(model *m) {
    model_init(m, 1);
    int32_t ids = model_value(m, CLIPGO_I32, CLIPGO_INPUT, 1, 0, 1),
            row = model_value(m, CLIPGO_I32, CLIPGO_INPUT, 0, 1, 1);
    int32_t x = model_value(m, CLIPGO_F32, CLIPGO_TEMPORARY, 1, 0, WIDTH);
    int32_t normed = model_value(m, CLIPGO_F32, CLIPGO_TEMPORARY, 1, 0, WIDTH);
    int32_t y = model_value(m, CLIPGO_F32, CLIPGO_TEMPORARY, 1, 0, WIDTH);
    clipgo_op *op = model_op(m, CLIPGO_OP_EMBED, x);
    op->src[0] = ids, op->f[0] = 1;
    op->w[0] = model_tensor(m, 1, VOCABULARY, WIDTH, 1), op->w[1] = model_tensor(m, 0, ROWS + 1, WIDTH, 1);
    op = model_op(m, CLIPGO_OP_NORM, normed);
    op->src[0] = x, op->f[0] = 1e-5f, op->w[0] = model_tensor(m, 0, 1, WIDTH, 1);
    op = model_op(m, CLIPGO_OP_LINEAR, y);
    op->src[0] = normed, op->src[1] = x, op->i[1] = 1, op->w[0] = model_tensor(m, 8, WIDTH, WIDTH, 1);
    op = model_op(m, CLIPGO_OP_SELECT, model_value(m, CLIPGO_F32, CLIPGO_OUTPUT, 0, 1, WIDTH));
    op->src[0] = y, op->src[1] = row, op->i[0] = 2;
}

typedef struct session {
    clipgo_device *device;
    clipgo_weights *weights;
    clipgo_program *program;
    clipgo_context *context;
    clipgo_error err;
} session;

/* The buffers of a run: ids [BATCH, ROWS], then a row number for each item from byte 64 on. */
static int32_t in[16 + BATCH];
static float out[BATCH * WIDTH];

static clipgo_device_options device_options = {.size = sizeof device_options, .threads = 2};
static clipgo_program_desc desc = {.size = sizeof desc, .activations = CLIPGO_ACTIVATIONS_INT8};
static clipgo_context_options context_options = {
    .size = sizeof context_options, .max_batch = BATCH, .max_rows = ROWS + 3, .flags = CLIPGO_CONTEXT_PROFILE};

static int32_t open_all(session *s, const model *m) {
    *s = (session){.err.size = sizeof s->err};
    desc.n_values = m->n_values, desc.n_ops = m->n_ops;
    int32_t status = clipgo_device_create(&device_options, &s->device, &s->err);
    if (status == CLIPGO_OK)
        status = clipgo_weights_create(s->device, m->data, m->bytes, m->tensors, m->n_tensors, 0, &s->weights, &s->err);
    if (status == CLIPGO_OK) status = clipgo_program_create(s->weights, &desc, m->values, m->ops, &s->program, &s->err);
    if (status == CLIPGO_OK) status = clipgo_context_create(s->program, &context_options, &s->context, &s->err);
    return status;
}

static void close_all(session *s) {
    clipgo_context_free(s->context);
    clipgo_program_free(s->program);
    clipgo_weights_free(s->weights);
    clipgo_device_free(s->device);
}

static int32_t run_with(session *s, uint32_t batch, uint32_t rows) {
    clipgo_run_args args = {.size = sizeof args, .batch = batch, .rows = rows};
    return clipgo_run(s->context, &args, in, sizeof in, out, sizeof out, &s->err);
}

static void test_missing(void) {
    model m;
    session s;
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
    clipgo_error *err = &s.err;
    clipgo_device *device = NULL;
    clipgo_weights *weights = NULL;
    clipgo_program *program = NULL;
    clipgo_context *context = NULL;
    clipgo_run_args args = {.size = sizeof args, .batch = 1, .rows = 1};
    clipgo_device_info info = {.size = sizeof info};
    clipgo_memory memory = {.size = sizeof memory};
    const void *place;
    uint64_t ns[8], place_bytes;
#define WRONG(call) CHECK((call) == CLIPGO_ERR_ARGUMENT && err->message[0] != '\0', "%s", err->message)
    WRONG(clipgo_device_create(NULL, &device, err));
    WRONG(clipgo_device_create(&device_options, NULL, err));
    WRONG(clipgo_device_describe(NULL, &info, err));
    WRONG(clipgo_device_describe(s.device, NULL, err));
    clipgo_ceilings ceilings = {.size = sizeof ceilings};
    WRONG(clipgo_device_ceilings(NULL, 0, &ceilings, err));
    WRONG(clipgo_device_ceilings(s.device, 0, NULL, err));
    WRONG(clipgo_device_ceilings(s.device, UINT64_MAX, &ceilings, err));
    WRONG(clipgo_weights_create(NULL, m.data, m.bytes, m.tensors, 1, 0, &weights, err));
    WRONG(clipgo_weights_create(s.device, NULL, m.bytes, m.tensors, 1, 0, &weights, err));
    WRONG(clipgo_weights_create(s.device, m.data, m.bytes, NULL, 1, 0, &weights, err));
    WRONG(clipgo_weights_create(s.device, m.data, m.bytes, m.tensors, 1, 0, NULL, err));
    WRONG(clipgo_weights_create(s.device, m.data, m.bytes, m.tensors, 1, 2, &weights, err));
    WRONG(clipgo_weights_create(s.device, m.data, m.bytes, m.tensors, UINT64_MAX, 0, &weights, err));
    WRONG(clipgo_weights_create(s.device, m.data, UINT64_MAX, m.tensors, 1, 0, &weights, err));
    WRONG(clipgo_program_create(NULL, &desc, m.values, m.ops, &program, err));
    WRONG(clipgo_program_create(s.weights, NULL, m.values, m.ops, &program, err));
    WRONG(clipgo_program_create(s.weights, &desc, NULL, m.ops, &program, err));
    WRONG(clipgo_program_create(s.weights, &desc, m.values, NULL, &program, err));
    WRONG(clipgo_program_create(s.weights, &desc, m.values, m.ops, NULL, err));
    static _Alignas(64) uint8_t panels[64];
#define RESTORE(weights, values, ops, panels, bytes, program) \
    WRONG(clipgo_program_restore(weights, &desc, values, ops, panels, bytes, program, err))
    RESTORE(NULL, m.values, m.ops, panels, sizeof panels, &program);
    RESTORE(s.weights, NULL, m.ops, panels, sizeof panels, &program);
    RESTORE(s.weights, m.values, NULL, panels, sizeof panels, &program);
    RESTORE(s.weights, m.values, m.ops, NULL, sizeof panels, &program);
    RESTORE(s.weights, m.values, m.ops, panels + 32, 32, &program);
    RESTORE(s.weights, m.values, m.ops, panels, sizeof panels, NULL);
    RESTORE(s.weights, m.values, m.ops, panels, sizeof panels, &program); /* all panels are there already */
    WRONG(clipgo_program_panels(NULL, &place, &place_bytes, err));
    WRONG(clipgo_program_panels(s.program, NULL, &place_bytes, err));
    WRONG(clipgo_program_panels(s.program, &place, NULL, err));
    WRONG(clipgo_program_memory(NULL, &memory, err));
    WRONG(clipgo_program_memory(s.program, NULL, err));
    WRONG(clipgo_context_create(NULL, &context_options, &context, err));
    WRONG(clipgo_context_create(s.program, NULL, &context, err));
    WRONG(clipgo_context_create(s.program, &context_options, NULL, err));
    WRONG(clipgo_context_memory(NULL, &memory, err));
    WRONG(clipgo_context_memory(s.context, NULL, err));
    WRONG(clipgo_run(NULL, &args, in, sizeof in, out, sizeof out, err));
    WRONG(clipgo_run(s.context, NULL, in, sizeof in, out, sizeof out, err));
    WRONG(clipgo_run(s.context, &args, NULL, sizeof in, out, sizeof out, err));
    WRONG(clipgo_run(s.context, &args, in, sizeof in, NULL, sizeof out, err));
    WRONG(clipgo_run(s.context, &args, in, sizeof in, in, sizeof in, err));
    WRONG(clipgo_run(s.context, &args, (char *)in + 1, sizeof in - 1, out, sizeof out, err));
    WRONG(clipgo_run(s.context, &args, in, sizeof in, (char *)out + 2, sizeof out - 2, err));
    WRONG(clipgo_profile(NULL, ns, 8, err));
    WRONG(clipgo_profile(s.context, NULL, 8, err));
    WRONG(clipgo_profile(s.context, ns, m.n_ops - 1, err));
    CHECK(clipgo_cancel(NULL, 1) == CLIPGO_ERR_ARGUMENT, "no context to cancel");
    CHECK(clipgo_isas(NULL, 9) == CLIPGO_ERR_ARGUMENT, "no room for names");

    /* structs of another version, and options that don't exist */
#define CHANGED(type, original, change, call) \
    do {                                      \
        type o = original;                    \
        change;                               \
        WRONG(call);                          \
    } while (0)
#define DEVICE(change) CHANGED(clipgo_device_options, device_options, change, clipgo_device_create(&o, &device, err))
    DEVICE(o.size--);
    DEVICE(o.size = 0);
    DEVICE(o.flags = 1);
    DEVICE(o.threads = 257);
    DEVICE(o.spin_us = UINT32_MAX);
    DEVICE(memset(o.isa, 'x', sizeof o.isa));
    CHANGED(clipgo_device_info, info, o.size++, clipgo_device_describe(s.device, &o, err));
    CHANGED(clipgo_ceilings, ceilings, o.size--, clipgo_device_ceilings(s.device, 0, &o, err));
#define PROGRAM(change) \
    CHANGED(clipgo_program_desc, desc, change, clipgo_program_create(s.weights, &o, m.values, m.ops, &program, err))
    PROGRAM(o.size++);
    PROGRAM(o.flags = 2);
    PROGRAM(o.activations = 4);
    CHANGED(clipgo_memory, memory, o.size--, clipgo_program_memory(s.program, &o, err));
    CHANGED(clipgo_memory, memory, o.size--, clipgo_context_memory(s.context, &o, err));
#define CONTEXT(change) \
    CHANGED(clipgo_context_options, context_options, change, clipgo_context_create(s.program, &o, &context, err))
    CONTEXT(o.size++);
    CONTEXT(o.flags = 2);
    CONTEXT(o.max_batch = 0);
    CONTEXT(o.max_rows = 0);
    CHANGED(clipgo_run_args, args, o.size++, clipgo_run(s.context, &o, in, sizeof in, out, sizeof out, err));
    CHANGED(clipgo_run_args, args, o.flags = 1, clipgo_run(s.context, &o, in, sizeof in, out, sizeof out, err));

    clipgo_device_options unknown = device_options;
    strcpy(unknown.isa, "sparc");
    CHECK(clipgo_device_create(&unknown, &device, err) == CLIPGO_ERR_UNSUPPORTED && strstr(err->message, "scalar"),
          "%s", err->message);
    CHECK(clipgo_device_create(NULL, NULL, NULL) == CLIPGO_ERR_ARGUMENT, "an error without a place to tell it");
    clipgo_error small = {.size = 8, .code = 77};
    CHECK(clipgo_device_create(NULL, NULL, &small) == CLIPGO_ERR_ARGUMENT && small.code == 77,
          "wrote beyond the struct");
    context_options.flags = 0;
    CHECK(clipgo_context_create(s.program, &context_options, &context, err) == CLIPGO_OK, "%s", err->message);
    context_options.flags = CLIPGO_CONTEXT_PROFILE;
    WRONG(clipgo_profile(context, ns, 8, err));
    clipgo_context_free(context);
    close_all(&s);
    close_all(&(session){0});
    model_free(&m);
}

static void test_describe(void) {
    uint32_t layout[200], again[200];
    int32_t n = clipgo_layout(NULL, 0);
    CHECK(n > 40 && n <= 200 && clipgo_layout(layout, 200) == n, "%d numbers", n);
    CHECK(layout[0] == sizeof(clipgo_error) && layout[5] == sizeof(clipgo_device_options), "wrong sizes");
    memset(again, 0xff, sizeof again);
    clipgo_layout(again, 3);
    CHECK(again[2] == layout[2] && again[3] == UINT32_MAX, "wrote more than was asked for");
    char isas[128];
    CHECK(clipgo_isas(isas, sizeof isas) == CLIPGO_OK && strstr(isas, "scalar") != NULL, "%s", isas);
    CHECK(clipgo_isas(isas, 3) == CLIPGO_ERR_ARGUMENT, "no room");
    CHECK(clipgo_abi_version() == CLIPGO_ABI_VERSION, "version");
    clipgo_error err = {.size = sizeof err};
    clipgo_device *device;
    clipgo_device_options options = {.size = sizeof options};
    clipgo_device_info info = {.size = sizeof info};
    CHECK(clipgo_device_create(&options, &device, &err) == CLIPGO_OK, "%s", err.message);
    CHECK(clipgo_device_describe(device, &info, &err) == CLIPGO_OK && info.threads >= 1 && info.isa[0] && info.cpu[0],
          "%u threads, %s, %s", info.threads, info.isa, info.cpu);
    clipgo_ceilings c = {.size = sizeof c, .f32 = -1, .bf16 = -1, .int8 = -1, .read = -1};
    CHECK(clipgo_device_ceilings(device, 0, &c, &err) == CLIPGO_OK && c.threads == info.threads && c.read == 0,
          "%u threads, %g bytes/s, %s", c.threads, c.read, err.message);
    int wide = strcmp(info.isa, "scalar") != 0;
    CHECK((c.handover > 0) == (info.threads > 1), "%g s", c.handover);
    CHECK((c.f32 > 0) == wide && (c.int8 > 0) == wide && c.bf16 >= 0, "%g %g %g operations/s", c.f32, c.bf16, c.int8);
    CHECK(clipgo_device_ceilings(device, 1, &c, &err) == CLIPGO_OK, "fewer bytes than threads: %s", err.message);
    clipgo_device_free(device);
}

/* All orders in which four handles can be freed, with a run as long as there is a context. */
static void test_orders(void) {
    model m;
    build(&m);
    for (int order = 0; order < 24; order++) {
        session s;
        int left[] = {0, 1, 2, 3}, code = order;
        CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
        for (int n = 4, divisor = 6; n > 0; divisor = n > 1 ? divisor / (n - 1) : 1, n--) {
            int pick = code / divisor, handle = left[pick];
            code %= divisor;
            for (int i = pick; i < n - 1; i++) left[i] = left[i + 1];
            if (handle == 0) clipgo_device_free(s.device);
            if (handle == 1) clipgo_weights_free(s.weights);
            if (handle == 2) clipgo_program_free(s.program);
            if (handle == 3) clipgo_context_free(s.context), s.context = NULL;
            if (s.context != NULL) CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
        }
    }
    model_free(&m);
}

static void test_inputs(void) {
    model m;
    session s;
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    CHECK(run_with(&s, 0, ROWS) == CLIPGO_ERR_INPUT, "no items");
    CHECK(run_with(&s, BATCH + 1, ROWS) == CLIPGO_ERR_INPUT, "too many items");
    CHECK(run_with(&s, UINT32_MAX, UINT32_MAX) == CLIPGO_ERR_INPUT, "too many items");
    CHECK(run_with(&s, 1, 0) == CLIPGO_ERR_INPUT, "no rows");
    CHECK(run_with(&s, 1, ROWS + 4) == CLIPGO_ERR_INPUT, "more rows than the context was made for");
    CHECK(run_with(&s, 1, ROWS + 2) == CLIPGO_ERR_INPUT, "more rows than positions");
    static const int32_t bad[] = {-1, VOCABULARY, INT32_MAX, INT32_MIN};
    for (int b = 0; b < 4; b++) {
        in[7] = bad[b];
        CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_ERR_INPUT && s.err.detail == bad[b], "%d: %s", bad[b], s.err.message);
        CHECK(run_with(&s, 1, ROWS) == CLIPGO_OK, "the bad id is in the second item: %s", s.err.message);
        in[7] = 0;
        in[17] = bad[b] == VOCABULARY ? ROWS : bad[b];
        CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_ERR_INPUT, "%s", s.err.message);
        in[17] = 0;
    }
    clipgo_run_args args = {.size = sizeof args, .batch = BATCH, .rows = ROWS};
    for (uint64_t n = 0; n < sizeof in; n += 4)
        CHECK(clipgo_run(s.context, &args, in, n, out, sizeof out, &s.err) == CLIPGO_ERR_INPUT, "%llu bytes",
              (unsigned long long)n);
    for (uint64_t n = 0; n < sizeof out; n += 4)
        CHECK(clipgo_run(s.context, &args, in, sizeof in, out, n, &s.err) == CLIPGO_ERR_INPUT, "%llu bytes",
              (unsigned long long)n);
    /* sizes whose product has no place */
    static const uint32_t huge[] = {1u << 31, UINT32_MAX, 1u << 24};
    for (int b = 0; b < 9; b++) {
        clipgo_context *context;
        clipgo_context_options options = {.size = sizeof options, .max_batch = huge[b / 3], .max_rows = huge[b % 3]};
        CHECK(clipgo_context_create(s.program, &options, &context, &s.err) == CLIPGO_ERR_INPUT && context == NULL, "%s",
              s.err.message);
    }
    close_all(&s);
    model_free(&m);
}

static void test_profile_and_cancel(void) {
    model m;
    session s;
    uint64_t ns[8];
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
    for (int i = 0; i < 3; i++) CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    CHECK(clipgo_profile(s.context, ns, 8, &s.err) == CLIPGO_OK, "%s", s.err.message);
    for (uint32_t i = 0; i < m.n_ops; i++) CHECK(ns[i] > 0, "op %u took no time", i);
    clipgo_cancel(s.context, 1);
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_ERR_CANCELLED, "ran");
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_ERR_CANCELLED, "ran");
    clipgo_cancel(s.context, 0);
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    close_all(&s);
    model_free(&m);
}

/* A run of many seconds, by a chain of large products. */
static void *run_long(void *arg) {
    static float x[512 * 512], y[512 * 512];
    session *s = arg;
    clipgo_run_args args = {.size = sizeof args, .batch = 1, .rows = 512};
    int32_t status = clipgo_run(s->context, &args, x, sizeof x, y, sizeof y, &s->err);
    return (void *)(intptr_t)status;
}

static void test_cancel_in_flight(void) {
    model m;
    session s;
    pthread_t thread;
    void *status;
    model_init(&m, 1);
    int32_t x = model_value(&m, CLIPGO_F32, CLIPGO_INPUT, 1, 0, 512), w = model_tensor(&m, 0, 512, 512, 1);
    for (int i = 0; i < 60; i++) {
        int32_t y = model_value(&m, CLIPGO_F32, i == 59 ? CLIPGO_OUTPUT : CLIPGO_TEMPORARY, 1, 0, 512);
        clipgo_op *op = model_op(&m, CLIPGO_OP_LINEAR, y);
        op->src[0] = x, op->i[1] = 1, op->w[0] = w;
        x = y;
    }
    context_options.max_rows = 512;
    strcpy(device_options.isa, "scalar");
    CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
    device_options.isa[0] = '\0';
    context_options.max_rows = ROWS + 3;
    pthread_create(&thread, NULL, run_long, &s);
    while (!atomic_load(&s.context->busy)) nanosleep(&(struct timespec){0, 1000000}, NULL);
    clipgo_run_args args = {.size = sizeof args, .batch = 1, .rows = 1};
    static float one[512], other[512];
    clipgo_error err = {.size = sizeof err};
    CHECK(clipgo_run(s.context, &args, one, sizeof one, other, sizeof other, &err) == CLIPGO_ERR_ARGUMENT,
          "two callers at a time: %s", err.message);
    clipgo_cancel(s.context, 1);
    pthread_join(thread, &status);
    CHECK((intptr_t)status == CLIPGO_ERR_CANCELLED, "status %d", (int)(intptr_t)status);
    close_all(&s);
    model_free(&m);
}

/* Two programs over the same weights share their panels; other activations make others. */
static void test_sharing(void) {
    model m;
    session s;
    clipgo_program *second, *third;
    clipgo_memory memory = {.size = sizeof memory};
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
    clipgo_program_memory(s.program, &memory, &s.err);
    uint64_t first = memory.packed_bytes;
    CHECK(clipgo_program_create(s.weights, &desc, m.values, m.ops, &second, &s.err) == CLIPGO_OK, "%s", s.err.message);
    clipgo_program_memory(second, &memory, &s.err);
    CHECK(memory.packed_bytes + WIDTH * WIDTH <= first, "%llu bytes, then %llu", (unsigned long long)first,
          (unsigned long long)memory.packed_bytes);
    desc.activations = CLIPGO_ACTIVATIONS_F32;
    CHECK(clipgo_program_create(s.weights, &desc, m.values, m.ops, &third, &s.err) == CLIPGO_OK, "%s", s.err.message);
    desc.activations = CLIPGO_ACTIVATIONS_INT8;
    clipgo_program_memory(third, &memory, &s.err);
    CHECK(memory.packed_bytes >= WIDTH * WIDTH, "%llu bytes", (unsigned long long)memory.packed_bytes);
    clipgo_program_free(s.program); /* the second's panels are the first's */
    clipgo_context_free(s.context);
    CHECK(clipgo_context_create(second, &context_options, &s.context, &s.err) == CLIPGO_OK, "%s", s.err.message);
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    s.program = second;
    clipgo_program_free(third);
    close_all(&s);
    model_free(&m);
}

/* Panels of one process serve another that has the same weights, and of the right size only. */
static void test_restore(void) {
    model m;
    session s;
    const void *panels;
    uint64_t bytes;
    float want[BATCH * WIDTH];
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK && run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    memcpy(want, out, sizeof want);
    CHECK(clipgo_program_panels(s.program, &panels, &bytes, &s.err) == CLIPGO_OK && bytes >= WIDTH * WIDTH, "%s",
          s.err.message);
    void *kept = mmap(NULL, bytes + 64, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(kept, panels, bytes);
    mprotect(kept, bytes + 64, PROT_READ);
    clipgo_context_free(s.context);
    clipgo_program_free(s.program);
    s.context = NULL, s.program = NULL;
    for (int more = -64; more <= 64; more += 128)
        CHECK(clipgo_program_restore(s.weights, &desc, m.values, m.ops, kept, bytes + (uint64_t)(int64_t)more,
                                     &s.program, &s.err) == CLIPGO_ERR_ARGUMENT &&
                  s.program == NULL && (uint64_t)s.err.detail == bytes,
              "%s", s.err.message);
    memset(out, 0, sizeof out);
    CHECK(clipgo_program_restore(s.weights, &desc, m.values, m.ops, kept, bytes, &s.program, &s.err) == CLIPGO_OK, "%s",
          s.err.message);
    CHECK(clipgo_program_panels(s.program, &panels, &bytes, &s.err) == CLIPGO_OK && panels == kept, "%s",
          s.err.message);
    CHECK(clipgo_context_create(s.program, &context_options, &s.context, &s.err) == CLIPGO_OK, "%s", s.err.message);
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK && memcmp(out, want, sizeof out) == 0, "%s", s.err.message);
    close_all(&s);
    munmap(kept, bytes + 64);
    model_free(&m);
}

/* A plan tells the memory of what it stands for, takes none, and can't run. */
static void test_plan(void) {
    model m;
    session s;
    clipgo_memory real = {.size = sizeof real}, planned = {.size = sizeof planned};
    const void *panels;
    uint64_t bytes;
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK, "%s", s.err.message);
    clipgo_program_memory(s.program, &real, &s.err);
    clipgo_memory arena = {.size = sizeof arena};
    clipgo_context_memory(s.context, &arena, &s.err);
    clipgo_context_free(s.context);
    clipgo_program_free(s.program);
    s.context = NULL, s.program = NULL;

    desc.flags = CLIPGO_PROGRAM_PLAN;
    CHECK(clipgo_program_create(s.weights, &desc, m.values, m.ops, &s.program, &s.err) == CLIPGO_OK, "%s",
          s.err.message);
    static _Alignas(64) uint8_t none[64];
    clipgo_program *restored;
    CHECK(clipgo_program_restore(s.weights, &desc, m.values, m.ops, none, sizeof none, &restored, &s.err) ==
              CLIPGO_ERR_ARGUMENT,
          "a plan was restored");
    desc.flags = 0;
    clipgo_program_memory(s.program, &planned, &s.err);
    CHECK(planned.packed_bytes == real.packed_bytes, "%llu bytes planned, %llu packed",
          (unsigned long long)planned.packed_bytes, (unsigned long long)real.packed_bytes);
    CHECK(clipgo_program_panels(s.program, &panels, &bytes, &s.err) == CLIPGO_OK && panels == NULL && bytes == 0, "%s",
          s.err.message);
    CHECK(clipgo_context_create(s.program, &context_options, &s.context, &s.err) == CLIPGO_OK, "%s", s.err.message);
    clipgo_context_memory(s.context, &planned, &s.err);
    CHECK(planned.arena_bytes == arena.arena_bytes && s.context->arena == NULL, "%llu bytes planned, %llu allocated",
          (unsigned long long)planned.arena_bytes, (unsigned long long)arena.arena_bytes);
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_ERR_ARGUMENT, "a plan ran");

    /* The same tensors, in earnest, while the plan lives. */
    clipgo_program *program;
    clipgo_context *context;
    CHECK(clipgo_program_create(s.weights, &desc, m.values, m.ops, &program, &s.err) == CLIPGO_OK, "%s", s.err.message);
    CHECK(clipgo_context_create(program, &context_options, &context, &s.err) == CLIPGO_OK, "%s", s.err.message);
    clipgo_context_free(s.context);
    clipgo_program_free(s.program);
    s.context = context, s.program = program;
    CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    close_all(&s);
    model_free(&m);
}

/* Many threads, one program, a context each. */
static void *run_often(void *arg) {
    session *s = arg;
    float mine[BATCH * WIDTH];
    clipgo_run_args args = {.size = sizeof args, .batch = BATCH, .rows = ROWS};
    intptr_t wrong = clipgo_context_create(s->program, &context_options, &s->context, &s->err) != CLIPGO_OK;
    for (int i = 0; i < 50 && !wrong; i++) {
        wrong += clipgo_run(s->context, &args, in, sizeof in, mine, sizeof mine, &s->err) != CLIPGO_OK;
        wrong += memcmp(mine, out, sizeof out) != 0;
    }
    clipgo_context_free(s->context);
    return (void *)wrong;
}

static void test_threads(void) {
    model m;
    session s, each[6];
    pthread_t threads[6];
    build(&m);
    CHECK(open_all(&s, &m) == CLIPGO_OK && run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    for (int i = 0; i < 6; i++) {
        each[i] = s;
        pthread_create(&threads[i], NULL, run_often, &each[i]);
    }
    for (int i = 0; i < 6; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        CHECK(wrong == NULL, "%d results", (int)(intptr_t)wrong);
    }
    close_all(&s);
    model_free(&m);
}

/* Pages of the file may go once they are packed, and come back when they are read. */
static void test_discard(void) {
    model m;
    session s = {.err.size = sizeof s.err};
    build(&m);
    FILE *f = tmpfile();
    CHECK(f != NULL && fwrite(m.data, 1, m.bytes, f) == m.bytes && fflush(f) == 0, "no file");
    void *data = mmap(NULL, m.bytes, PROT_READ, MAP_PRIVATE, fileno(f), 0);
    CHECK(open_all(&s, &m) == CLIPGO_OK && run_with(&s, BATCH, ROWS) == CLIPGO_OK, "%s", s.err.message);
    float want[BATCH * WIDTH];
    memcpy(want, out, sizeof want);
    close_all(&s);
    clipgo_device_create(&device_options, &s.device, &s.err);
    CHECK(clipgo_weights_create(s.device, data, m.bytes, m.tensors, m.n_tensors, CLIPGO_WEIGHTS_DISCARD_PAGES,
                                &s.weights, &s.err) == CLIPGO_OK,
          "%s", s.err.message);
    for (int twice = 0; twice < 2; twice++) {
        CHECK(clipgo_program_create(s.weights, &desc, m.values, m.ops, &s.program, &s.err) == CLIPGO_OK, "%s",
              s.err.message);
        CHECK(clipgo_context_create(s.program, &context_options, &s.context, &s.err) == CLIPGO_OK, "%s", s.err.message);
        memset(out, 0, sizeof out);
        CHECK(run_with(&s, BATCH, ROWS) == CLIPGO_OK && memcmp(out, want, sizeof out) == 0, "%s", s.err.message);
        clipgo_context_free(s.context);
        clipgo_program_free(s.program);
    }
    clipgo_weights_free(s.weights);
    clipgo_device_free(s.device);
    munmap(data, m.bytes);
    fclose(f);
    model_free(&m);
}

/* Every allocation of the road from nothing to a result fails once: an error each time, nothing lost, and the next
 * attempt works. */
static void test_out_of_memory(void) {
    if (!CLIPGO_TEST_WRAP) return;
    model m;
    session s;
    build(&m);
    int32_t status = CLIPGO_ERR_MEMORY;
    int n = 1;
    for (; status != CLIPGO_OK && n < 1000; n++) {
        atomic_store(&allocations, 0);
        atomic_store(&fail_at, n);
        status = open_all(&s, &m);
        if (status == CLIPGO_OK) status = run_with(&s, BATCH, ROWS);
        int failed = atomic_load(&allocations) >= n;
        atomic_store(&fail_at, 0);
        CHECK((status == CLIPGO_ERR_MEMORY) == failed, "allocation %d: status %d, %s", n, status, s.err.message);
        close_all(&s);
    }
    CHECK(n > 15 && status == CLIPGO_OK, "%d allocations", n);
    model_free(&m);
}

int main(void) {
    test_missing();
    test_describe();
    test_orders();
    test_inputs();
    test_profile_and_cancel();
    test_cancel_in_flight();
    test_sharing();
    test_restore();
    test_plan();
    test_threads();
    test_discard();
    test_out_of_memory();
    return test_result();
}
