/* The recording that the coordinator keeps of a run, if it was asked to: to the file of --record, or with run.record to
 * recording.tprec in the run's folder. One attempt of a run is recorded, the first. */
#ifndef TP_COORDINATOR_KEEP_H
#define TP_COORDINATOR_KEEP_H

#include <stdio.h>

#include "coordinator/run.h"
#include "telemetry/recorder.h"

struct keep {
    struct recorder *recorder; /* NULL: nothing is recorded */
    FILE *own;                 /* the file in the folder, if it is that */
    int mib;                   /* that it may have */
    bool said;
};

/* Begins empty: all 0. -1 if it cannot be kept. */
int keep_begin(struct keep *keep, const struct run_request *request, const struct segment *segment,
               struct error *error);

/* Call often. True, once, when the rest of the run will not be in the recording, and why. */
bool keep_look(struct keep *keep, struct error *why);

/* After the run's outcome is known. -1 and the reason if the recording could not be written to its end. */
int keep_end(struct keep *keep, const struct run_request *request, struct error *error);

#endif
