/* Where a run's numbers come from: program, compiler, libraries, machine, command line, data. */
#ifndef TP_COORDINATOR_ENVIRONMENT_H
#define TP_COORDINATOR_ENVIRONMENT_H

#include <jansson.h>

#include "plan/plan.h"

/* Null where something cannot be told. */
json_t *environment_json(const struct plan *plan);

/* The processor's name; false if the system does not say. */
bool environment_processor(char *name, size_t size);

#endif
