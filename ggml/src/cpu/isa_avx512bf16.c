#define CLIPGO_TABLE clipgo_kernels_avx512bf16
#define CLIPGO_NAME "avx512bf16"
#include "table.inc"
