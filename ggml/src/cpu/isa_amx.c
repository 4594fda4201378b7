#define CLIPGO_TILES 1 /* compilers have two names for the same: __AMX_BF16__ and __AMXBF16__ */
#define CLIPGO_TABLE clipgo_kernels_amx
#define CLIPGO_NAME "amx"
#include "table.inc"
