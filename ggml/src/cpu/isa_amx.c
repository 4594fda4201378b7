#define CLIPGO_TABLE clipgo_kernels_amx
#define CLIPGO_NAME "amx"
#include "table.inc"
