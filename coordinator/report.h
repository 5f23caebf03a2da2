/* What a run did, from the counters that its stages kept: a table for the eye, JSON for scripts. */
#ifndef TP_COORDINATOR_REPORT_H
#define TP_COORDINATOR_REPORT_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"
#include "board/segment.h"

struct outcome {
    enum run_state state;      /* RUN_FINISHED, RUN_INTERRUPTED or RUN_FAILED */
    struct error error;        /* RUN_FAILED: why */
    const char *folder;        /* of the run */
    uint64_t start_ns, end_ns; /* from all stages ready to all ended; equal if it never came so far */
    int restarts;              /* attempts before this one */
    int checkpoints_written, checkpoints_failed;
    uint64_t records_lost; /* that the coordinator was too slow to read */
};

void report_print(FILE *out, const struct segment *segment, const struct outcome *outcome);

/* The report's last words only: results, rate, how it ended. */
void report_print_essentials(FILE *out, const struct segment *segment, const struct outcome *outcome);

/* Adds to the plan's object that the run failed before it had a segment. */
void report_add_failure(json_t *plan, const struct error *error);

/* Adds the run's members to the plan's object. -1 if out of memory. */
int report_add_json(json_t *plan, const struct segment *segment, const struct outcome *outcome);

#endif
