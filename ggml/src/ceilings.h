/* ceilings.h: how fast the processor is at most. */
#ifndef CLIPGO_CEILINGS_H
#define CLIPGO_CEILINGS_H

#include "weights.h"

int32_t ceilings_measure(clipgo_device *device, uint64_t read_bytes, clipgo_ceilings *ceilings, clipgo_error *err);

#endif
