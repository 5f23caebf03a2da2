/* tpcoord: plans a run from its config and carries it out. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/program.h"
#include "base/version.h"
#include "coordinator/command.h"
#include "coordinator/devices.h"
#include "coordinator/outputs.h"
#include "coordinator/signals.h"
#include "coordinator/world.h"

/* What trains answers an interruption itself, once it has cleaned up; and is not done once by each of several processes. */
static const struct {
    command_function *function;
    bool takes_signals, alone;
} carried_out[VERBS] = {
    [VERB_RUN] = {.function = command_run, .takes_signals = true}, /* which several may share */
    [VERB_PLAN] = {.function = command_plan},
    [VERB_COMPARE] = {.function = command_compare, .takes_signals = true, .alone = true},
    [VERB_TEST] = {.function = command_test, .takes_signals = true, .alone = true},
    [VERB_SAMPLE] = {.function = command_sample},
    [VERB_NETWORK] = {.function = command_network},
    [VERB_SYSTEMS] = {.function = command_systems},
    [VERB_DEVICES] = {.function = command_devices},
    [VERB_DEMO] = {.function = command_demo, .takes_signals = true, .alone = true},
    [VERB_EXPLAIN] = {.function = command_explain},
    [VERB_HELP] = {.function = command_help},
    [VERB_COMPLETE] = {.function = command_complete},
};

static void print_version(void)
{
    char backends[128];

    printf("tpcoord %s (backends: %s)\n", version_text(), devices_backends(PLACES, backends));
}

static enum exit_status carry_out(const struct options *options)
{
    const struct world world = world_find();
    struct error error;

    if (carried_out[options->verb].alone && world_refuse(world, "start one", &error))
        return world.rank > 0 ? EXIT_USAGE : command_fail(EXIT_USAGE, &error);
    return carried_out[options->verb].function(options);
}

static enum exit_status dispatch(const struct options *options)
{
    const bool asks = options->help || options->help_keys || options->version;

    if (asks || !carried_out[options->verb].takes_signals)
        signals_unblock();
    if (options->help)
        return command_help(options);
    if (options->help_keys)
        config_print_keys(stdout);
    else if (options->version)
        print_version();
    else
        return carry_out(options);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error error;

    program_begin();
    /* Whoever started us may ignore it; the kernel would then reap children before we can ask how they ended. */
    signal(SIGCHLD, SIG_DFL);
    /* What only prints ends with its reader, without a word; what trains goes on (signals_take). */
    signal(SIGPIPE, SIG_DFL);
    /* A file beyond the limit is an error like a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    enum exit_status status;

    if (options_read(&options, argc, argv, &error))
        status = command_fail(EXIT_USAGE, &error);
    else
        status = dispatch(&options);
    options_release(&options);
    /* What was printed may have gone nowhere: to a full disk. */
    if ((fflush(stdout) || ferror(stdout)) && status == EXIT_DONE && !output_reader_has_gone()) {
        error_set(&error, "standard output cannot be written: %s", strerror(errno));
        status = command_fail(EXIT_FAILED, &error);
    }
    return status;
}
