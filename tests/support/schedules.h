/* Schedules of systems as they stand in their table, a part for each stage. */
#ifndef TP_TESTS_SUPPORT_SCHEDULES_H
#define TP_TESTS_SUPPORT_SCHEDULES_H

#include "schedule/schedule.h"
#include "schedule/system.h"

struct schedule schedule_of(const struct system *system, int stages, int microbatches, int minibatches);

/* Fails the test if there is no system of that name. */
struct schedule schedule_named(const char *name, int stages, int microbatches, int minibatches);

#endif
