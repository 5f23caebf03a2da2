#include "base/command_line.h"

#include <getopt.h>
#include <stdbool.h>
#include <string.h>

#include "base/guess.h"
#include "base/parse.h"
#include "base/program.h"

enum { ROWS_MAX = 64, NAME_MAX_SHOWN = 64 };

void command_line_print(const struct command_line *line, int verbs, FILE *out)
{
    for (int i = 0; i < line->row_count; i++) {
        const struct option_row *row = &line->rows[i];
        const char letter[] = {'(', '-', row->letter, ')', '\0'};

        if (verbs && !(row->verbs & verbs))
            continue;
        fprintf(out, "  --%s %-*s %s\n", row->name, 22 - (int)strlen(row->name),
                row->argument ? row->argument : (row->letter ? letter : ""), row->help);
    }
}

static int apply(void *options, const struct option_row *row, const char *argument, struct error *error)
{
    void *member = (char *)options + row->offset;
    int64_t count = 0;

    switch (row->type) {
    case OPTION_FLAG:
        *(bool *)member = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)member = argument;
        return 0;
    case OPTION_PERHAPS:
        if (argument && !*argument)
            return error_set(error, "--%s= names nothing; name it behind \"=\", or leave that out", row->name);
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

/* The rows as getopt_long wants them: it returns LONG and a row's index, or a letter. */
enum { LONG = 1 };

struct getopt_tables {
    struct option names[ROWS_MAX + 1];
    char letters[ROWS_MAX + 2];
};

static void fill(struct getopt_tables *tables, const struct command_line *line)
{
    char *letter = tables->letters;

    *tables = (struct getopt_tables){0};
    *letter++ = ':';
    for (int i = 0; i < line->row_count; i++) {
        tables->names[i] = (struct option){line->rows[i].name, argument_of(&line->rows[i]), NULL, LONG};
        if (line->rows[i].letter)
            *letter++ = line->rows[i].letter;
    }
}

static int row_of(const struct command_line *line, int letter)
{
    for (int i = 0; i < line->row_count; i++)
        if (line->rows[i].letter == letter)
            return i;
    return -1;
}

static int refuse_unknown(const struct command_line *line, const char *word, const char *called, struct error *error)
{
    char call[PROGRAM_CALL_MAX], name[NAME_MAX_SHOWN], names[ROWS_MAX][NAME_MAX_SHOWN], meant[GUESS_TEXT_MAX];
    struct guess guess;

    snprintf(name, sizeof(name), "%.*s", (int)strcspn(word, "="), word);
    guess_begin(&guess, name);
    for (int i = 0; i < line->row_count; i++) {
        snprintf(names[i], sizeof(names[i]), "--%s", line->rows[i].name);
        guess_consider(&guess, names[i]);
    }
    program_beside(call, called, line->program);
    return error_set(error, "unknown option %s; %s%s --help lists all", word, guess_text(&guess, "", " ", meant), call);
}

/* getopt_long has stopped at an option. */
static int refuse(const struct command_line *line, int choice, char **argv, struct error *error)
{
    const char *word = argv[optind - 1];
    char letter[] = {'-', (char)optopt, '\0'};

    if (choice == ':')
        return error_set(error, "%s needs a value", word);
    if (optopt == LONG)
        return error_set(error, "%.*s takes no value", (int)strcspn(word, "="), word);
    return refuse_unknown(line, optopt ? letter : word, argv[0], error);
}

int command_line_read(const struct command_line *line, void *options, int argc, char **argv, uint64_t *given,
                      struct error *error)
{
    struct getopt_tables tables;
    int choice, row;

    fill(&tables, line);
    opterr = 0;
    optind = 1;
    while ((choice = getopt_long(argc, argv, tables.letters, tables.names, &row)) != -1) {
        if (choice == ':' || choice == '?')
            return refuse(line, choice, argv, error);
        if (choice != LONG)
            row = row_of(line, choice);
        if (apply(options, &line->rows[row], optarg, error))
            return -1;
        *given |= (uint64_t)1 << row;
    }
    return 0;
}
