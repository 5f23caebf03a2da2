#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <string.h>

json_t *text_json(const char *text)
{
    json_t *string = json_string(text);

    return string ? string : json_null();
}

json_t *real_json(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

int json_print(FILE *out, const char *name, const json_t *object, struct error *error)
{
    if (!object)
        return error_set(error, "out of memory for the JSON of %s", name);
    if (json_dumpf(object, out, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) || fputc('\n', out) == EOF || fflush(out))
        return error_set(error, "%s cannot be written: %s", name, strerror(errno));
    return 0;
}
