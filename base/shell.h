/* Words for a command that the user may paste into a shell. */
#ifndef TP_BASE_SHELL_H
#define TP_BASE_SHELL_H

#include <stdio.h>

/* Prints `word` so that a POSIX shell reads it back as one word: as it is, or in quotes. */
void shell_word(FILE *out, const char *word);

#endif
