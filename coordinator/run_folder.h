/* The folder of one run, <run.output>/<run.name>. */
#ifndef TP_COORDINATOR_RUN_FOLDER_H
#define TP_COORDINATOR_RUN_FOLDER_H

#include "plan/config.h"

/* Makes the folder, and those above it. A run without a name gets the config file's and the time. A folder that holds
 * an earlier run's report is refused. What is wrong goes to `mistakes`. */
int run_folder_create(char folder[CONFIG_PATH_MAX], const struct config *config, struct config_mistakes *mistakes);

/* Keeps other runs out of the folder as long as the descriptor that it returns is open, here or in a stage. -1 if another
 * has it. */
int run_folder_lock(const char *folder, struct error *error);

/* Removes it again if nothing has been written into it. */
void run_folder_discard(const char *folder);

#endif
