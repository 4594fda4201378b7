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

/* A thread's own chunks, in a cache line of its own: nobody else looks there before the end of a job. */
typedef struct share {
    _Alignas(64) _Atomic uint64_t chunks; /* first << 32 | behind the last */
} share;

struct pool {
    /* job << 32 | whether it is open | workers within. Workers come in while it is open, one compare-and-swap for the whole
     * job, so that none takes part in a job that it doesn't know; and as the job doesn't end before they have left, its
     * fields and its chunks are the same from there on. */
    _Alignas(64) _Atomic uint64_t gate;
    _Alignas(64) pool_fn *fn;
    void *arg;
    atomic_int *cancel;

    share *shares; /* [threads] */
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

static const uint64_t gate_open = 1u << 31;

static int is_open(uint64_t gate) { return (gate & gate_open) != 0; }
static uint32_t job_of(uint64_t gate) { return (uint32_t)(gate >> 32); }
static uint32_t within(uint64_t gate) { return (uint32_t)(gate & (gate_open - 1)); }

/* Whether there is a job that isn't the last one that this worker took part in. */
static int has_work(pool *p, uint32_t last) {
    uint64_t gate = atomic_load(&p->gate);
    return is_open(gate) && job_of(gate) != last;
}

/* Whether there is work, or an end, within the time that a thread may spin. */
static int spin_for_work(pool *p, uint32_t last) {
    if (p->spin_ns == 0) return 0;
    uint64_t end = now_ns() + p->spin_ns;
    do {
        for (int i = 0; i < 32; i++) {
            if (has_work(p, last)) return 1;
            relax();
        }
        if (atomic_load_explicit(&p->stop, memory_order_relaxed)) return 1;
    } while (now_ns() < end);
    return 0;
}

static int come_in(pool *p, uint32_t last, uint32_t *job) {
    uint64_t gate = atomic_load_explicit(&p->gate, memory_order_acquire);
    do {
        if (!is_open(gate) || job_of(gate) == last) return 0;
    } while (
        !atomic_compare_exchange_weak_explicit(&p->gate, &gate, gate + 1, memory_order_acq_rel, memory_order_acquire));
    *job = job_of(gate);
    return 1;
}

static void leave(pool *p) {
    if (within(atomic_fetch_sub(&p->gate, 1)) == 1 && atomic_load(&p->caller_sleeps)) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_signal(&p->done);
        pthread_mutex_unlock(&p->lock);
    }
}

static uint32_t share_first(uint64_t chunks) { return (uint32_t)(chunks >> 32); }
static uint32_t share_end(uint64_t chunks) { return (uint32_t)chunks; }

static void deal(pool *p, uint64_t chunks) {
    for (uint64_t t = 0; t < p->threads; t++)
        atomic_store_explicit(&p->shares[t].chunks, (chunks * t / p->threads) << 32 | chunks * (t + 1) / p->threads,
                              memory_order_relaxed);
}

/* The first chunk of the thread's own share, or the last one of the fullest. Returns 0 when none is left. */
static int take_chunk(pool *p, uint32_t thread, uint32_t *chunk) {
    _Atomic uint64_t *own = &p->shares[thread].chunks;
    uint64_t mine = atomic_load_explicit(own, memory_order_relaxed);
    while (share_first(mine) < share_end(mine)) {
        *chunk = share_first(mine);
        if (atomic_compare_exchange_weak_explicit(own, &mine, mine + ((uint64_t)1 << 32), memory_order_relaxed,
                                                  memory_order_relaxed))
            return 1;
    }
    for (;;) {
        uint32_t fullest = 0, most = 0;
        uint64_t theirs = 0;
        for (uint32_t t = 0; t < p->threads; t++) {
            uint64_t chunks = atomic_load_explicit(&p->shares[t].chunks, memory_order_relaxed);
            uint32_t left = share_first(chunks) < share_end(chunks) ? share_end(chunks) - share_first(chunks) : 0;
            if (left > most) fullest = t, most = left, theirs = chunks;
        }
        if (most == 0) return 0;
        *chunk = share_end(theirs) - 1;
        if (atomic_compare_exchange_strong_explicit(&p->shares[fullest].chunks, &theirs, theirs - 1,
                                                    memory_order_relaxed, memory_order_relaxed))
            return 1;
    }
}

/* Does one chunk. Returns 0 when none is left, or none is wanted any more. */
static int do_chunk(pool *p, uint32_t thread) {
    uint32_t chunk;
    if (p->cancel != NULL && atomic_load_explicit(p->cancel, memory_order_relaxed)) return 0;
    if (!take_chunk(p, thread, &chunk)) return 0;
    p->fn(p->arg, chunk, thread);
    return 1;
}

/* A thread that loses its core to another program in the middle of a chunk keeps the whole job waiting until it has one
 * again. So it gives way between two chunks, when it holds none, before the system makes it: the others go on meanwhile.
 * Where nobody waits for the core, that is a call that returns at once. since: when the thread gave way before. */
static int turn_is_over(uint64_t since) { return now_ns() - since >= turn_ns; }

static void give_way(uint64_t *since) {
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
    uint32_t job, last = 0;
    for (;;) {
        while (come_in(p, last, &job)) {
            int more, over = 0;
            do more = do_chunk(p, start.thread);
            while (more && !(over = turn_is_over(since)));
            leave(p);
            if (!more) last = job;
            if (over) give_way(&since);
        }
        if (atomic_load(&p->stop)) return NULL;
        if (spin_for_work(p, last)) continue;
        pthread_mutex_lock(&p->lock);
        atomic_fetch_add(&p->sleepers, 1);
        while (!has_work(p, last) && !atomic_load(&p->stop)) pthread_cond_wait(&p->work, &p->lock);
        atomic_fetch_sub(&p->sleepers, 1);
        pthread_mutex_unlock(&p->lock);
        since = now_ns();
    }
}

static void wait_for_workers(pool *p) {
    uint64_t end = now_ns() + p->spin_ns;
    do {
        for (int i = 0; i < 32; i++) {
            if (within(atomic_load_explicit(&p->gate, memory_order_acquire)) == 0) return;
            relax();
        }
    } while (now_ns() < end);
    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, 1);
    while (within(atomic_load(&p->gate)) != 0) pthread_cond_wait(&p->done, &p->lock);
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
    deal(p, chunks);
    uint64_t job = job_of(atomic_load_explicit(&p->gate, memory_order_relaxed)) + (uint64_t)1;
    if ((uint32_t)job == 0) job = 1; /* 0 is a worker's that took part in none */
    atomic_store(&p->gate, job << 32 | gate_open);
    if (atomic_load(&p->sleepers) != 0) {
        pthread_mutex_lock(&p->lock);
        pthread_cond_broadcast(&p->work);
        pthread_mutex_unlock(&p->lock);
    }
    while (do_chunk(p, 0))
        if (turn_is_over(p->caller_since)) give_way(&p->caller_since);
    atomic_fetch_and(&p->gate, ~gate_open);
    wait_for_workers(p);
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
    p->shares = aligned_alloc(64, threads * sizeof *p->shares);
    if (p->workers == NULL || p->shares == NULL) {
        free(p->workers);
        free(p->shares);
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
    free(p->shares);
    free(p);
}
