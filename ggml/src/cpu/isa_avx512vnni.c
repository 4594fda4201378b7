#define CLIPGO_TABLE clipgo_kernels_avx512vnni
#define CLIPGO_NAME "avx512vnni"
#include "table.inc"
