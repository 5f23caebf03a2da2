/* Throw-away processes: so that the coordinator itself never touches a device, and a backend or a driver that crashes or
 * hangs takes only that process with it. */
#ifndef TP_COORDINATOR_CHILD_H
#define TP_COORDINATOR_CHILD_H

#include <stddef.h>

#include "base/error.h"
#include "coordinator/signals.h"

struct child_task {
    const char *name; /* "the probe", as the subject of what is said when it dies */
    int (*run)(const void *context, void *result, struct error *error);
    const void *context;
    void *result; /* [result_bytes], what the child has left there; unchanged if it fails */
    size_t result_bytes;
    int seconds;               /* that it may take; 0: as long as it takes */
    const char *slow, *advice; /* what it is then that has not answered, and what would be right */
    int patience_seconds;      /* after these, `patience` is said on stderr: what takes so long; NULL: nothing */
    const char *patience;
    struct signals *signals; /* an interruption ends it; NULL: they have not been taken */
};

/* Calls `run` in a process of its own and waits for its end: -1 and the reason if it failed, died, was too slow or was
 * interrupted. */
int child_run(const struct child_task *task, struct error *error);

#endif
