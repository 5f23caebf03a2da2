/* What each layer costs on the backend: asked in a throw-away child process, so that the coordinator itself never
 * touches a device, and a backend that crashes takes only the probe with it. */
#ifndef TP_COORDINATOR_PROBE_H
#define TP_COORDINATOR_PROBE_H

#include "base/error.h"
#include "plan/plan.h"

/* Prepares every layer for the plan's row counts and fills costs[network->layer_count]; the seconds only if `measured`,
 * else 0. Writes the name of the backend that "auto" stands for into plan->backend. */
int probe_costs(struct plan *plan, const struct network *network, bool measured, struct layer_cost *costs,
                struct error *error);

#endif
