/* A real plan from a few overrides. */
#ifndef TP_TESTS_PLANNED_H
#define TP_TESTS_PLANNED_H

#include "plan/plan.h"

/* Plans a run from overrides ("pipeline.stages=4", ..., NULL), over a small synthetic data set unless they say
 * otherwise. Fails the test when something is wrong. Without `probe` layers cost nothing, and backends are not asked.
 * The caller destroys the network. */
void planned(struct plan *plan, struct network **network, const char *const *overrides, bool probe);

#endif
