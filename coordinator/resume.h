/* Which checkpoint a run goes on from, and whether it can. */
#ifndef TP_COORDINATOR_RESUME_H
#define TP_COORDINATOR_RESUME_H

#include "checkpoint/sets.h"

/* Opens what `--resume=where` means: one set, or the newest of a run folder; "": the newest of the config's newest run
 * folder that has one, <run.output>/<run.name> or, if the run has no name, <run.output>/<the config file's and a time>.
 * What is wrong goes to `mistakes`, a line for each key with which training could not go on. */
int resume_open(struct checkpoint_set *set, const char *where, const struct config *config,
                const struct data_facts *data, struct config_mistakes *mistakes);

/* One line on what is resumed, and from where. */
void resume_print(FILE *out, const struct checkpoint_set *set, const struct plan *plan);

#endif
