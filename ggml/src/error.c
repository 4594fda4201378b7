#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int32_t fail(clipgo_error *err, int32_t code, int64_t detail, const char *format, ...) {
    if (err == NULL || err->size < sizeof *err) return code;
    err->code = code;
    err->detail = detail;
    va_list args;
    va_start(args, format);
    if (vsnprintf(err->message, sizeof err->message, format, args) < 0) err->message[0] = '\0';
    va_end(args);
    return code;
}
