/* shares.h: a job's chunks parted among threads, so that each has chunks that lie one behind the other. Whoever is done with
 * its own takes from the end of the fullest share. */
#ifndef CLIPGO_SHARES_H
#define CLIPGO_SHARES_H

#include "pool.h"

typedef struct shares {
    uint32_t threads;
    _Atomic uint64_t of[POOL_MAX_THREADS]; /* begin << 32 | end */
} shares;

static inline uint32_t share_begin(uint64_t share) { return (uint32_t)(share >> 32); }
static inline uint32_t share_end(uint64_t share) { return (uint32_t)share; }

static inline void shares_init(shares *s, uint32_t chunks, uint32_t threads) {
    s->threads = threads;
    for (uint64_t t = 0; t < threads; t++)
        atomic_init(&s->of[t], (chunks * t / threads) << 32 | chunks * (t + 1) / threads);
}

/* To be called once for each chunk: as many are taken as there are, so one is always left to whoever asks. */
static inline uint32_t shares_take(shares *s, uint32_t thread) {
    for (;;) {
        uint64_t own = atomic_load_explicit(&s->of[thread], memory_order_relaxed);
        while (share_begin(own) < share_end(own))
            if (atomic_compare_exchange_weak_explicit(&s->of[thread], &own, own + ((uint64_t)1 << 32),
                                                      memory_order_relaxed, memory_order_relaxed))
                return share_begin(own);
        uint32_t fullest = 0, most = 0;
        uint64_t share = 0;
        for (uint32_t t = 0; t < s->threads; t++) {
            uint64_t other = atomic_load_explicit(&s->of[t], memory_order_relaxed);
            uint32_t left = share_begin(other) < share_end(other) ? share_end(other) - share_begin(other) : 0;
            if (left > most) fullest = t, most = left, share = other;
        }
        if (most > 0 && atomic_compare_exchange_strong_explicit(&s->of[fullest], &share, share - 1,
                                                                memory_order_relaxed, memory_order_relaxed))
            return share_end(share) - 1;
    }
}

#endif
