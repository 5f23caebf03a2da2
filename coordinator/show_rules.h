/* Rules and optimizers: those of a plan, and the tables of all there are. */
#ifndef TP_COORDINATOR_SHOW_RULES_H
#define TP_COORDINATOR_SHOW_RULES_H

#include <jansson.h>
#include <stdio.h>

#include "plan/plan.h"

/* Lines of a plan's header: what passes read and updates do, the optimizer, the rate. */
void rules_print(FILE *out, const struct plan *plan);

/* Likewise, for scripts. */
json_t *rules_json(const struct plan *plan);
json_t *optimizer_json(const struct plan *plan);

/* All systems, and below them the orders, rules and optimizers that their columns name. */
void systems_print(FILE *out);

#endif
