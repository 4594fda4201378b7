/* The libFuzzer target (clang, -fsanitize=fuzzer): CMakeLists.txt says how to build and run it. */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    fuzz_one(bytes, n);
    return 0;
}
