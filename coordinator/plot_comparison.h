/* A comparison as one picture: what each system learned, with bands over the seeds; the memory that it took; its schedule. */
#ifndef TP_COORDINATOR_PLOT_COMPARISON_H
#define TP_COORDINATOR_PLOT_COMPARISON_H

#include <jansson.h>

#include "picture/picture.h"
#include "plan/plan.h"

/* `summaries` as of coordinator/summary.h, and the plan of each. The caller releases the picture. -1 if nothing of it was
 * run to its end, or out of memory. */
int comparison_compose(struct picture *picture, const json_t *summaries, const struct plan *const *plans,
                       struct error *error);

#endif
