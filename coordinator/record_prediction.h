/* A prediction as a recording, which tpmon --replay plays as it does a run's: of as many stages as a run may have, with a core
 * for each. Nothing is learned in it: losses are 0. What a stage waited for is what its next op reads. */
#ifndef TP_COORDINATOR_RECORD_PREDICTION_H
#define TP_COORDINATOR_RECORD_PREDICTION_H

#include <stdio.h>

#include "plan/predict.h"

/* -1 and the reason if the pipeline is larger than a run's may be, memory is short, or the file cannot be written. */
int prediction_record(FILE *file, const struct plan *plan, const struct prediction *prediction, struct error *error);

#endif
