#define CLIPGO_TABLE clipgo_kernels_neon
#define CLIPGO_NAME "neon"
#include "table.inc"
