/* tpcoord explain: a system, or a word, in a page. */
#ifndef TP_COORDINATOR_EXPLAIN_H
#define TP_COORDINATOR_EXPLAIN_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

/* Prints the page of a system (docs/systems.md) with its formulas, and with what it holds in a small pipeline; or the entry
 * of a word (docs/glossary.md). NULL: lists both. `program` is how tpcoord was called. -1 and what may have been meant if
 * there is no such topic. */
int explain_print(FILE *out, const char *program, const char *topic, struct error *error);

/* Whether there is one. */
bool explain_knows(const char *topic);

/* The n-th name that can be explained, a system's or a word's, in `name`, with room for SECTION_NAME_MAX. NULL: there are
 * no more. */
const char *explain_name(int n, char *name);

#endif
