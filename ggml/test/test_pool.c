/* The thread pool: every chunk is done once and before pool_run returns, in small jobs and large, with few threads and
 * many; turns, cancelling, the signal masks of workers, and what they use while idle. */
#define _POSIX_C_SOURCE 200809L
#include "pool.h"
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 5000 };

typedef struct job {
    uint32_t threads;
    atomic_uint wrong;
    atomic_uchar done[MOST];
    atomic_int busy[POOL_MAX_THREADS];
} job;

static void mark(void *arg, uint32_t chunk, uint32_t thread) {
    job *j = arg;
    if (thread >= j->threads || atomic_exchange(&j->busy[thread], 1)) atomic_fetch_add(&j->wrong, 1);
    atomic_fetch_add(&j->done[chunk], 1);
    atomic_store(&j->busy[thread], 0);
}

static void nap(long ns) { nanosleep(&(struct timespec){0, ns}, NULL); }

static void test_jobs(uint32_t threads, uint32_t spin_us) {
    int error;
    pool *p = pool_create(threads, spin_us, &error);
    CHECK(p != NULL, "error %d", error);
    if (p == NULL) return;
    job *j = calloc(1, sizeof *j);
    j->threads = threads;
    uint64_t seed = threads;
    for (int round = 0; round < 2000; round++) {
        uint32_t chunks = round % 100 == 0 ? MOST : random_below(&seed, 9);
        memset(j->done, 0, sizeof j->done);
        if (round % 500 == 1) nap(1000000); /* long enough for workers to fall asleep */
        pool_run(p, chunks, mark, j, NULL);
        uint32_t wrong = 0;
        for (uint32_t i = 0; i < MOST; i++) wrong += j->done[i] != (i < chunks);
        CHECK(wrong == 0, "%u chunks of %u, %u threads", wrong, chunks, threads);
    }
    CHECK(j->wrong == 0, "a thread's number was used twice at a time");
    free(j);
    pool_free(p);
}

typedef struct contender {
    pool *p;
    int *inside; /* not atomic: the turn guards it */
    uint32_t wrong;
} contender;

static void *contend(void *arg) {
    contender *c = arg;
    job *j = calloc(1, sizeof *j);
    j->threads = pool_threads(c->p);
    for (int i = 0; i < 200; i++) {
        if (!pool_enter(c->p, NULL) || (*c->inside)++ != 0) c->wrong++;
        pool_run(c->p, 4, mark, j, NULL);
        (*c->inside)--;
        pool_leave(c->p);
    }
    for (int i = 0; i < 4; i++) c->wrong += j->done[i] != 200;
    free(j);
    return NULL;
}

static void test_turns(void) {
    int error, inside = 0;
    pool *p = pool_create(3, 0, &error);
    contender c[6];
    pthread_t t[6];
    for (int i = 0; i < 6; i++) {
        c[i] = (contender){p, &inside, 0};
        pthread_create(&t[i], NULL, contend, &c[i]);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i], NULL);
        CHECK(c[i].wrong == 0, "%u times", c[i].wrong);
    }
    pool_free(p);
}

typedef struct waiting {
    pool *p;
    atomic_int cancel, entered, here;
} waiting;

static void *wait_for_turn(void *arg) {
    waiting *w = arg;
    atomic_store(&w->here, 1);
    int got = pool_enter(w->p, &w->cancel);
    atomic_store(&w->entered, got);
    if (got) pool_leave(w->p);
    return NULL;
}

/* Someone who waits for a turn can give up, and those behind get theirs. */
static void test_giving_up(void) {
    int error;
    pool *p = pool_create(2, 0, &error);
    waiting first = {.p = p, .entered = -1}, second = {.p = p, .entered = -1};
    pthread_t a, b;
    pool_enter(p, NULL);
    pthread_create(&a, NULL, wait_for_turn, &first);
    while (!atomic_load(&first.here)) nap(100000);
    pthread_create(&b, NULL, wait_for_turn, &second);
    while (!atomic_load(&second.here)) nap(100000);
    nap(5000000);
    atomic_store(&first.cancel, 1);
    pool_nudge(p);
    pthread_join(a, NULL);
    CHECK(atomic_load(&first.entered) == 0, "a cancelled one got the turn");
    pool_leave(p);
    pthread_join(b, NULL);
    CHECK(atomic_load(&second.entered) == 1, "the next one didn't get the turn");
    pool_free(p);
}

typedef struct cancelled_job {
    atomic_int cancel;
    atomic_uint done;
} cancelled_job;

static void cancel_at_ten(void *arg, uint32_t chunk, uint32_t thread) {
    cancelled_job *j = arg;
    (void)chunk, (void)thread;
    if (atomic_fetch_add(&j->done, 1) == 10) atomic_store(&j->cancel, 1);
}

static void test_cancel(void) {
    for (uint32_t threads = 1; threads <= 4; threads += 3) {
        int error;
        cancelled_job j = {0};
        pool *p = pool_create(threads, 0, &error);
        pool_run(p, 100000, cancel_at_ten, &j, &j.cancel);
        CHECK(atomic_load(&j.done) <= 11 + threads, "%u chunks were done", atomic_load(&j.done));
        pool_free(p);
    }
}

static atomic_uint signals_open;

static void look_at_mask(void *arg, uint32_t chunk, uint32_t thread) {
    sigset_t mask;
    (void)arg, (void)chunk;
    nap(100000); /* so that every thread gets some */
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    if (thread != 0 && (!sigismember(&mask, SIGPROF) || !sigismember(&mask, SIGINT) || !sigismember(&mask, SIGURG)))
        atomic_fetch_add(&signals_open, 1);
}

static void test_signals(void) {
    int error;
    sigset_t before, after;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    pool *p = pool_create(3, 0, &error);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    CHECK(sigismember(&before, SIGPROF) == sigismember(&after, SIGPROF), "the caller's mask changed");
    pool_run(p, 100, look_at_mask, NULL, NULL);
    CHECK(atomic_load(&signals_open) == 0, "workers take signals");
    pool_free(p);
}

static double processor_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* Threads without work sleep: they cost no processor time. */
static void test_idle(void) {
    int error;
    pool *p = pool_create(8, 0, &error);
    job *j = calloc(1, sizeof *j);
    j->threads = 8;
    pool_run(p, 1000, mark, j, NULL);
    nap(20000000); /* they may spin for a moment */
    double before = processor_ms();
    nap(200000000);
    double used = processor_ms() - before;
    /* One that spins would use 200, its seven fellows as much again; qemu takes up to 5 for itself. */
    CHECK(used < 20, "idle threads used %.1f ms of 200", used);
    pool_free(p);
    free(j);
}

int main(void) {
    for (uint32_t threads = 1; threads <= 9; threads += threads < 4 ? 1 : 5) test_jobs(threads, 0);
    test_jobs(3, 1); /* sleeps at once */
    test_turns();
    test_giving_up();
    test_cancel();
    test_signals();
    test_idle();
    pool_free(NULL);
    return test_result();
}
