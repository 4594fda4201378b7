/* ceilings.c: how fast the processor is at most, all threads of a device at once.
 *
 * A ceiling is what the cores can do undisturbed. So each thread's own processor time counts, which other programs
 * don't stretch, and of many rounds the median of the faster half. All threads begin a round together: those that share
 * a core's units, or the memory, have them together in the products too. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include "ceilings.h"

#include "error.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 40, READS = 8, HANDOVERS = 1024 };
static const uint64_t round_ns = 200000;

/* One round: every thread does its part, of the first of these that there is. */
typedef struct round {
    uint64_t (*loop)(uint64_t n);
    uint64_t n;
    const uint64_t *words; /* to be read */
    size_t words_each;
    _Alignas(64) atomic_uint line; /* to be handed over: whose turn it is, counted on */
    _Alignas(64) uint32_t threads;
    atomic_uint here;
    struct part {
        _Alignas(64) uint64_t ns, amount;
    } parts[POOL_MAX_THREADS];
} round;

static uint64_t thread_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Eight sums, so that the additions are not what is measured. Returns the number of bytes. */
static uint64_t read_words(const uint64_t *p, size_t n) {
    uint64_t sums[8] = {0};
    for (size_t i = 0; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++) sums[j] += p[i + j];
    __asm__ volatile("" : : "r"(sums) : "memory");
    return n / 8 * 64;
}

/* The turns of a thread, of HANDOVERS in all. */
static uint64_t hand_over(round *r, uint32_t thread) {
    uint64_t turns = 0;
    for (uint32_t turn = thread; turn < HANDOVERS; turn += r->threads, turns++) {
        for (uint32_t spins = 1; atomic_load_explicit(&r->line, memory_order_acquire) != turn; spins++)
            if (spins % 4096 == 0) sched_yield(); /* threads may have to share a core */
        atomic_store_explicit(&r->line, turn + 1, memory_order_release);
    }
    return turns;
}

/* There are as many chunks as threads, and a thread that has one waits for the others: each does exactly one. */
static void do_part(void *arg, uint32_t chunk, uint32_t thread) {
    round *r = arg;
    (void)thread;
    atomic_fetch_add(&r->here, 1);
    while (atomic_load(&r->here) < r->threads) sched_yield();
    struct part *p = &r->parts[chunk];
    uint64_t begin = thread_ns();
    p->amount = r->loop != NULL    ? r->loop(r->n)
                : r->words != NULL ? read_words(r->words + chunk * r->words_each, r->words_each)
                                   : hand_over(r, chunk);
    p->ns = thread_ns() - begin;
}

/* Amount per second of all threads. */
static double run_round(round *r, pool *p) {
    double rate = 0;
    atomic_store(&r->here, 0);
    atomic_store(&r->line, 0);
    pool_run(p, r->threads, do_part, r, NULL);
    for (uint32_t i = 0; i < r->threads; i++)
        if (r->parts[i].ns > 0) rate += (double)r->parts[i].amount * 1e9 / (double)r->parts[i].ns;
    return rate;
}

static int descending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

static double typical(double *rates, size_t n) {
    qsort(rates, n, sizeof *rates, descending);
    return rates[n / 4];
}

static double loop_rate(round *r, pool *p, uint64_t (*loop)(uint64_t n)) {
    double rates[ROUNDS];
    if (loop == NULL) return 0;
    r->loop = loop;
    r->n = 1024;
    for (int i = 0; i < ROUNDS; i++) {
        rates[i] = run_round(r, p);
        uint64_t ns = r->parts[0].ns;
        if (i < 4 && ns > 0 && ns < round_ns) r->n = r->n * round_ns / ns; /* the clock may be still coming up */
    }
    return typical(rates, ROUNDS);
}

static double rate_of(round *r, pool *p, int rounds) {
    double rates[ROUNDS];
    for (int i = 0; i < rounds; i++) rates[i] = run_round(r, p);
    return typical(rates, (size_t)rounds);
}

static double read_rate(round *r, pool *p, const uint64_t *words, uint64_t bytes) {
    if (words == NULL) return 0;
    r->loop = NULL;
    r->words = words;
    r->words_each = bytes / sizeof *words / r->threads;
    return rate_of(r, p, READS);
}

static double handover_time(round *r, pool *p) {
    if (r->threads < 2) return 0;
    r->loop = NULL;
    r->words = NULL;
    double rate = rate_of(r, p, ROUNDS);
    return rate > 0 ? 1 / rate : 0;
}

int32_t ceilings_measure(clipgo_device *device, uint64_t read_bytes, clipgo_ceilings *ceilings, clipgo_error *err) {
    const clipgo_kernels *k = device->kernels;
    pool *p = device->pool;
    round *r = aligned_alloc(64, sizeof *r);
    uint64_t *words = read_bytes > 0 ? malloc(read_bytes) : NULL;
    if (r == NULL || (read_bytes > 0 && words == NULL)) {
        free(r);
        free(words);
        return fail(err, CLIPGO_ERR_MEMORY, (int64_t)read_bytes, "no memory to measure the reading of %llu bytes",
                    (unsigned long long)read_bytes);
    }
    memset(r, 0, sizeof *r);
    r->threads = pool_threads(p);
    if (words != NULL) memset(words, 1, read_bytes); /* untouched pages would all be one page of zeros */
    pool_enter(p, NULL);
    *ceilings = (clipgo_ceilings){
        .size = sizeof *ceilings,
        .threads = r->threads,
        .f32 = loop_rate(r, p, k->ceiling_f32),
        .bf16 = loop_rate(r, p, k->ceiling_bf16),
        .int8 = loop_rate(r, p, k->ceiling_int8),
        .read = read_rate(r, p, words, read_bytes),
        .handover = handover_time(r, p),
    };
    pool_leave(p);
    free(words);
    free(r);
    return CLIPGO_OK;
}
