/* A JSON object whose last member is the checksum of every byte before it. A change anywhere is found before anything is
 * believed, and other tools read it as the JSON that it is. */
#ifndef TP_CHECKPOINT_SEAL_H
#define TP_CHECKPOINT_SEAL_H

#include <jansson.h>
#include <stddef.h>

#include "base/error.h"

/* The sealed text of an object that has members. NULL if out of memory or `object` is NULL; the caller frees. */
char *seal_json(const json_t *object, size_t *size);

/* The same of an object's text. NULL also if it does not end as one does. */
char *seal_text(const char *text, size_t size, size_t *sealed_size);

/* -1 if the text is not as it was sealed. */
int seal_check(const char *text, size_t size, struct error *error);

#endif
