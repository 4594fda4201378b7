#define _POSIX_C_SOURCE 200809L /* clock_gettime, pthread_sigmask */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* Kernels keep frames under 32 KiB; musl would give 128 KiB, glibc 8 MiB. */
static const size_t stack_bytes = 256u << 10;
static const uint32_t default_spin_us = 50;
/* Less than the slices of time in which systems share a core among threads that all want it. */
static const uint64_t turn_ns = 800000;

typedef struct waiter {
    struct waiter *next;
} waiter;

struct pool {
    /* sequence << 32 | chunks left. Taking a chunk is one compare-and-swap on the pair, so that a late thread can't
     * take a chunk of a job that it doesn't know; and as a taken chunk keeps its job from ending, the fields of the job
     * are stable from there on. */
    _Alignas(64) _Atomic uint64_t ticket;
    _Alignas(64) atomic_uint unfinished; /* chunks of this job */
    _Alignas(64) pool_fn *fn;
    void *arg;
    atomic_int *cancel;
    uint32_t chunks;

    uint32_t threads;
    uint64_t spin_ns;
    uint64_t caller_since; /* for give_way */
    pthread_t *workers;
    uint32_t started;

    /* Whoever goes to sleep counts itself and looks once more; whoever makes work looks at the count afterwards. Both
     * are sequentially consistent, so one of the two sees the other. */
    pthread_mutex_t lock;
    pthread_cond_t work, done;
    atomic_uint sleepers;
    atomic_int caller_sleeps, stop;

    pthread_mutex_t turn_lock;
    pthread_cond_t turn;
    waiter *queue; /* in the order of arrival; each waiter lies in its caller's frame */
    int busy;
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("isb" ::: "memory"); /* waits some tens of cycles; yield is a no-op on most cores */
#endif
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Whether there is a chunk to take, or an end, within the time that a thread may spin. */
static int spin_for_work(pool *p) {
    if (p->spin_ns == 0) return 0;
    uint64_t end = now_ns() + p->spin_ns;
    do {
        for (int i = 0; i < 32; i++) {
            if ((uint32_t)atomic_load_explicit(&p->ticket, memory_order_relaxed) != 0) return 1;
            relax();
        }
        if (atomic_load_explicit(&p->stop, memory_order_relaxed)) return 1;
    } while (now_ns() < end);
    return 0;
}

/* Takes and does one chunk. Returns 0 when none is left. */
static int do_chunk(pool *p, uint32_t thread) {
    uint64_t ticket = atomic_load_explicit(&p->ticket, memory_order_acquire);
    do {
        if ((uint32_t)ticket == 0) return 0;
    } while (!atomic_compare_exchange_weak_explicit(&p->ticket, &ticket, ticket - 1, memory_order_acq_rel,
                                                    memory_order_acquire));
    if (p->cancel == NULL || !atomic_load_explicit(p->cancel, memory_order_relaxed))
        p->fn(p->arg, p->chunks - (uint32_t)ticket, thread);
    if (atomic_fetch_sub(&p->unfinished, 1) == 1 && atomic_load(&p->caller_sleeps)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
    return 1;
}

/* A thread that loses its core to another program in the middle of a chunk keeps the whole job waiting until it has one
 * again. So it gives way between two chunks, when it holds none, before the system makes it: the others go on meanwhile.
 * Where nobody waits for the core, that is a call that returns at once. since: when the thread gave way before. */
static void give_way(uint64_t *since) {
    if (now_ns() - *since < turn_ns) return;
    sched_yield();
    *since = now_ns();
}

typedef struct worker_start {
    pool *p;
    uint32_t thread;
} worker_start;

static void *worker(void *arg) {
    worker_start start = *(worker_start *)arg;
    free(arg);
    pool *p = start.p;
    uint64_t since = now_ns();
    for (;;) {
        while (do_chunk(p, start.thread)) give_way(&since);
        if (atomic_load(&p->stop)) return NULL;
        if (spin_for_work(p)) continue;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->sleepers, 1);
        while ((uint32_t)atomic_load(&p->ticket) == 0 && !atomic_load(&p->stop)) pthread_cond_wait(&p->work, &p->lock);
        atomic_fetch_sub(&p->sleepers, 1);
        pthread_mutex_unlock(&p->lock);
        since = now_ns();
    }
}

static void wait_until_done(pool *p) {
    uint64_t end = now_ns() + p->spin_ns;
    do {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&p->unfinished, memory_order_acquire) == 0) return;
            relax();
        }
    } while (now_ns() < end);
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, 1);
    while (atomic_load(&p->unfinished) != 0) pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, 0);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(pool *p, uint32_t chunks, pool_fn *fn, void *arg, atomic_int *cancel) {
    if (p->started == 0 || chunks <= 1) {
        for (uint32_t i = 0; i < chunks; i++) {
            if (cancel != NULL && atomic_load_explicit(cancel, memory_order_relaxed)) return;
            fn(arg, i, 0);
        }
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->cancel = cancel;
    p->chunks = chunks;
    atomic_store_explicit(&p->unfinished, chunks, memory_order_relaxed);
    uint64_t sequence = atomic_load_explicit(&p->ticket, memory_order_relaxed) >> 32;
    atomic_store(&p->ticket, (sequence + 1) << 32 | chunks);
    if (atomic_load(&p->sleepers) != 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
    }
    while (do_chunk(p, 0)) give_way(&p->caller_since);
    wait_until_done(p);
}

int pool_enter(pool *p, atomic_int *cancel) {
    waiter self = {NULL}, **at = &p->queue;
    pthread_mutex_lock(&p->turn_lock);
    while (*at != NULL) at = &(*at)->next;
    *at = &self;
    int cancelled = 0;
    while ((p->busy || p->queue != &self) && !cancelled) {
        pthread_cond_wait(&p->turn, &p->turn_lock);
        cancelled = cancel != NULL && atomic_load(cancel);
    }
    for (at = &p->queue; *at != &self;) at = &(*at)->next;
    *at = self.next;
    if (cancelled) pthread_cond_broadcast(&p->turn); /* the next one may be first now */
    else p->busy = 1;
    pthread_mutex_unlock(&p->turn_lock);
    return !cancelled;
}

void pool_leave(pool *p) {
    pthread_mutex_lock(&p->turn_lock);
    p->busy = 0;
    pthread_cond_broadcast(&p->turn);
    pthread_mutex_unlock(&p->turn_lock);
}

void pool_nudge(pool *p) {
    pthread_mutex_lock(&p->turn_lock);
    pthread_cond_broadcast(&p->turn);
    pthread_mutex_unlock(&p->turn_lock);
}

uint32_t pool_threads(const pool *p) { return p->threads; }

/* Workers must not run the signal handlers of the host program (the Go runtime's, for one), which expect stacks of
 * their own: they inherit a mask that blocks all. */
static int start_workers(pool *p) {
    sigset_t all, before;
    pthread_attr_t attributes;
    int error = pthread_attr_init(&attributes);
    if (error != 0) return error;
    sigfillset(&all);
    error = pthread_attr_setstacksize(&attributes, stack_bytes);
    if (error == 0) error = pthread_sigmask(SIG_SETMASK, &all, &before);
    if (error == 0) {
        while (p->started < p->threads - 1 && error == 0) {
            worker_start *start = malloc(sizeof *start);
            if (start == NULL) {
                error = ENOMEM;
                break;
            }
            *start = (worker_start){p, p->started + 1};
            error = pthread_create(&p->workers[p->started], &attributes, worker, start);
            if (error == 0) p->started++;
            else free(start);
        }
        pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    pthread_attr_destroy(&attributes);
    return error;
}

pool *pool_create(uint32_t threads, uint32_t spin_us, int *error) {
    *error = ENOMEM;
    pool *p = aligned_alloc(64, sizeof *p);
    if (p == NULL) return NULL;
    *p = (pool){.threads = threads, .spin_ns = (uint64_t)(spin_us != 0 ? spin_us : default_spin_us) * 1000u};
    p->workers = calloc(threads, sizeof *p->workers);
    if (p->workers == NULL) {
        free(p);
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    pthread_mutex_init(&p->turn_lock, NULL);
    pthread_cond_init(&p->turn, NULL);
    *error = start_workers(p);
    if (*error != 0) {
        pool_free(p);
        return NULL;
    }
    return p;
}

void pool_free(pool *p) {
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->stop, 1);
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->started; i++) pthread_join(p->workers[i], NULL);
    pthread_cond_destroy(&p->turn);
    pthread_mutex_destroy(&p->turn_lock);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}
