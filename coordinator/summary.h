/* What one system did in a comparison, as one flat JSON object that holds the reports it was drawn from: a row of the
 * table on the screen, of the CSV and of the JSON. */
#ifndef TP_COORDINATOR_SUMMARY_H
#define TP_COORDINATOR_SUMMARY_H

#include <jansson.h>

#include "plan/plan.h"

enum { SUMMARY_RUNS_MAX = 100 };

struct summary_request {
    const struct plan *plan;
    json_t *runs;    /* the reports, of one system with several seeds: those that were begun */
    json_t *against; /* reports of the system that it is compared with, pair by pair: perhaps its own */
    int run_count;   /* that were asked for, at most SUMMARY_RUNS_MAX */
    double target;   /* top-1, 0..1; NaN: none */
};

/* Numbers are means over the runs that were finished, or the most among them; null if there is none. With several seeds some
 * have deviations, halves of 95 % intervals, and differences to `against` with theirs. The epochs to the
 * target are null unless all of them reached it. NULL if out of memory; the caller drops the reference. */
json_t *summary_create(const struct summary_request *request);

#endif
