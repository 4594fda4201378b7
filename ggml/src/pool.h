/* pool.h: a team of threads that does one job after another, each cut into chunks. A thread has chunks that lie one behind
 * the other, the first thread the first ones, so that what one job leaves in its cache the next one finds there; who is
 * done with its own takes from the end of the fullest share.
 *
 * A job is over when its chunks are, not when every thread has come by: a worker that the system has put aside delays
 * nobody, and the caller works too. A worker without work spins for a moment, since the next op is microseconds away,
 * and then sleeps. Threads let other programs in between chunks rather than within one. */
#ifndef CLIPGO_POOL_H
#define CLIPGO_POOL_H

#include <stdatomic.h>
#include <stdint.h>

#define POOL_MAX_THREADS 256u

typedef struct pool pool;

/* thread counts from 0 (the caller) to threads - 1 and is nobody else's during the call. */
typedef void pool_fn(void *arg, uint32_t chunk, uint32_t thread);

/* threads >= 1 counts the caller. On failure returns NULL and puts the reason, an errno, in *error. */
pool *pool_create(uint32_t threads, uint32_t spin_us, int *error);
void pool_free(pool *p);
uint32_t pool_threads(const pool *p);

/* Waits for one's turn, in the order of arrival. Returns 0, without the turn, if *cancel (may be NULL) becomes set. */
int pool_enter(pool *p, atomic_int *cancel);
void pool_leave(pool *p);

/* Makes those who wait look at their cancel flags. */
void pool_nudge(pool *p);

/* Calls fn for every chunk in [0, chunks), by the one whose turn it is. Once *cancel (may be NULL) is set, the rest of
 * the chunks are dropped. */
void pool_run(pool *p, uint32_t chunks, pool_fn *fn, void *arg, atomic_int *cancel);

#endif
