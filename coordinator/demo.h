/* tpcoord demo: a run and its monitor in one terminal, for half a minute. */
#ifndef TP_COORDINATOR_DEMO_H
#define TP_COORDINATOR_DEMO_H

#include <stdio.h>

#include "base/error.h"
#include "coordinator/run.h"

/* Starts a run that begins in slow motion, in a folder of its own under /tmp, and tpmon on this terminal; ends both when
 * half a minute is over, when the monitor has ended (q), or at a signal; removes the folder. `program` is how tpcoord was
 * called. EXIT_DONE, or another status and the reason: standard input or output is no terminal, the run or the monitor
 * failed. */
enum exit_status demo_run(FILE *out, const char *program, struct error *error);

#endif
