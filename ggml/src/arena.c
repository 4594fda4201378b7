#include "arena.h"

#include "memory.h"

#include <stdlib.h>

static int larger_first(const void *a, const void *b) {
    const arena_block *x = *(arena_block *const *)a, *y = *(arena_block *const *)b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Greedy by size: the largest first, each at the lowest offset that is free during its life. On programs of
 * transformers this comes to the largest sum of blocks that live at once, which is the least possible, or close to it.
 */
int arena_plan(arena_block *blocks, uint32_t n, uint64_t *total) {
    *total = 0;
    if (n == 0) return 1;
    arena_block **placed = calloc(n, sizeof(arena_block *)), **order = calloc(n, sizeof(arena_block *));
    int ok = placed != NULL && order != NULL;
    for (uint32_t i = 0; ok && i < n; i++) order[i] = &blocks[i];
    if (ok) qsort(order, n, sizeof *order, larger_first);
    for (uint32_t i = 0; ok && i < n; i++) { /* placed[0..i) is ordered by offset */
        arena_block *b = order[i];
        uint64_t at = 0, end;
        for (uint32_t j = 0; j < i; j++) {
            const arena_block *other = placed[j];
            if (other->first > b->last || b->first > other->last) continue;
            if (other->offset >= at && other->offset - at >= b->bytes) break;
            end = other->offset + other->bytes;
            if (end > at) ok = size_align(end, &at);
        }
        b->offset = at;
        ok = ok && size_add(at, b->bytes, &end);
        if (ok && end > *total) *total = end;
        uint32_t j = i;
        for (; j > 0 && placed[j - 1]->offset > at; j--) placed[j] = placed[j - 1];
        placed[j] = b;
    }
    free(placed);
    free(order);
    return ok && size_align(*total, total);
}
