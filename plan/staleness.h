/* I-TiMePReSt's significance of a stale weight (arXiv 2509.23241): how much of it the intermediate weight keeps. */
#ifndef TP_PLAN_STALENESS_H
#define TP_PLAN_STALENESS_H

#include "plan/config.h"

/* s(d) for a weight that is d = live - forward versions old, s(0) = 1. The paper makes it a falling function of the
 * degree of staleness and leaves its constants open: exponential exp(-decay d), hyperbolic 1 / (1 + decay d), or
 * constant, which is `decay` itself for every d > 0: 1 keeps the stale weight, 0 takes the newest. */
double staleness_significance(const struct config *config, int staleness);

#endif
