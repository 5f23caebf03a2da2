#include "coordinator/options.h"

#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"

static const struct verb_row {
    const char *name, *usage, *help;
    bool takes_config;
} verbs[VERBS] = {
    [VERB_RUN] = {"run", "[run] CONFIG", "train", true},
    [VERB_PLAN] = {"plan", "plan CONFIG", "print what would happen: stages, weight versions, memory", true},
    [VERB_COMPARE] = {"compare", "compare CONFIG", "train with several systems in turn, and compare them", true},
    [VERB_SYSTEMS] = {"systems", "systems", "list the systems that pipeline.system can name", false},
};

enum option_type {
    OPTION_FLAG,     /* bool */
    OPTION_TEXT,     /* const char * */
    OPTION_COUNT,    /* int, from 1 */
    OPTION_OVERRIDE, /* one more of the overrides */
    OPTION_EPOCHS    /* an override in short */
};

enum {
    WITH_RUN = 1 << VERB_RUN,
    WITH_PLAN = 1 << VERB_PLAN,
    WITH_COMPARE = 1 << VERB_COMPARE,
    WITH_CONFIG = WITH_RUN | WITH_PLAN | WITH_COMPARE,
    WITH_ANY = (1 << VERBS) - 1
};

/* clang-format off */
static const struct option_row {
    const char *name, *argument;
    enum option_type type;
    size_t offset; /* in struct options */
    int verbs;     /* WITH_... */
    const char *help;
} rows[] = {
    {"set", "SECTION.KEY=VALUE", OPTION_OVERRIDE, 0, WITH_CONFIG,
     "override a key of the config; may be repeated"},
    {"epochs", "N", OPTION_EPOCHS, 0, WITH_CONFIG, "short for --set run.epochs=N"},
    {"json", "FILE", OPTION_TEXT, offsetof(struct options, json), WITH_CONFIG,
     "write the plan, the run's report or the comparison as JSON; -: to standard output"},
    {"trace", "FILE", OPTION_TEXT, offsetof(struct options, trace), WITH_RUN | WITH_PLAN,
     "write every op, run or simulated, as a Chrome trace for ui.perfetto.dev"},
    {"quiet", NULL, OPTION_FLAG, offsetof(struct options, quiet), WITH_RUN | WITH_COMPARE,
     "no progress, and only the report's essentials, or the comparison"},
    {"grid", NULL, OPTION_FLAG, offsetof(struct options, grid), WITH_PLAN,
     "print only the unit-time schedule, one line per stage"},
    {"slots", "K", OPTION_COUNT, offsetof(struct options, slots), WITH_PLAN,
     "of the grid; default: until stage 1 is done with three mini-batches"},
    {"simulate", NULL, OPTION_FLAG, offsetof(struct options, simulate), WITH_PLAN,
     "predict time, waits and staleness, from measured times or those in [simulation]"},
    {"minibatches", "K", OPTION_COUNT, offsetof(struct options, minibatches), WITH_PLAN,
     "that --grid or --simulate simulates; default: an epoch's"},
    {"systems", "A,B,C", OPTION_TEXT, offsetof(struct options, systems), WITH_COMPARE,
     "compare these; default: all that tpcoord systems lists"},
    {"seeds", "1,2,3", OPTION_TEXT, offsetof(struct options, seeds), WITH_COMPARE,
     "run each system with each seed, for means and deviations"},
    {"target", "TOP1", OPTION_TEXT, offsetof(struct options, target), WITH_COMPARE,
     "count the epochs to this test top-1, such as 0.85 or 85%"},
    {"csv", "FILE", OPTION_TEXT, offsetof(struct options, csv), WITH_COMPARE,
     "write the comparison as CSV; -: to standard output"},
    {"help-keys", NULL, OPTION_FLAG, offsetof(struct options, help_keys), WITH_ANY, "list the config's keys"},
    {"help", NULL, OPTION_FLAG, offsetof(struct options, help), WITH_ANY, "print this"},
    {"version", NULL, OPTION_FLAG, offsetof(struct options, version), WITH_ANY, "print the version"},
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

void options_print_help(FILE *out)
{
    fputs("Trains a network on a pipeline of processes, one per stage.\n\n", out);
    for (int v = 0; v < VERBS; v++)
        fprintf(out, "%s tpcoord %-14s %s\n", v == 0 ? "usage:" : "      ", verbs[v].usage, verbs[v].help);
    fputc('\n', out);
    for (int i = 0; i < ROWS; i++) {
        const char *argument = rows[i].argument ? rows[i].argument : "";

        fprintf(out, "  --%s %-*s %s\n", rows[i].name, 22 - (int)strlen(rows[i].name), argument, rows[i].help);
    }
    fputs("\nexit status: 0 done, 1 the run failed, 2 usage or config, 3 interrupted after a clean stop\n", out);
}

static int apply(struct options *options, const struct option_row *row, const char *argument, struct error *error)
{
    void *member = (char *)options + row->offset;
    int64_t count;

    switch (row->type) {
    case OPTION_FLAG:
        *(bool *)member = true;
        break;
    case OPTION_TEXT:
        *(const char **)member = argument;
        break;
    case OPTION_COUNT:
        if (parse_int(&count, argument, 1, 1000000, error))
            return error_prefix(error, "--%s", row->name);
        *(int *)member = (int)count;
        break;
    case OPTION_OVERRIDE:
        options->overrides[options->override_count++] = argument;
        break;
    case OPTION_EPOCHS:
        snprintf(options->epochs, sizeof(options->epochs), "run.epochs=%s", argument);
        options->overrides[options->override_count++] = options->epochs;
        break;
    }
    return 0;
}

/* Options in any place. Leaves optind at the first operand, behind which all others have been moved. */
static int read_options(struct options *options, int argc, char **argv, int *given, struct error *error)
{
    struct option table[ROWS + 1] = {{0}};
    int choice, row;

    for (int i = 0; i < ROWS; i++)
        table[i] = (struct option){rows[i].name, rows[i].argument ? required_argument : no_argument, NULL, 'o'};
    opterr = 0;
    optind = 1;
    while ((choice = getopt_long(argc, argv, ":", table, &row)) != -1) {
        if (choice == ':')
            return error_set(error, "%s needs a value", argv[optind - 1]);
        if (choice != 'o' && optopt != 0)
            return error_set(error, "unknown option -%c; tpcoord --help lists them", optopt);
        if (choice != 'o')
            return error_set(error, "unknown option %s; tpcoord --help lists them", argv[optind - 1]);
        if (apply(options, &rows[row], optarg, error))
            return -1;
        *given |= 1 << row;
    }
    return 0;
}

static int read_operands(struct options *options, int count, char **operands, struct error *error)
{
    for (int v = 0; v < VERBS && count > 0; v++) {
        if (strcmp(operands[0], verbs[v].name) == 0) {
            options->verb = (enum verb)v;
            operands++;
            count--;
            break;
        }
    }
    const struct verb_row *verb = &verbs[options->verb];
    if (count > verb->takes_config)
        return error_set(error, "what is \"%s\"? usage: tpcoord %s", operands[verb->takes_config], verb->usage);
    if (count < verb->takes_config)
        return error_set(error, "which config? usage: tpcoord %s", verb->usage);
    if (verb->takes_config)
        options->config = operands[0];
    return 0;
}

static int check_combination(const struct options *options, int given, struct error *error)
{
    for (int i = 0; i < ROWS; i++)
        if (given & 1 << i && !(rows[i].verbs & 1 << options->verb))
            return error_set(error, "--%s does not go with tpcoord %s", rows[i].name, verbs[options->verb].name);
    if (!options->grid && options->slots)
        return error_set(error, "--slots goes with --grid");
    if (!options->grid && !options->simulate && options->minibatches)
        return error_set(error, "--minibatches goes with --grid or --simulate");
    if (options->verb == VERB_PLAN && !options->simulate && options->trace)
        return error_set(error, "--trace goes with --simulate, or with tpcoord run");
    if (options->grid && options->simulate)
        return error_set(error, "--grid and --simulate do not go together");
    if (options->json && options->trace && strcmp(options->json, "-") == 0 && strcmp(options->trace, "-") == 0)
        return error_set(error, "--json and --trace cannot both have standard output");
    if (options->json && options->csv && strcmp(options->json, "-") == 0 && strcmp(options->csv, "-") == 0)
        return error_set(error, "--json and --csv cannot both have standard output");
    if (options->grid && options->json)
        return error_set(error, "--grid and --json do not go together");
    return 0;
}

int options_read(struct options *options, int argc, char **argv, struct error *error)
{
    int given = 0;

    *options = (struct options){.overrides = calloc((size_t)argc, sizeof(*options->overrides))};
    if (!options->overrides)
        return error_set(error, "out of memory");
    if (read_options(options, argc, argv, &given, error))
        return -1;
    if (options->help || options->help_keys || options->version)
        return 0;
    if (read_operands(options, argc - optind, argv + optind, error))
        return -1;
    return check_combination(options, given, error);
}

void options_release(struct options *options)
{
    free(options->overrides);
}
