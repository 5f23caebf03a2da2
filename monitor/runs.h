/* This user's runs on this machine, found by the names of their segments. */
#ifndef TP_MONITOR_RUNS_H
#define TP_MONITOR_RUNS_H

#include <stdio.h>

#include "base/error.h"
#include "monitor/choices.h"

enum { SEGMENT_NAME_MAX = 256 };

/* Prints a table of them, the newest first; those that cannot be read with the reason. Where there is none, that
 * `coordinator` starts one. */
int runs_print(FILE *out, const char *coordinator, struct error *error);

/* The segment of the newest run that is going, or of the one that `run` names: by its segment, its name or its folder.
 * 0; 1 if there is no such run; -1 and the reason if it cannot be read. */
int runs_find(const char *run, char segment[SEGMENT_NAME_MAX], struct error *error);

/* The segment of a run that is going: of the one after `segment` in the list, the newest first, and round again; or, if
 * `coordinator` is not 0, of that process's. 0; 1 if there is no other; -1 and the reason. */
int runs_next(const char *segment, int coordinator, char next[SEGMENT_NAME_MAX], struct error *error);

/* Those that are going, the newest first, to pick from. */
int runs_choices(struct choices *choices, struct error *error);

#endif
