/* What tpcoord says about itself, from the tables of commands, options and keys. */
#ifndef TP_COORDINATOR_HELP_H
#define TP_COORDINATOR_HELP_H

#include <stdio.h>

#include "base/error.h"

/* About `topic`: a command, an option, a key, a section of keys, or what explain knows; NULL: about all of tpcoord.
 * `program` is how it was called, for examples that can be pasted. -1 and what may have been meant if there is no such
 * topic. */
int help_print(FILE *out, const char *program, const char *topic, struct error *error);

#endif
