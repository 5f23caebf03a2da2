/* What the network between the machines of a plan carries, for a prediction: their nodes measure it. */
#ifndef TP_COORDINATOR_CABLES_H
#define TP_COORDINATOR_CABLES_H

#include "base/error.h"
#include "coordinator/signals.h"
#include "plan/plan.h"

/* Starts the nodes as a run does, by the launcher of `words` (coordinator/launch.h), and fills the cable of each machine. It
 * takes seconds. -1 with the reason if a cable could not be measured, nothing was heard for run.stall_seconds, or an
 * interruption came; `signals` are taken. */
int cables_measure(struct plan *plan, const char *words, struct signals *signals, struct error *error);

#endif
