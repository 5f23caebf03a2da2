#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

int error_set(struct error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(error->text, sizeof(error->text), format, arguments);
    va_end(arguments);
    /* Names and values in it are others'. */
    text_clean(error->text);
    return -1;
}

int error_prefix(struct error *error, const char *format, ...)
{
    struct error inner = *error;
    char context[sizeof(error->text)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(context, sizeof(context), format, arguments);
    va_end(arguments);
    return error_set(error, "%s: %s", context, inner.text);
}
