/* A comparison for the eye, and as CSV. Both are drawn from the same summaries (coordinator/summary.h). */
#ifndef TP_COORDINATOR_SHOW_COMPARISON_H
#define TP_COORDINATOR_SHOW_COMPARISON_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"

/* Two tables with a row for each system that has finished a run, and a line on those that have not. */
void comparison_print(FILE *out, const json_t *summaries);

/* A line of names, and one per system. No cell is empty: what is not known is nan. */
int comparison_print_csv(FILE *out, const char *name, const json_t *summaries, struct error *error);

#endif
