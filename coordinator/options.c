#include "coordinator/options.h"

#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/command_line.h"
#include "base/guess.h"
#include "coordinator/draw_plan.h"
#include "coordinator/examples.h"

enum {
    WITH_RUN = 1 << VERB_RUN,
    WITH_PLAN = 1 << VERB_PLAN,
    WITH_COMPARE = 1 << VERB_COMPARE,
    WITH_TEST = 1 << VERB_TEST,
    WITH_SAMPLE = 1 << VERB_SAMPLE,
    WITH_NETWORK = 1 << VERB_NETWORK,
    WITH_DEVICES = 1 << VERB_DEVICES,
    WITH_CONFIG = WITH_RUN | WITH_PLAN | WITH_COMPARE,
    WITH_ANY = (1 << VERBS) - 1 - (1 << VERB_COMPLETE)
};

static int read_override(void *context, const char *argument, struct error *error)
{
    struct options *options = context;
    const char *equals = strchr(argument, '=');

    if (!equals || equals[1] == '\0')
        return error_set(error, "\"%s\" is no SECTION.KEY=VALUE; it is one word: blanks in it need quotes", argument);
    options->overrides[options->override_count++] = argument;
    return 0;
}

static int read_epochs(void *context, const char *argument, struct error *error)
{
    struct options *options = context;

    snprintf(options->epochs, sizeof(options->epochs), "run.epochs=%s", argument);
    return read_override(options, options->epochs, error);
}

static int read_init(void *context, const char *argument, struct error *error)
{
    struct options *options = context;

    if (argument[0] == '\0')
        return error_set(error, "which file? --init FILE");
    if (strlen(argument) >= CONFIG_PATH_MAX)
        return error_set(error, "the path is longer than %d characters", CONFIG_PATH_MAX - 1);
    snprintf(options->init, sizeof(options->init), "model.init=%s", argument);
    return read_override(options, options->init, error);
}

/* clang-format off */
static const struct option_row rows[] = {
    {"set", "SECTION.KEY=VALUE", OPTION_OWN, 0, WITH_CONFIG | WITH_TEST | WITH_NETWORK,
     .help = "override a key of the config; may be repeated", .read = read_override},
    {"epochs", "N", OPTION_OWN, 0, WITH_CONFIG, .help = "short for --set run.epochs=N", .read = read_epochs},
    {"resume", "[=DIR]", OPTION_PERHAPS, offsetof(struct options, resume), WITH_RUN,
     .help = "go on from the newest checkpoint of this config's last run, or of the one in DIR"},
    {"init", "FILE", OPTION_OWN, 0, WITH_CONFIG, .help = "short for --set model.init=FILE: begin with these weights",
     .read = read_init},
    {"json", "FILE", OPTION_TEXT, offsetof(struct options, json), WITH_CONFIG | WITH_TEST | WITH_NETWORK | WITH_DEVICES,
     .help = "write plan, report, comparison, test, network or devices as JSON; -: to standard output"},
    {"trace", "FILE", OPTION_TEXT, offsetof(struct options, trace), WITH_RUN | WITH_PLAN,
     .help = "write every op, run or simulated, as a Chrome trace for ui.perfetto.dev"},
    {"record", "FILE", OPTION_TEXT, offsetof(struct options, record), WITH_RUN | WITH_PLAN,
     .help = "record the run, or the simulated one, for tpmon --replay; at most run.record_mib of it"},
    {"steps", "FILE", OPTION_TEXT, offsetof(struct options, steps), WITH_RUN | WITH_COMPARE,
     .help = "write loss, rate, time, v and staleness of every mini-batch, and each test, as CSV or .jsonl"},
    {"interactive", "[=HOW]", OPTION_PERHAPS, offsetof(struct options, interactive), WITH_RUN,
     .help = "let tpmon pause, step and slow the run; paused: hold each stage before its first op; slow: begin slowly"},
    {"quiet", NULL, OPTION_FLAG, offsetof(struct options, quiet), WITH_RUN | WITH_COMPARE | WITH_TEST,
     .help = "no progress, and only the report's essentials, or the comparison"},
    {"hosts", "A:2,B:2", OPTION_TEXT, offsetof(struct options, hosts), WITH_RUN | WITH_PLAN,
     .help = "stages of each host, in order, this one first; slurm: the allocation's hosts"},
    {"launch", "WORDS", OPTION_TEXT, offsetof(struct options, launch), WITH_RUN | WITH_PLAN,
     .help = "with --hosts: what starts a process on each host, in place of mpirun and its options"},
    {"grid", NULL, OPTION_FLAG, offsetof(struct options, grid), WITH_PLAN,
     .help = "print only the schedule, one line per stage"},
    {"slots", "K", OPTION_COUNT, offsetof(struct options, ticks), WITH_PLAN,
     .help = "of the grid or its picture; default: until stage 1 is done with three mini-batches"},
    {"svg", "FILE", OPTION_TEXT, offsetof(struct options, pictures[PICTURE_SVG]), WITH_PLAN,
     .help = "draw the schedule, a column per unit of time; with --simulate, in the times predicted"},
    {"pdf", "FILE", OPTION_TEXT, offsetof(struct options, pictures[PICTURE_PDF]), WITH_PLAN, .help = "the same as PDF"},
    {"png", "FILE", OPTION_TEXT, offsetof(struct options, pictures[PICTURE_PNG]), WITH_PLAN, .help = "the same as PNG"},
    {"beside", "A,B", OPTION_TEXT, offsetof(struct options, beside), WITH_PLAN,
     .help = "draw the schedules of these systems below it"},
    {"stage", "S", OPTION_COUNT, offsetof(struct options, stage), WITH_PLAN,
     .help = "with --versions: which weight versions the stage holds after each op, and who still reads them"},
    {"versions", NULL, OPTION_FLAG, offsetof(struct options, versions), WITH_PLAN,
     .help = "write on each op of the grid, or the picture, which weight versions it reads and makes"},
    {"simulate", NULL, OPTION_FLAG, offsetof(struct options, simulate), WITH_PLAN | WITH_COMPARE,
     .help = "predict time, waits and staleness, from measured times or those in [simulation]"},
    {"minibatches", "K", OPTION_COUNT, offsetof(struct options, minibatches), WITH_PLAN | WITH_COMPARE,
     .help = "that --grid, --csv, --simulate or a picture simulates; default: an epoch's"},
    {"systems", "A,B,C", OPTION_TEXT, offsetof(struct options, systems), WITH_COMPARE,
     .help = "compare these; default: all that tpcoord systems lists"},
    {"seeds", "1,2,3", OPTION_TEXT, offsetof(struct options, seeds), WITH_COMPARE,
     .help = "run each system with each seed, for means and deviations"},
    {"target", "TOP1", OPTION_TEXT, offsetof(struct options, target), WITH_COMPARE,
     .help = "count the epochs to this test top-1, such as 0.85 or 85%"},
    {"csv", "FILE", OPTION_TEXT, offsetof(struct options, csv), WITH_COMPARE | WITH_PLAN,
     .help = "write the comparison, or the plan's schedule as PyTorch has it, as CSV; -: to standard output"},
    {"plot", "FILE", OPTION_TEXT, offsetof(struct options, plot), WITH_COMPARE,
     .help = "draw losses and top-1 by epoch, memory and schedules; FILE ends with .svg, .pdf or .png"},
    {"prompt", "TEXT", OPTION_TEXT, offsetof(struct options, prompt), WITH_SAMPLE,
     .help = "what the text begins with; default: a new line"},
    {"tokens", "K", OPTION_COUNT, offsetof(struct options, tokens), WITH_SAMPLE,
     .help = "bytes to write; default: 500"},
    {"temperature", "T", OPTION_TEXT, offsetof(struct options, temperature), WITH_SAMPLE,
     .help = "1: as likely as the network says; lower: likelier bytes; 0: always the likeliest; default: 0.8"},
    {"seed", "S", OPTION_COUNT, offsetof(struct options, seed), WITH_SAMPLE,
     .help = "another seed draws another text; default: 1"},
    {"sweep", "SECTION.KEY=A,B", OPTION_TEXT, offsetof(struct options, sweep), WITH_COMPARE,
     .help = "with --simulate: a table for each value, such as pipeline.stages=2,4,8"},
    {"types", NULL, OPTION_FLAG, offsetof(struct options, types), WITH_NETWORK,
     .help = "list the layer types that a network file can name, with their arguments"},
    {"help-keys", NULL, OPTION_FLAG, offsetof(struct options, help_keys), WITH_ANY, .help = "list the config's keys"},
    {"help", NULL, OPTION_FLAG, offsetof(struct options, help), WITH_ANY, .help = "print this; behind a command, about that command", .letter = 'h'},
    {"version", NULL, OPTION_FLAG, offsetof(struct options, version), WITH_ANY,
     .help = "print the version and the backends that are built in", .letter = 'V'},
};
/* clang-format on */

enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct command_line line = {"tpcoord", rows, ROWS};

const struct command_line *options_line(void)
{
    return &line;
}

/* A word that stands where a command or a config may stand, and is neither. */
static int refuse_first(const char *word, const char *call, struct error *error)
{
    char meant[GUESS_TEXT_MAX];
    struct guess guess;

    guess_begin(&guess, word);
    for (int v = 0; v < VERBS; v++)
        guess_consider(&guess, commands[v].name);
    return error_set(error, "\"%s\" is neither a command nor a file; %s%s --help lists the commands", word,
                     guess_text(&guess, "", " ", meant), call);
}

/* A path, or a file that is there. */
static bool is_like_file(const char *word)
{
    return strpbrk(word, "./") || access(word, F_OK) == 0;
}

static int read_operands(struct options *options, int count, char **operands, struct error *error)
{
    const struct command *command = count > 0 ? command_find(operands[0]) : NULL;
    char config[PATH_MAX];

    if (command) {
        options->verb = (enum verb)(command - commands);
        operands++;
        count--;
    } else if (count > 0 && !is_like_file(operands[0])) {
        return refuse_first(operands[0], options->program, error);
    }
    command = &commands[options->verb];
    options->words = operands;
    if (command->operand == OPERAND_WORDS)
        return 0;
    const int most = command->operand != OPERAND_NONE;
    if (count > most && options->resume && !options->resume[0])
        return error_set(error, "a folder to resume from goes into the same word: --resume=DIR; else, what is \"%s\"?",
                         operands[1]);
    if (count > most)
        return error_set(error, "what is \"%s\"? usage: tpcoord %s", operands[most], command->usage);
    if (count == 0 && command->operand == OPERAND_CONFIG)
        return error_set(error, "which config? usage: tpcoord %s; for example %s%s%s %s", command->usage,
                         options->program, options->verb == VERB_RUN ? "" : " ",
                         options->verb == VERB_RUN ? "" : command->name, example_config(config, "resnet.ini"));
    if (count == 0 && command->operand == OPERAND_RUN)
        return error_set(error, "which run? usage: tpcoord %s", command->usage);
    const char *operand = count > 0 ? operands[0] : NULL;
    options->config = command->operand == OPERAND_CONFIG ? operand : NULL;
    options->run = command->operand == OPERAND_RUN ? operand : NULL;
    options->network = command->operand == OPERAND_NETWORK ? operand : NULL;
    options->topic = command->operand == OPERAND_TOPIC || command->operand == OPERAND_NAME ? operand : NULL;
    options->help = options->help || options->verb == VERB_HELP;
    return 0;
}

static int check_resume(const char *folder, struct error *error)
{
    struct stat status;

    if (!folder || !folder[0])
        return 0;
    if (stat(folder, &status))
        return error_set(error, "--resume: %s: %s", folder, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        return error_set(error, "--resume: %s is no folder; give a run's, or a checkpoint's", folder);
    return 0;
}

bool options_draw(const struct options *options)
{
    for (int format = 0; format < PICTURE_FORMATS; format++)
        if (options->pictures[format])
            return true;
    return false;
}

static int check_plot(const struct options *options, struct error *error)
{
    enum picture_format format;

    if (!options->plot)
        return 0;
    if (picture_format_of(options->plot, &format, error) || picture_check(format, options->plot, error))
        return error_prefix(error, "--plot");
    return 0;
}

/* Every option that names a file to write; --init reads its own. */
static int check_standard_output(const struct options *options, struct error *error)
{
    int count = 0;

    for (int i = 0; i < ROWS; i++) {
        const void *member = (const char *)options + rows[i].offset;
        const bool file = rows[i].type == OPTION_TEXT && strcmp(rows[i].argument, "FILE") == 0;
        const char *path = file ? *(const char *const *)member : NULL;

        count += path && strcmp(path, "-") == 0;
    }
    return count > 1 ? error_set(error, "only one file can go to standard output") : 0;
}

static int check_pictures(const struct options *options, struct error *error)
{
    const bool draws = options_draw(options);

    for (int format = 0; format < PICTURE_FORMATS; format++) {
        const char *path = options->pictures[format];

        if (path && picture_check((enum picture_format)format, path, error))
            return error_prefix(error, "--%s", picture_format_name((enum picture_format)format));
    }
    if (!draws && options->beside)
        return error_set(error, "--beside goes with --svg, --pdf or --png");
    if (options->beside && plan_check_beside(options->beside, error))
        return -1;
    if (!draws && !options->grid && !options->stage && options->versions)
        return error_set(error, "--versions goes with --grid, with --stage K, or with --svg, --pdf or --png");
    if (options->stage &&
        (!options->versions || draws || options->grid || options->json || options->csv || options->simulate))
        return error_set(error,
                         "--stage goes with --versions alone: it lists the stage's weight versions, tick by tick");
    if (draws && options->csv)
        return error_set(error, "--csv writes a schedule, not a picture; give it alone");
    if (draws && options->json && !options->simulate)
        return error_set(error, "--json and a picture go together with --simulate only");
    return 0;
}

static int check_simulated_comparison(const struct options *options, struct error *error)
{
    if (options->verb != VERB_COMPARE)
        return 0;
    if (!options->simulate && (options->sweep || options->minibatches))
        return error_set(error, "--%s goes with --simulate", options->sweep ? "sweep" : "minibatches");
    if (options->simulate &&
        (options->json || options->csv || options->steps || options->plot || options->seeds || options->target))
        return error_set(error, "compare --simulate trains nothing: it goes with --systems, --sweep and --minibatches");
    if (options->sweep && !strchr(options->sweep, '='))
        return error_set(error, "--sweep: \"%s\" is no SECTION.KEY=A,B,C", options->sweep);
    return 0;
}

static int check_combination(const struct options *options, uint64_t given, struct error *error)
{
    for (int i = 0; i < ROWS; i++)
        if (given & (uint64_t)1 << i && !(rows[i].verbs & 1 << options->verb))
            return error_set(error, "--%s does not go with tpcoord %s", rows[i].name, commands[options->verb].name);
    if (options->init[0] && options->resume)
        return error_set(error,
                         "--init and --resume do not go together: a run that goes on has its checkpoint's weights");
    if (check_pictures(options, error) || check_plot(options, error))
        return -1;
    if (options->ticks && (options->simulate || (!options->grid && !options->stage && !options_draw(options))))
        return error_set(error, "--slots goes with --grid, --stage, or with a picture of ticks");
    if (options->verb == VERB_PLAN && options->minibatches && !options->grid && !options->stage && !options->simulate &&
        !options->csv && !options_draw(options))
        return error_set(error, "--minibatches goes with --grid, --csv, --simulate or a picture");
    if (options->verb == VERB_PLAN && !options->simulate && options->trace)
        return error_set(error, "--trace goes with --simulate, or with tpcoord run");
    if (options->verb == VERB_PLAN && !options->simulate && options->record)
        return error_set(error, "--record goes with --simulate, or with tpcoord run");
    if (options->interactive && *options->interactive && strcmp(options->interactive, "paused") != 0 &&
        strcmp(options->interactive, "slow") != 0)
        return error_set(error, "--interactive is followed by nothing, =paused or =slow, not by \"=%s\"",
                         options->interactive);
    if (options->launch && !options->hosts)
        return error_set(error, "--launch goes with --hosts");
    if (options->verb == VERB_PLAN && options->launch && !options->simulate)
        return error_set(error, "--launch goes with --simulate, or with tpcoord run: else a plan starts nothing");
    if (options->hosts && (options->grid || options->stage || options->csv))
        return error_set(error, "--hosts does not change a schedule: it goes with none of --grid, --stage and --csv");
    if (options->grid && options->simulate)
        return error_set(error, "--grid and --simulate do not go together");
    if (options->json && options->trace && strcmp(options->json, "-") == 0 && strcmp(options->trace, "-") == 0)
        return error_set(error, "--json and --trace cannot both have standard output");
    if (options->json && options->csv && strcmp(options->json, "-") == 0 && strcmp(options->csv, "-") == 0)
        return error_set(error, "--json and --csv cannot both have standard output");
    if (check_standard_output(options, error))
        return -1;
    if (options->grid && options->json)
        return error_set(error, "--grid and --json do not go together");
    if (options->verb == VERB_PLAN && options->csv && (options->grid || options->json || options->simulate))
        return error_set(error, "--csv goes with neither --grid nor --json nor --simulate");
    if (options->verb == VERB_NETWORK && !options->network && (options->json || options->override_count > 0))
        return error_set(error, "which network? usage: tpcoord %s", commands[VERB_NETWORK].usage);
    if (options->types && options->network)
        return error_set(error, "--types is about all networks; it takes no name");
    if (check_simulated_comparison(options, error))
        return -1;
    return check_resume(options->resume, error);
}

int options_read(struct options *options, int argc, char **argv, struct error *error)
{
    uint64_t given = 0;

    *options = (struct options){.program = argv[0] && argv[0][0] ? argv[0] : line.program,
                                .overrides = calloc((size_t)argc, sizeof(*options->overrides))};
    if (!options->overrides)
        return error_set(error, "out of memory");
    const struct command *first = argc > 1 ? command_find(argv[1]) : NULL;
    if (first && (first->operand == OPERAND_TOPIC || first->operand == OPERAND_WORDS))
        return read_operands(options, argc - 1, argv + 1, error);
    if (command_line_read(&line, options, argc, argv, &given, error))
        return -1;
    if (options->help && optind < argc && command_find(argv[optind]))
        options->topic = argv[optind];
    if (options->help || options->help_keys || options->version)
        return 0;
    if (read_operands(options, argc - optind, argv + optind, error))
        return -1;
    return options->help ? 0 : check_combination(options, given, error);
}

void options_release(struct options *options)
{
    free(options->overrides);
}
