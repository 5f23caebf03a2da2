#include "monitor/arguments.h"

#include <getopt.h>
#include <stddef.h>
#include <string.h>

#include "base/command_line.h"
#include "base/guess.h"
#include "base/parse.h"

#define SECONDS_MAX 1e7

static int read_view(void *context, const char *argument, struct error *error)
{
    struct arguments *arguments = context;
    char meant[GUESS_TEXT_MAX];
    struct guess guess;

    guess_begin(&guess, argument);
    for (int v = 0; v < VIEWS; v++) {
        guess_consider(&guess, view_name((enum view)v));
        if (strcmp(argument, view_name((enum view)v)) == 0) {
            arguments->view = (enum view)v;
            return 0;
        }
    }
    return error_set(error, "\"%s\" is no view: %suse schedule, versions, memory or training", argument,
                     guess_text(&guess, "", " ", meant));
}

static int read_at(void *context, const char *argument, struct error *error)
{
    return parse_double(&((struct arguments *)context)->at, argument, 0, SECONDS_MAX, error);
}

static int read_span(void *context, const char *argument, struct error *error)
{
    return parse_double(&((struct arguments *)context)->span, argument, 1e-6, SECONDS_MAX, error);
}

/* clang-format off */
static const struct option_row rows[] = {
    {"list", NULL, OPTION_FLAG, offsetof(struct arguments, list), 0, .help = "list your runs that are going, the newest first"},
    {"replay", "FILE", OPTION_TEXT, offsetof(struct arguments, replay), 0,
     .help = "play what tpcoord --record wrote; FILE may be a run's folder"},
    {"view", "VIEW", OPTION_OWN, 0, 0, .help = "begin with schedule, versions, memory or training", .read = read_view},
    {"once", NULL, OPTION_FLAG, offsetof(struct arguments, once), 0,
     .help = "print one view as plain text and exit; of a recording, its end, or --at"},
    {"at", "SECONDS", OPTION_OWN, 0, 0, .help = "begin there in the recording", .read = read_at},
    {"svg", "FILE", OPTION_TEXT, offsetof(struct arguments, pictures[PICTURE_SVG]), 0,
     .help = "draw what the stages did before now, or --at, and exit; -: to standard output"},
    {"pdf", "FILE", OPTION_TEXT, offsetof(struct arguments, pictures[PICTURE_PDF]), 0, .help = "the same as PDF"},
    {"png", "FILE", OPTION_TEXT, offsetof(struct arguments, pictures[PICTURE_PNG]), 0, .help = "the same as PNG"},
    {"span", "SECONDS", OPTION_OWN, 0, 0, .help = "of time that the picture shows", .read = read_span},
    {"versions", NULL, OPTION_FLAG, offsetof(struct arguments, versions), 0,
     .help = "write on its ops which weight versions they read and make"},
    {"trace", "FILE", OPTION_TEXT, offsetof(struct arguments, trace), 0,
     .help = "write the recording as a Chrome trace for ui.perfetto.dev, and exit"},
    {"width", "COLUMNS", OPTION_COUNT, offsetof(struct arguments, width), 0, .help = "of --once; default 80"},
    {"height", "LINES", OPTION_COUNT, offsetof(struct arguments, height), 0, .help = "of --once; default 24"},
    {"no-mouse", NULL, OPTION_FLAG, offsetof(struct arguments, no_mouse), 0,
     .help = "leave the mouse to the terminal, which selects text; the key m does so, too"},
    {"ascii", NULL, OPTION_FLAG, offsetof(struct arguments, ascii), 0, .help = "draw with ASCII characters only"},
    {"help", NULL, OPTION_FLAG, offsetof(struct arguments, help), 0, .help = "print this", .letter = 'h'},
    {"version", NULL, OPTION_FLAG, offsetof(struct arguments, version), 0, .help = "print the version", .letter = 'V'},
};
/* clang-format on */

static const struct command_line line = {"tpmon", rows, sizeof(rows) / sizeof(rows[0])};

/* A canvas has a cell for each place. */
enum { SIZE_MAX_GIVEN = 1000 };

void arguments_print_help(FILE *out)
{
    fputs("Shows how a pipeline trains, live or recorded.\n\n"
          "usage: tpmon [RUN]          watch the newest run, or the one of this name or folder\n"
          "       tpmon --replay FILE [FILE]  watch a recorded one, or two on one clock\n"
          "       tpmon --list\n\n",
          out);
    command_line_print(&line, 0, out);
    fputs("\n? shows the keys. The environment's NO_COLOR turns colours off.\n"
          "exit status: 0 done, 1 there is no such run or recording, 2 usage\n",
          out);
}

bool arguments_draw(const struct arguments *arguments)
{
    for (int format = 0; format < PICTURE_FORMATS; format++)
        if (arguments->pictures[format])
            return true;
    return false;
}

static int check_pictures(const struct arguments *arguments, struct error *error)
{
    const bool draws = arguments_draw(arguments);
    int standard = 0;

    for (int format = 0; format < PICTURE_FORMATS; format++) {
        const char *path = arguments->pictures[format];

        if (path && picture_check((enum picture_format)format, path, error))
            return error_prefix(error, "--%s", picture_format_name((enum picture_format)format));
        standard += path && strcmp(path, "-") == 0;
    }
    if (standard > 1)
        return error_set(error, "only one file can go to standard output");
    if (draws && (arguments->once || arguments->list))
        return error_set(error, "a picture goes with neither --once nor --list");
    if (!draws && (arguments->span > 0 || arguments->versions))
        return error_set(error, "--%s goes with --svg, --pdf or --png", arguments->versions ? "versions" : "span");
    if (arguments->trace && (!arguments->replay || draws || arguments->once || arguments->at >= 0))
        return error_set(error, "--trace goes with --replay alone");
    if (arguments->at >= 0 && !arguments->replay)
        return error_set(error, "--at goes with --replay: of a run that is going there is only now");
    return 0;
}

int arguments_read(struct arguments *arguments, int argc, char **argv, struct error *error)
{
    uint64_t given = 0;

    *arguments = (struct arguments){.at = -1};
    program_beside(arguments->coordinator, argv[0], "tpcoord");
    if (command_line_read(&line, arguments, argc, argv, &given, error))
        return -1;
    if (argc - optind > 1)
        return error_set(error, "what is \"%s\"? tpmon watches one run", argv[optind + 1]);
    if (argc > optind)
        arguments->run = argv[optind];
    if (arguments->run && arguments->replay) {
        arguments->beside = arguments->run;
        arguments->run = NULL;
    }
    if (arguments->beside && arguments_draw(arguments))
        return error_set(error, "a picture is of one recording, not of \"%s\" as well", arguments->beside);
    if (arguments->list && (arguments->run || arguments->replay || arguments->once))
        return error_set(error, "--list goes alone");
    if (!arguments->once && (arguments->width || arguments->height))
        return error_set(error, "--width and --height go with --once; a terminal has its own");
    if (arguments->width > SIZE_MAX_GIVEN || arguments->height > SIZE_MAX_GIVEN)
        return error_set(error, "--width and --height go up to %d", SIZE_MAX_GIVEN);
    return check_pictures(arguments, error);
}
