/* A program's command line, read through one table: everything that is known about an option is in its row. */
#ifndef TP_BASE_COMMAND_LINE_H
#define TP_BASE_COMMAND_LINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum option_type {
    OPTION_FLAG,    /* bool */
    OPTION_TEXT,    /* const char * */
    OPTION_PERHAPS, /* const char *: what follows "=", or "" */
    OPTION_COUNT,   /* int, from 1 */
    OPTION_OWN      /* `read` takes it */
};

enum { OPTION_COUNT_MAX = 1000000 };

struct option_row {
    const char *name, *argument; /* argument NULL: it takes none */
    enum option_type type;
    size_t offset; /* of its member in the program's struct of options; OPTION_OWN: not looked at */
    int verbs;     /* bits that mean something to the program */
    const char *help;
    char letter; /* that does the same behind one dash; 0: none */
    int (*read)(void *options, const char *argument, struct error *error);
};

struct command_line {
    const char *program;
    const struct option_row *rows;
    int row_count; /* at most 64 */
};

/* Options in any place, into `options`. Sets bit r of *given for each row r that was given. Leaves optind at the first
 * operand, behind which all others have been moved. Texts are argv's. -1 and the reason if an option is unknown, lacks
 * its value or has a wrong one. */
int command_line_read(const struct command_line *line, void *options, int argc, char **argv, uint64_t *given,
                      struct error *error);

/* A line for each option that goes with any of `verbs`, for --help; 0: for all options. */
void command_line_print(const struct command_line *line, int verbs, FILE *out);

#endif
