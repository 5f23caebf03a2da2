/* tpcoord run: trains. */
#include <string.h>

#include "coordinator/command.h"
#include "coordinator/launch.h"
#include "coordinator/outputs.h"
#include "coordinator/resume.h"
#include "coordinator/run.h"
#include "coordinator/world.h"

/* What a run writes while it runs. */
struct run_outputs {
    FILE *trace_file, *record_file, *steps_file, *json_file;
    struct outlet *trace, *record, *steps; /* NULL: was not asked for */
    struct standard_outlets standard;
};

static int begin_outputs(struct run_outputs *outputs, struct error *error)
{
    if (output_begin_outlet(&outputs->trace, outputs->trace_file, error) == 0 &&
        output_begin_outlet(&outputs->record, outputs->record_file, error) == 0 &&
        output_begin_outlet(&outputs->steps, outputs->steps_file, error) == 0 &&
        standard_outlets_begin(&outputs->standard, error) == 0)
        return 0;
    outlet_close(outputs->trace);
    outlet_close(outputs->record);
    outlet_close(outputs->steps);
    return -1;
}

static enum exit_status end_outputs(struct run_outputs *outputs, struct signals *signals, enum exit_status status)
{
    status = output_end_steps(outputs->steps, signals, status);
    outlet_close(outputs->trace);
    outlet_close(outputs->record);
    return output_end_standard(&outputs->standard, signals, status);
}

static enum exit_status run_prepared(const struct options *options, struct prepared *prepared,
                                     const struct shared_data *data, struct signals *signals,
                                     struct run_outputs *outputs, json_t *report)
{
    const bool taken = outputs->json_file == stdout || outputs->trace_file == stdout ||
                       outputs->record_file == stdout || outputs->steps_file == stdout;
    struct error error;

    if (begin_outputs(outputs, &error))
        return command_fail(EXIT_FAILED, &error);
    const struct run_request request = {
        .plan = &prepared->plan,
        .folder = &prepared->folder,
        .data = data->descriptor,
        .from = prepared->from.manifest.stage_count > 0 ? &prepared->from : NULL,
        .program = options->program,
        .config = options->config,
        .overrides = options->overrides,
        .override_count = options->override_count,
        .hosts = options->hosts,
        .launch = options->launch,
        .joins = world_find().size > 1,
        .signals = signals,
        .out = taken ? stderr : stdout,
        .standard = &outputs->standard,
        .trace = outputs->trace,
        .record = outputs->record,
        .steps = outputs->steps,
        .steps_form = options->steps ? steps_form_of(options->steps) : STEPS_CSV,
        .interactive = options->interactive != NULL,
        .paused = options->interactive && strcmp(options->interactive, "paused") == 0,
        .slow = options->interactive && strcmp(options->interactive, "slow") == 0,
        .quiet = options->quiet,
    };

    if (request.steps)
        steps_head(outlet_stream(request.steps), request.steps_form);
    prepared_say_gpu_left_out(prepared);
    if (request.from)
        resume_print(request.out, request.from, &prepared->folder, &prepared->plan, options->config);
    if (!options->quiet) {
        command_print_plan(request.out, prepared);
        fputc('\n', request.out);
        fflush(request.out);
    }
    return end_outputs(outputs, signals, run_execute(&request, report));
}

/* One of those that a user's own mpirun has started: rank 0 is the coordinator, and the others are nodes. */
static enum exit_status join_world(const struct options *options, struct world world)
{
    struct error error;

    if (world.size == 1)
        return EXIT_DONE;
    if (!options->hosts || options->launch) {
        world_refuse(world,
                     options->hosts ? "--launch would start others: leave it out"
                                    : "start one; or name the hosts that they are on, as in --hosts a:2,b:2, for "
                                      "one run on all of them",
                     &error);
        return world.rank > 0 ? EXIT_USAGE : command_fail(EXIT_USAGE, &error);
    }
    if (world.rank == 0)
        return EXIT_DONE;
    world_become_node(&error);
    return command_fail(EXIT_FAILED, &error);
}

enum exit_status command_run(const struct options *options)
{
    struct preparation preparation = command_preparation(options);
    struct prepared prepared;
    struct run_outputs outputs = {.json_file = NULL};
    struct signals signals;
    struct error error;
    struct shared_data data = {.descriptor = 0};

    if (options->hosts && launch_check(options->launch, &error))
        return command_fail(EXIT_USAGE, &error);
    enum exit_status status = join_world(options, world_find());
    if (status != EXIT_DONE)
        return status;
    /* Before anything is made: an interruption that comes while the run is prepared waits until it can be cleaned up. */
    if (signals_take(&signals, &error))
        return command_fail(EXIT_FAILED, &error);
    preparation.depth = PREPARE_RUN;
    preparation.data = &data;
    preparation.resume = options->resume;
    preparation.signals = &signals;
    status = prepare(&prepared, &preparation);
    if (status == EXIT_DONE) {
        json_t *report = command_plan_json(&prepared);

        if (output_open(&outputs.json_file, "--json", options->json) ||
            output_open(&outputs.trace_file, "--trace", options->trace) ||
            output_open(&outputs.record_file, "--record", options->record) ||
            output_open(&outputs.steps_file, "--steps", options->steps))
            status = EXIT_USAGE;
        else
            status = run_prepared(options, &prepared, &data, &signals, &outputs, report);
        /* From here on nothing is left to clean up, and who waits for a reader can be interrupted. */
        prepared_release(&prepared);
        signals_release(&signals);
        if (status != EXIT_USAGE && outputs.json_file) {
            enum exit_status written = output_write_json(outputs.json_file, options->json, report);

            status = status == EXIT_DONE ? written : status;
        }
        json_decref(report);
        output_close(outputs.json_file);
        output_close(outputs.trace_file);
        output_close(outputs.record_file);
        output_close(outputs.steps_file);
    }
    shared_data_release(&data);
    signals_release(&signals);
    return status;
}
