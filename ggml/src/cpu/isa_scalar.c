#define CLIPGO_SCALAR 1
#define CLIPGO_TABLE clipgo_kernels_scalar
#define CLIPGO_NAME "scalar"
#include "table.inc"
