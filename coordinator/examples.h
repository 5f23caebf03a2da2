/* Commands that are printed for the user to paste: they work in the folder in which they are read. */
#ifndef TP_COORDINATOR_EXAMPLES_H
#define TP_COORDINATOR_EXAMPLES_H

#include <limits.h>
#include <stdio.h>

/* How to name the example config `name` (resnet.ini) here, in `path` or as it stands: configs/NAME in the top folder of tp;
 * elsewhere the whole path of the one that lies beside this program, in its tree or where make install has put it; CONFIG,
 * for the user's own, if there is none. */
const char *example_config(char path[PATH_MAX], const char *name);

/* Prints a call of `program` with these arguments, in words for a shell. CONFIG among them, and configs/NAME, become a
 * config that is there. */
void example_print(FILE *out, const char *program, const char *arguments);

#endif
