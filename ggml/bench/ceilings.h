/* ceilings.h: what one core does at most, measured by instruction sequences that do nothing else. */
#ifndef CLIPGO_CEILINGS_H
#define CLIPGO_CEILINGS_H

#include <stddef.h>

/* Operations per second (a multiply-add is two) of the products that an instruction set is built on; 0: it has none. */
typedef struct ceilings {
    double f32, int8, bf16;
} ceilings;

ceilings measure_ceilings(const char *isa);

/* Bytes per second read from a buffer of n bytes. */
double measure_read(size_t n);

/* Seconds of processor time of this thread, which other processes can't stretch. */
double thread_seconds(void);

#endif
