/* The backends that are built in, fastest first. */
#include "kernels/backend.h"

#include <string.h>

static const struct backend *const backends[] = {
    &backend_onednn,
    &backend_reference,
};

const struct backend *backend_find(const char *name)
{
    const bool any = strcmp(name, "auto") == 0;
    struct error ignored;

    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        if (any ? backends[i]->available(&ignored) == 0 : strcmp(backends[i]->name, name) == 0)
            return backends[i];
    return NULL;
}
