/* The machines of a run as a user names them: --hosts a:2,b:2, stages per host in their order; --hosts a,b, as evenly as can
 * be; --hosts slurm, those of the allocation that this process is in. */
#ifndef TP_COORDINATOR_HOSTS_H
#define TP_COORDINATOR_HOSTS_H

#include "base/error.h"
#include "plan/plan.h"

/* Reads `text` for a pipeline of so many stages. Returns the number of machines, or -1 with what is wrong. */
int hosts_read(struct plan_machine machines[MAX_STAGES], const char *text, int stages, struct error *error);

/* The hosts that Slurm's form of a list names, such as "n[01-03,7],gpu1", with no stages yet. Likewise. */
int hosts_expand(struct plan_machine machines[MAX_STAGES], const char *list, struct error *error);

/* Whether a host is this machine: by its name, or by an address that is one of its own. */
bool hosts_is_here(const char *host);

#endif
