#include "coordinator/help.h"

#include <string.h>

#include "base/guess.h"
#include "coordinator/commands.h"
#include "coordinator/examples.h"
#include "coordinator/explain.h"
#include "coordinator/options.h"
#include "plan/config_keys.h"

static void print_example(FILE *out, const char *program, const char *arguments)
{
    fputs("  ", out);
    example_print(out, program, arguments);
    fputc('\n', out);
}

static void print_all(FILE *out, const char *program)
{
    fputs("Trains a network on a pipeline of processes, one per stage.\n\n", out);
    for (int v = 0; v < VERBS; v++)
        fprintf(out, "%s tpcoord %-16s %s\n", v == 0 ? "usage:" : "      ", commands[v].usage, commands[v].help);
    fputc('\n', out);
    command_line_print(options_line(), 0, out);
    fputs("\nMore about one thing:\n", out);
    for (int k = 0; k < 3; k++)
        print_example(out, program, commands[VERB_HELP].examples[k]);
    fputs("\nexit status: 0 done, 1 the run failed, 2 usage or config, 3 interrupted after a clean stop\n", out);
}

static void print_command(FILE *out, const char *program, const struct command *command)
{
    fprintf(out, "usage: tpcoord %s\n\n%s\n\n", command->usage, command->about);
    if (command->operand != OPERAND_WORDS)
        command_line_print(options_line(), 1 << (command - commands), out);
    for (int k = 0; k < (int)(sizeof(command->examples) / sizeof(command->examples[0])) && command->examples[k]; k++) {
        if (k == 0)
            fprintf(out, "%sFor example:\n", command->operand != OPERAND_WORDS ? "\n" : "");
        print_example(out, program, command->examples[k]);
    }
}

static const struct option_row *find_option(const char *name)
{
    const struct command_line *line = options_line();

    name += strspn(name, "-");
    for (int r = 0; r < line->row_count; r++)
        if (strcmp(line->rows[r].name, name) == 0)
            return &line->rows[r];
    return NULL;
}

static void print_option(FILE *out, const struct option_row *row)
{
    const char *before = "goes with";
    const struct command_line one = {"tpcoord", row, 1};

    command_line_print(&one, 0, out);
    for (int v = 0; v < VERBS; v++) {
        if (!(row->verbs & 1 << v))
            continue;
        fprintf(out, "%s %s", before, commands[v].name);
        before = ",";
    }
    fputc('\n', out);
}

static int refuse(const char *topic, const char *program, struct error *error)
{
    const struct command_line *line = options_line();
    char section[CONFIG_NAME_MAX], meant[GUESS_TEXT_MAX];
    struct guess guess;

    snprintf(section, sizeof(section), "%.*s", (int)strcspn(topic, "."), topic);
    const struct config_key *key = config_key_meant(section, topic);
    guess_begin(&guess, topic);
    for (int v = 0; v < VERBS; v++)
        guess_consider(&guess, commands[v].name);
    for (int r = 0; r < line->row_count; r++)
        guess_consider(&guess, line->rows[r].name);
    for (int k = 0; k < config_key_count && !strchr(topic, '.'); k++)
        guess_consider(&guess, strchr(config_keys[k].name, '.') + 1);
    if (key)
        guess.nearest = key->name;
    return error_set(error, "there is no help on \"%s\"; %s%s help lists commands and options, %s --help-keys keys",
                     topic, guess_text(&guess, "", " ", meant), program, program);
}

/* Keys of that name, whatever their sections. Whether there are any. */
static bool print_named(FILE *out, const char *name)
{
    bool found = false;

    for (int k = 0; k < config_key_count; k++) {
        if (strcmp(strchr(config_keys[k].name, '.') + 1, name) != 0)
            continue;
        config_print_key(out, &config_keys[k]);
        found = true;
    }
    return found;
}

int help_print(FILE *out, const char *program, const char *topic, struct error *error)
{
    const struct command *command = topic ? command_find(topic) : NULL;
    const struct option_row *option = topic ? find_option(topic) : NULL;
    const struct config_key *key = topic ? config_key_find(topic) : NULL;

    if (!topic)
        print_all(out, program);
    else if (command)
        print_command(out, program, command);
    else if (key)
        config_print_key(out, key);
    else if (option)
        print_option(out, option);
    else if (!config_print_section(out, topic) && !print_named(out, topic))
        return explain_knows(topic) ? explain_print(out, program, topic, error) : refuse(topic, program, error);
    return 0;
}
