/* What layers cost on a backend: the bytes that their calls need, and the seconds that these take. */
#ifndef TP_TIMING_LAYER_COSTS_H
#define TP_TIMING_LAYER_COSTS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "plan/plan.h"

/* Fills costs[network->layer_count] for the plan's row counts, on the backend and the device of `stage`; the seconds
 * only if `measured`, else they stay as they are. -1, and which layer failed. It opens the device: a process that has
 * called it with a GPU's must not fork. */
int layer_costs_find(struct layer_cost *costs, const struct plan *plan, const struct network *network,
                     const struct plan_stage *stage, bool measured, struct error *error);

/* Bytes that lie in memory at most at once while they are measured; costs[network->layer_count] need no seconds yet. */
size_t layer_costs_bytes(const struct layer_cost *costs, const struct plan *plan, const struct network *network);

#endif
