#include "device/cores.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

int cores_at(int n)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return -1;
    n %= CPU_COUNT(&allowed);
    for (int core = 0; core < CPU_SETSIZE; core++)
        if (CPU_ISSET(core, &allowed) && n-- == 0)
            return core;
    return -1;
}

int cores_check(int core, struct error *error)
{
    cpu_set_t allowed;

    if (sched_getaffinity(0, sizeof(allowed), &allowed))
        return error_set(error, "the cores that may be used are not known: %s", strerror(errno));
    if (core < 0 || core >= CPU_SETSIZE || !CPU_ISSET(core, &allowed))
        return error_set(error, "core %d is not one of the %d that this process may use; the first is %d", core,
                         CPU_COUNT(&allowed), cores_at(0));
    return 0;
}

int cores_keep_to(int core, struct error *error)
{
    cpu_set_t own;

    if (cores_check(core, error))
        return -1;
    CPU_ZERO(&own);
    CPU_SET(core, &own);
    if (sched_setaffinity(0, sizeof(own), &own))
        return error_set(error, "cannot keep to core %d: %s", core, strerror(errno));
    return 0;
}
