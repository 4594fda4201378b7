#define CLIPGO_TABLE clipgo_kernels_avxvnni
#define CLIPGO_NAME "avxvnni"
#include "table.inc"
