/* The folder that a new run gets, <run.output>/<run.name>. */
#ifndef TP_COORDINATOR_NEW_RUN_H
#define TP_COORDINATOR_NEW_RUN_H

#include "checkpoint/run_folder.h"

/* Makes the folder, and those above it. A run without a name gets the config file's and the time. A folder that holds
 * anything of an earlier run is refused. What is wrong goes to `mistakes`, which knows the config file. */
int new_run_create(struct run_folder *folder, const struct config *config, struct config_mistakes *mistakes);

#endif
