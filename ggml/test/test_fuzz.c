/* A right program with a few words changed, many times over: the verifier refuses it, or it runs. Always the same
 * changes, so that a failure can be found again; fuzz_program.c looks further. */
#include "fuzz.h"
#include "model.h"
#include "test.h"

#include <stdlib.h>
#include <string.h>

static uint64_t seed = 1;

static uint32_t interesting(void) {
    static const uint32_t words[] = {0,           1,           2,          3,          31,         32,
                                     33,          63,          64,         255,        256,        4095,
                                     4096,        65535,       1u << 24,   1u << 30,   0x7fffffff, 0x80000000u,
                                     0xfffffffeu, 0xffffffffu, 0x3f800000, 0x7f800000, 0x7fc00000};
    return words[random_below(&seed, sizeof words / sizeof words[0])];
}

static void change(uint8_t *bytes, size_t n) {
    uint32_t word;
    size_t at = 3 + random_below(&seed, (uint32_t)(n - 7) / 4) * 4;
    switch (random_below(&seed, 5)) {
    case 0: bytes[random_below(&seed, (uint32_t)n)] ^= (uint8_t)(1u << random_below(&seed, 8)); break;
    case 1:
        word = interesting();
        memcpy(bytes + at, &word, 4);
        break;
    case 2:
        memcpy(&word, bytes + at, 4);
        word += random_below(&seed, 9) - 4;
        memcpy(bytes + at, &word, 4);
        break;
    case 3: memcpy(bytes + at, bytes + 3 + random_below(&seed, (uint32_t)(n - 7) / 4) * 4, 4); break;
    default: bytes[random_below(&seed, 3)] = (uint8_t)random_bits(&seed); break;
    }
}

int main(int argc, char **argv) {
    model m;
    model_every_kind(&m);
    size_t tensors = m.n_tensors * sizeof *m.tensors, values = m.n_values * sizeof *m.values,
           ops = m.n_ops * sizeof *m.ops;
    size_t n = 3 + tensors + values + ops;
    uint8_t *right = malloc(n), *wrong = malloc(n);
    right[0] = (uint8_t)m.n_tensors, right[1] = (uint8_t)m.n_values, right[2] = (uint8_t)m.n_ops;
    memcpy(right + 3, m.tensors, tensors);
    memcpy(right + 3 + tensors, m.values, values);
    memcpy(right + 3 + tensors + values, m.ops, ops);
    CHECK(fuzz_one(right, n) == 0, "the right program is refused");
    if (argc > 1) { /* the first input of a corpus for fuzz_program */
        FILE *f = fopen(argv[1], "wb");
        int ok = f != NULL && fwrite(right, 1, n, f) == n;
        return f == NULL || fclose(f) != 0 || !ok;
    }
    uint32_t believed = 0, rounds = 30000;
    for (uint32_t i = 0; i < rounds; i++) {
        memcpy(wrong, right, n);
        for (uint32_t c = 1 + random_below(&seed, 3); c > 0; c--) change(wrong, n);
        int32_t status = fuzz_one(wrong, random_below(&seed, 50) == 0 ? random_below(&seed, (uint32_t)n) : n);
        CHECK(status >= 0 && status <= 8, "status %d", status);
        believed += status == 0;
    }
    CHECK(believed > rounds / 100 && believed < rounds / 2, "%u of %u were believed", believed, rounds);
    free(right);
    free(wrong);
    model_free(&m);
    return test_result();
}
