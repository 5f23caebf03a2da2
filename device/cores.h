/* Which cores a process may use, how it keeps to one, and how long it waits for one. */
#ifndef TP_DEVICE_CORES_H
#define TP_DEVICE_CORES_H

#include <stdint.h>

#include "base/error.h"

/* The cores that this process may use; 0 if that is not known. */
int cores_count(void);

/* The n-th (0..) of them, from the first again behind the last; -1 if none can be found. */
int cores_at(int n);

/* Whether it may use this one; and keeps this process, and the threads that it starts from now on, on it. */
int cores_check(int core, struct error *error);
int cores_keep_to(int core, struct error *error);

/* How long a team of threads has been kept from a core: it could have run, and others did. The team is the calling thread
 * and, until they are `threads`, the others of the process that bear its name, as those do that a library starts from it.
 * That is the kernel's own account (/proc/PID/task/TID/schedstat), so it includes what a wake takes; a kernel that keeps
 * none says 0 for ever. Where several are kept from one at a time, the one that waits longest holds up the team.
 *
 * NULL if out of memory, for whose team cores_waited_ns() says 0. To be read by the calling thread alone. */
struct cores_watch;
struct cores_watch *cores_watch(int threads);
void cores_unwatch(struct cores_watch *watch);
uint64_t cores_waited_ns(struct cores_watch *watch);

#endif
