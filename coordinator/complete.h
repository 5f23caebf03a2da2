/* What a shell completes: from the tables of commands, options and keys, so that it knows whatever they know. */
#ifndef TP_COORDINATOR_COMPLETE_H
#define TP_COORDINATOR_COMPLETE_H

#include <stdio.h>

/* Prints what the last of `words` may become, a line each: commands, options, keys, their choices, systems, networks.
 * The words are those behind the program's name, and end with NULL. Nothing where a file is wanted, or anything. A line
 * that ends with "=" or "," wants to go on. */
void complete_print(FILE *out, char *const *words);

#endif
