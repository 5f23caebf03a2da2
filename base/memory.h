/* Large arrays of floats: cache-line aligned, never resized. */
#ifndef TP_BASE_MEMORY_H
#define TP_BASE_MEMORY_H

#include <stddef.h>

#include "base/error.h"

/* `count` floats at a 64-byte boundary or better, contents undefined; freed with free(). Zero floats give a valid
 * pointer. `what` names the array in the error. */
int memory_floats(float **out, size_t count, const char *what, struct error *error);

#endif
