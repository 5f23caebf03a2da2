/* Which checkpoint a run goes on from, and whether it can. */
#ifndef TP_COORDINATOR_RESUME_H
#define TP_COORDINATOR_RESUME_H

#include "checkpoint/sets.h"

/* Opens what `--resume=where` means, and its run folder: one set, or the newest of a run folder; "": the newest of the
 * config's last run that has one, <run.output>/<run.name> or, if the run has no name, the last one in <run.output> that
 * was started with this config file. Of the plan only the first step is done. What is wrong goes to `mistakes`, a line for each key with which training could not
 * go on; then neither is open. */
int resume_open(struct checkpoint_set *set, struct run_folder *folder, const char *where, const struct plan *plan,
                struct config_mistakes *mistakes);

/* Opens what `where` means as above, but to look at it only: the run may be going on. -1 and why not; then neither is
 * open. */
int resume_look(struct checkpoint_set *set, struct run_folder *folder, const char *where, struct error *error);

/* What is resumed, and from where; and a line for each key that has changed since, and for the config file. */
void resume_print(FILE *out, const struct checkpoint_set *set, const struct run_folder *folder, const struct plan *plan,
                  const char *config);

#endif
