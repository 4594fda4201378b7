#define CLIPGO_TABLE clipgo_kernels_i8mm
#define CLIPGO_NAME "i8mm"
#include "table.inc"
