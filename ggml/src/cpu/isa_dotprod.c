#define CLIPGO_TABLE clipgo_kernels_dotprod
#define CLIPGO_NAME "dotprod"
#include "table.inc"
