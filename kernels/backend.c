/* The backends that are built in, fastest first. */
#include "kernels/backend.h"

#include <string.h>

const struct backend *backend_at(int n)
{
    const struct backend *const backends[] = {&backend_cuda, &backend_onednn, &backend_reference};

    for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
        if (backends[i] && n-- == 0)
            return backends[i];
    return NULL;
}

int update_slot_count(enum update_kind kind)
{
    static const int counts[UPDATE_KINDS] = {[UPDATE_MOMENTUM] = 1, [UPDATE_MOMENTS] = 2};

    return counts[kind];
}

int update_check(const struct update *update, const struct update_call *call, struct error *error)
{
    for (int k = 0; k < update_slot_count(update->kind); k++)
        if (!call->slots[k])
            return error_set(error, "an update with %d vectors of its own has %d", update_slot_count(update->kind), k);
    return 0;
}

const struct backend *backend_find(const char *name)
{
    const struct backend *backend;

    for (int n = 0; (backend = backend_at(n)) && strcmp(backend->name, name) != 0; n++)
        ;
    return backend;
}
