/* Strings to numbers, strictly: the whole string is the number, in decimal, finite and within bounds, or it is an error
 * that quotes the string and says what would be right. Callers put the key or option in front (error_prefix). */
#ifndef TP_BASE_PARSE_H
#define TP_BASE_PARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Bounds are inclusive. *out is written only on success. */
int parse_int(int64_t *out, const char *text, int64_t low, int64_t high, struct error *error);
int parse_double(double *out, const char *text, double low, double high, struct error *error);

/* yes, true, on, 1 or no, false, off, 0, in any case. */
int parse_bool(bool *out, const char *text, struct error *error);

#endif
