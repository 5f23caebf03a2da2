#include "base/command_line.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "base/parse.h"

enum { ROWS_MAX = 32 };

void command_line_print(const struct command_line *line, FILE *out)
{
    for (int i = 0; i < line->row_count; i++) {
        const struct option_row *row = &line->rows[i];

        fprintf(out, "  --%s %-*s %s\n", row->name, 22 - (int)strlen(row->name), row->argument ? row->argument : "",
                row->help);
    }
}

static int apply(void *options, const struct option_row *row, const char *argument, struct error *error)
{
    void *member = (char *)options + row->offset;
    int64_t count;

    switch (row->type) {
    case OPTION_FLAG:
        *(bool *)member = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)member = argument;
        return 0;
    case OPTION_PERHAPS:
        *(const char **)member = argument ? argument : "";
        return 0;
    case OPTION_COUNT:
        if (parse_int(&count, argument, 1, OPTION_COUNT_MAX, error))
            return error_prefix(error, "--%s", row->name);
        *(int *)member = (int)count;
        return 0;
    case OPTION_OWN:
        break;
    }
    return row->read(options, argument, error) ? error_prefix(error, "--%s", row->name) : 0;
}

static int argument_of(const struct option_row *row)
{
    if (row->type == OPTION_PERHAPS)
        return optional_argument;
    return row->argument ? required_argument : no_argument;
}

int command_line_read(const struct command_line *line, void *options, int argc, char **argv, unsigned *given,
                      struct error *error)
{
    struct option table[ROWS_MAX + 1] = {{0}};
    int choice, row;

    for (int i = 0; i < line->row_count; i++)
        table[i] = (struct option){line->rows[i].name, argument_of(&line->rows[i]), NULL, 'o'};
    opterr = 0;
    optind = 1;
    while ((choice = getopt_long(argc, argv, ":", table, &row)) != -1) {
        if (choice == ':')
            return error_set(error, "%s needs a value", argv[optind - 1]);
        if (choice != 'o' && optopt != 0)
            return error_set(error, "unknown option -%c; %s --help lists them", optopt, line->program);
        if (choice != 'o')
            return error_set(error, "unknown option %s; %s --help lists them", argv[optind - 1], line->program);
        if (apply(options, &line->rows[row], optarg, error))
            return -1;
        *given |= 1u << row;
    }
    return 0;
}
