/* What every JSON of tp has in common. */
#ifndef TP_BASE_JSON_H
#define TP_BASE_JSON_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"

/* Null for what is not UTF-8, which JSON cannot hold: a path may be anything. */
json_t *text_json(const char *text);

/* Null for what JSON does not know, infinity and NaN, to which a loss may well run. */
json_t *real_json(double value);

/* Writes the object and a newline. */
int json_print(FILE *out, const char *name, const json_t *object, struct error *error);

#endif
