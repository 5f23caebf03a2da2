/* What a test of a checkpoint has found (tpcoord test), beside what its run had reported. */
#ifndef TP_COORDINATOR_TESTED_H
#define TP_COORDINATOR_TESTED_H

#include <jansson.h>

#include "coordinator/prepare.h"

/* For scripts: from the report of a run that only tested. NULL if it did not come to its end. */
json_t *tested_json(const json_t *report, const struct prepared *prepared);

/* What is about to be tested; what was found. */
void tested_print_head(FILE *out, const struct prepared *prepared);
void tested_print(FILE *out, const json_t *tested);

#endif
