#define CLIPGO_TABLE clipgo_kernels_avx512
#define CLIPGO_NAME "avx512"
#include "table.inc"
