/* memory.h: sizes that can't overflow, and memory for weights and arenas. */
#ifndef CLIPGO_MEMORY_H
#define CLIPGO_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* What vectors want, and a cache line. */
#define ALIGNMENT 64u

/* *out = a * b, a + b, or a rounded up to ALIGNMENT; 0 if that has no uint64_t. */
static inline int size_mul(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline int size_add(uint64_t a, uint64_t b, uint64_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline int size_align(uint64_t a, uint64_t *out) {
    if (!size_add(a, ALIGNMENT - 1, out)) return 0;
    *out &= ~(uint64_t)(ALIGNMENT - 1);
    return 1;
}

/* Zeroed pages, aligned at least to ALIGNMENT, that become resident when touched, in huge pages where the system has
 * them. NULL: none left. bytes > 0. */
void *memory_map(uint64_t bytes);
void memory_unmap(void *p, uint64_t bytes);

/* Gives the whole pages inside [p, p + bytes) of a private file mapping back; they are read again when touched. */
void memory_discard(const void *p, uint64_t bytes);

#endif
