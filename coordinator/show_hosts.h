/* Which hosts a plan is on, and what crosses the links that lead from one to another. */
#ifndef TP_COORDINATOR_SHOW_HOSTS_H
#define TP_COORDINATOR_SHOW_HOSTS_H

#include <jansson.h>
#include <stdio.h>

#include "plan/plan.h"

/* Nothing, if the plan is on one machine. */
void hosts_print(FILE *out, const struct plan *plan);

/* [{host, stages: [first, last]}], and [{link: [part, part], from, to, activation_bytes, gradient_bytes, messages}] of a whole
 * mini-batch; each null where the plan is on one machine. */
json_t *hosts_json(const struct plan *plan);
json_t *crossings_json(const struct plan *plan);

#endif
