/* What every program of tp does first, and how the others are called. */
#ifndef TP_BASE_PROGRAM_H
#define TP_BASE_PROGRAM_H

#include <limits.h>

#include "base/error.h"

/* Opens /dev/null in the place of each standard descriptor that is closed: the next file that is opened would get its
 * number, and what is meant for the terminal would be written into it. Before anything else is opened. */
void program_begin(void);

/* Room for what a program is called by; longer paths are cut. */
enum { PROGRAM_CALL_MAX = 1024 };

/* How to call the program `name` in a hint, of which the one that was called as `called`, argv[0], has a neighbour: by
 * the same folder, or as a command where the shell found it by itself. `called` may be NULL. */
void program_beside(char call[PROGRAM_CALL_MAX], const char *called, const char *name);

/* The path of the program `name` in the folder of the one that runs, wherever it was called from. -1 if that folder cannot
 * be found. */
int program_find(char path[PATH_MAX], const char *name, struct error *error);

#endif
