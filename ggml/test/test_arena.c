/* The arena's plan: what lives at once never overlaps, places are aligned, and dead values' places are used again. */
#include "arena.h"
#include "memory.h"
#include "test.h"

static void test_random(void) {
    uint64_t seed = 1;
    arena_block blocks[60];
    for (int round = 0; round < 400; round++) {
        uint32_t n = 1 + random_below(&seed, 60);
        uint64_t total, live, peak = 0;
        for (uint32_t i = 0; i < n; i++) {
            blocks[i].bytes = random_below(&seed, 5) == 0 ? 0 : random_below(&seed, 10000);
            blocks[i].first = (int32_t)random_below(&seed, 30) - 1;
            blocks[i].last = blocks[i].first + (int32_t)random_below(&seed, 8);
        }
        CHECK(arena_plan(blocks, n, &total), "no plan");
        for (int32_t op = -1; op < 40; op++) {
            live = 0;
            for (uint32_t i = 0; i < n; i++)
                if (blocks[i].first <= op && op <= blocks[i].last) live += blocks[i].bytes;
            if (live > peak) peak = live;
        }
        CHECK(total >= peak && total % ALIGNMENT == 0, "%llu bytes for %llu", (unsigned long long)total,
              (unsigned long long)peak);
        for (uint32_t i = 0; i < n; i++) {
            const arena_block *a = &blocks[i];
            CHECK(a->offset % ALIGNMENT == 0 && a->offset + a->bytes <= total, "block %u", i);
            for (uint32_t j = 0; j < i; j++) {
                const arena_block *b = &blocks[j];
                int together = a->first <= b->last && b->first <= a->last;
                int apart = a->offset + a->bytes <= b->offset || b->offset + b->bytes <= a->offset;
                CHECK(!together || apart || a->bytes == 0 || b->bytes == 0, "blocks %u and %u overlap", i, j);
            }
        }
    }
}

/* A chain needs two places, however long it is. */
static void test_chain(void) {
    arena_block blocks[100];
    uint64_t total;
    for (int32_t i = 0; i < 100; i++) blocks[i] = (arena_block){6400, i, i + 1, 0};
    CHECK(arena_plan(blocks, 100, &total) && total == 2 * 6400, "%llu bytes", (unsigned long long)total);
}

static void test_overflow(void) {
    arena_block blocks[] = {{UINT64_MAX - 100, 0, 1, 0}, {UINT64_MAX - 200, 0, 1, 0}};
    uint64_t total;
    CHECK(!arena_plan(blocks, 2, &total), "planned %llu bytes", (unsigned long long)total);
    CHECK(arena_plan(blocks, 0, &total) && total == 0, "an empty arena needs nothing");
}

int main(void) {
    test_random();
    test_chain();
    test_overflow();
    return test_result();
}
