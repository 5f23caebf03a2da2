/* Whether this machine has the memory that a plan asks for. */
#ifndef TP_COORDINATOR_ROOM_H
#define TP_COORDINATOR_ROOM_H

#include "plan/plan.h"

/* -1 and both figures if not: stages would be killed in the middle of training, by a kernel that names no cause. */
int room_check(const struct plan *plan, struct error *error);

#endif
