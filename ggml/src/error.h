/* error.h: how a failure is told. */
#ifndef CLIPGO_ERROR_H
#define CLIPGO_ERROR_H

#include "clipgo.h"

/* Fills *err, if there is one, and returns code. Messages: one line, lower case, what was found and what was expected.
 */
int32_t fail(clipgo_error *err, int32_t code, int64_t detail, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
