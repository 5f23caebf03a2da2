/* What each layer costs on the backends, asked in a throw-away process. */
#ifndef TP_COORDINATOR_PROBE_H
#define TP_COORDINATOR_PROBE_H

#include "base/error.h"
#include "coordinator/signals.h"
#include "plan/plan.h"

struct probe_request {
    const struct plan *plan; /* placed */
    const struct network *network;
    bool measured;           /* fill in the seconds too */
    bool runs;               /* the plan will be carried out */
    struct signals *signals; /* as child_run has it */
};

/* Prepares every layer for the plan's row counts and fills costs[PLACES][network->layer_count] for each place where a
 * stage runs; the seconds only if they are measured, else 0. What this machine has no memory for is refused before it is
 * measured: the measuring, and a plan that will be carried out. */
int probe_costs(const struct probe_request *request, struct layer_cost *costs, struct error *error);

#endif
