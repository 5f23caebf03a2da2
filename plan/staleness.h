/* I-TiMePReSt's significance of a stale weight (arXiv 2509.23241): how much of it the intermediate weight keeps. */
#ifndef TP_PLAN_STALENESS_H
#define TP_PLAN_STALENESS_H

#include "plan/config.h"
#include "schedule/versions.h"

/* s(d) for a weight that is d = live - forward versions old, s(0) = 1. The paper makes it a falling function of the
 * degree of staleness and leaves its constants open: exponential exp(-decay d), hyperbolic 1 / (1 + decay d), or
 * constant, which is `decay` itself for every d > 0: 1 keeps the stale weight, 0 takes the newest. */
double staleness_significance(const struct config *config, int staleness);

/* How stale what a backward reads is, in updates: the age of the version, or of a blend's two versions, 0 and d, weighted as
 * they are blended: s(d) d. The one meaning of staleness in counters, reports and on screens. */
double staleness_of(const struct config *config, const struct backward_versions *versions);

#endif
