/* What each layer costs on the backends, asked in a throw-away process. */
#ifndef TP_COORDINATOR_PROBE_H
#define TP_COORDINATOR_PROBE_H

#include "base/error.h"
#include "coordinator/signals.h"
#include "plan/plan.h"

/* Prepares every layer for the placed plan's row counts and fills costs[PLACES][network->layer_count] for each place
 * where a stage runs; the seconds only if `measured`, else 0. `signals` as child_run has it. */
int probe_costs(const struct plan *plan, const struct network *network, bool measured, struct signals *signals,
                struct layer_cost *costs, struct error *error);

/* Most bytes at once that measuring layers takes; costs[network->layer_count] of their place, measured or not. */
size_t probe_bytes(const struct plan *plan, const struct network *network, const struct layer_cost *costs);

#endif
