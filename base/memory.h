/* Large arrays of floats: cache-line aligned, never resized. */
#ifndef TP_BASE_MEMORY_H
#define TP_BASE_MEMORY_H

#include <stddef.h>
#include <stdlib.h>

#include "base/error.h"

/* `count` floats at a 64-byte boundary, contents undefined; freed with free(). Zero floats give a valid pointer. */
static inline int memory_floats(float **out, size_t count, const char *what, struct error *error)
{
    size_t bytes = (count * sizeof(float) / 64 + 1) * 64;

    *out = aligned_alloc(64, bytes);
    return *out ? 0 : error_set(error, "out of memory: %s needs %zu MiB", what, (bytes >> 20) + 1);
}

#endif
