#include "data/allocate.h"

#include <inttypes.h>
#include <stdlib.h>

void *data_allocate(const char *where, const char *elements, uint64_t bytes, uint64_t room, struct error *error)
{
    void *memory = NULL;

    if (room > 0 && bytes > room)
        error_set(error,
                  "%s: its %s need %" PRIu64 " MiB of memory and this machine has %" PRIu64 " MiB left; use fewer",
                  where, elements, (bytes >> 20) + 1, room >> 20);
    else if (!(memory = malloc(bytes)))
        error_set(error, "%s: out of memory for %" PRIu64 " bytes of %s", where, bytes, elements);
    return memory;
}
