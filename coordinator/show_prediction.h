/* What the event simulator predicts, for the eye (tables) and for scripts (JSON). */
#ifndef TP_COORDINATOR_SHOW_PREDICTION_H
#define TP_COORDINATOR_SHOW_PREDICTION_H

#include <jansson.h>
#include <stdio.h>

#include "plan/predict.h"

void prediction_print(FILE *out, const struct prediction *prediction, const struct plan *plan);

/* NULL if out of memory; the caller drops the reference. */
json_t *prediction_json(const struct prediction *prediction, const struct plan *plan);

#endif
