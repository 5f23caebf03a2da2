#include "base/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The C library's conversions also take leading blanks, hexadecimal, "inf" and "nan"; this does not. */
static bool made_of(const char *text, const char *characters)
{
    return *text != '\0' && text[strspn(text, characters)] == '\0';
}

int parse_int(int64_t *out, const char *text, int64_t low, int64_t high, struct error *error)
{
    char *end = NULL;
    intmax_t value = 0;

    errno = 0;
    if (made_of(text, "+-0123456789"))
        value = strtoimax(text, &end, 10);
    if (!end || end == text || *end != '\0')
        return error_set(error, "\"%s\" is not a whole number; use one from %" PRId64 " to %" PRId64, text, low, high);
    if (errno == ERANGE || value < low || value > high)
        return error_set(error, "%s is out of bounds; use a whole number from %" PRId64 " to %" PRId64, text, low,
                         high);
    *out = value;
    return 0;
}

int parse_double(double *out, const char *text, double low, double high, struct error *error)
{
    char *end = NULL;
    double value = 0.0;

    if (made_of(text, "+-.0123456789eE"))
        value = strtod(text, &end);
    if (!end || end == text || *end != '\0')
        return error_set(error, "\"%s\" is not a number; use one from %g to %g", text, low, high);
    /* What overflows has become infinite, which no finite bounds contain. */
    if (!(value >= low && value <= high))
        return error_set(error, "%s is out of bounds; use a number from %g to %g", text, low, high);
    *out = value;
    return 0;
}

int parse_bool(bool *out, const char *text, struct error *error)
{
    static const struct {
        const char *text;
        bool value;
    } words[] = {{"yes", true}, {"no", false},  {"true", true}, {"false", false},
                 {"on", true},  {"off", false}, {"1", true},    {"0", false}};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcasecmp(text, words[i].text) == 0) {
            *out = words[i].value;
            return 0;
        }
    }
    return error_set(error, "\"%s\" is neither yes nor no", text);
}
