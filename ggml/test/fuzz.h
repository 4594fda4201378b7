/* fuzz.h: makes a tensor table and a program out of bytes, offers them to the engine and, where it believes them, runs
 * them. Whatever the bytes are, the engine must answer with a status. */
#ifndef CLIPGO_TEST_FUZZ_H
#define CLIPGO_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The bytes: a count of tensors, of values and of ops, and then the records as clipgo.h lays them out. Returns the
 * status of the last call. */
int32_t fuzz_one(const uint8_t *bytes, size_t n);

#endif
