#define CLIPGO_TABLE clipgo_kernels_avx2
#define CLIPGO_NAME "avx2"
#include "table.inc"
