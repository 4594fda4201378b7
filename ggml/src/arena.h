/* arena.h: places in one piece of memory for values that live at different times. */
#ifndef CLIPGO_ARENA_H
#define CLIPGO_ARENA_H

#include <stdint.h>

typedef struct arena_block {
    uint64_t bytes;
    int32_t first, last; /* needed during these ops and those between */
    uint64_t offset;     /* the answer; a multiple of ALIGNMENT */
} arena_block;

/* Places n blocks so that none that live at once overlap; *total: bytes needed for all. Returns 0 when memory for the
 * planning itself runs out or a sum has no uint64_t. */
int arena_plan(arena_block *blocks, uint32_t n, uint64_t *total);

#endif
