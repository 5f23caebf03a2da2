/* tpcoord plan: what would happen, as text, as a picture, as JSON or predicted. */
#include "coordinator/command.h"
#include "coordinator/draw_plan.h"
#include "coordinator/outputs.h"
#include "coordinator/record_prediction.h"
#include "coordinator/show_hosts.h"
#include "coordinator/show_plan.h"
#include "coordinator/show_prediction.h"
#include "telemetry/trace.h"

struct preparation command_preparation(const struct options *options)
{
    return (struct preparation){.path = options->config,
                                .overrides = options->overrides,
                                .override_count = options->override_count,
                                .hosts = options->hosts,
                                .launch = options->launch};
}

json_t *command_plan_json(const struct prepared *prepared)
{
    json_t *object = plan_json(&prepared->plan, prepared->network);

    json_object_set_new(object, "hosts", hosts_json(&prepared->plan));
    json_object_set_new(object, "crossings", crossings_json(&prepared->plan));
    json_object_set_new(object, "gpus", devices_used_json(&prepared->devices, &prepared->plan));
    return object;
}

void command_print_plan(FILE *out, const struct prepared *prepared)
{
    plan_print(out, &prepared->plan, prepared->network);
    hosts_print(out, &prepared->plan);
    devices_print_used(out, &prepared->devices, &prepared->plan);
}

static enum exit_status draw_plan(const struct options *options, const struct preparation *preparation,
                                  const struct plan *plan, FILE *files[PICTURE_FORMATS])
{
    return plan_draw(plan, &(struct drawing_request){.preparation = preparation,
                                                     .beside = options->beside,
                                                     .times = options->simulate,
                                                     .versions = options->versions,
                                                     .ticks = options->ticks,
                                                     .minibatches = options->minibatches,
                                                     .paths = options->pictures,
                                                     .files = files});
}

/* The schedule, as text, as a picture or both. */
static enum exit_status do_grid(const struct options *options)
{
    struct preparation preparation = command_preparation(options);
    FILE *files[PICTURE_FORMATS];
    struct prepared prepared;
    struct error error;

    preparation.depth = PREPARE_SCHEDULE;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    if (output_open_pictures(files, options->pictures))
        status = EXIT_USAGE;
    else if (options->stage &&
             plan_print_ledger(stdout, &prepared.plan, options->stage, options->ticks, options->minibatches, &error))
        status = command_fail(EXIT_USAGE, &error);
    else if (options->grid &&
             plan_print_grid(stdout, &prepared.plan, options->ticks, options->minibatches, options->versions, &error))
        status = command_fail(EXIT_FAILED, &error);
    else if (options_draw(options))
        status = draw_plan(options, &preparation, &prepared.plan, files);
    output_close_pictures(files);
    prepared_release(&prepared);
    return status;
}

static enum exit_status do_schedule_csv(const struct options *options)
{
    struct preparation preparation = command_preparation(options);
    struct prepared prepared;
    struct error error;
    FILE *out;

    preparation.depth = PREPARE_SCHEDULE;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    if (output_open(&out, "--csv", options->csv))
        status = EXIT_USAGE;
    else if (plan_write_csv(out, &prepared.plan, options->minibatches, &error))
        status = command_fail(EXIT_FAILED, &error);
    output_close(out);
    prepared_release(&prepared);
    return status;
}

/* What a plan is written to. */
struct plan_outputs {
    FILE *json, *trace, *record, *pictures[PICTURE_FORMATS];
};

/* Adds what the event simulator predicts to what is printed, to the JSON object and to the trace. */
static int show_prediction(FILE *table, json_t *object, const struct plan_outputs *outputs, const struct plan *plan,
                           int minibatches)
{
    struct prediction prediction;
    struct error error;
    int result = predict(&prediction, plan, minibatches, &error);

    if (result == 0) {
        if (table)
            prediction_print(table, &prediction, plan);
        json_object_set_new(object, "simulation", prediction_json(&prediction, plan));
        if (outputs->trace && trace_prediction(outputs->trace, plan, &prediction))
            result = error_set(&error, "the trace could not be written to its end");
        if (result == 0 && outputs->record)
            result = prediction_record(outputs->record, plan, &prediction, &error);
    }
    if (result)
        fprintf(stderr, "tpcoord: %s\n", error.text);
    prediction_release(&prediction);
    return result;
}

static int open_plan_outputs(struct plan_outputs *outputs, const struct options *options)
{
    *outputs = (struct plan_outputs){.json = NULL};
    return output_open(&outputs->json, "--json", options->json) ||
                   output_open(&outputs->trace, "--trace", options->trace) ||
                   output_open(&outputs->record, "--record", options->record) ||
                   output_open_pictures(outputs->pictures, options->pictures)
               ? -1
               : 0;
}

static void close_plan_outputs(struct plan_outputs *outputs)
{
    output_close(outputs->json);
    output_close(outputs->trace);
    output_close(outputs->record);
    output_close_pictures(outputs->pictures);
}

static bool standard_is_taken(const struct plan_outputs *outputs)
{
    bool taken = outputs->json == stdout || outputs->trace == stdout || outputs->record == stdout;

    for (int format = 0; format < PICTURE_FORMATS; format++)
        taken = taken || outputs->pictures[format] == stdout;
    return taken;
}

static enum exit_status show_plan(const struct options *options, const struct prepared *prepared,
                                  const struct plan_outputs *outputs)
{
    FILE *table = standard_is_taken(outputs) ? NULL : stdout;
    json_t *object = command_plan_json(prepared);
    enum exit_status status = EXIT_FAILED;

    if (table)
        command_print_plan(table, prepared);
    if (!options->simulate || show_prediction(table, object, outputs, &prepared->plan, options->minibatches) == 0)
        status = output_write_json(outputs->json, options->json, object);
    json_decref(object);
    return status;
}

/* Nodes on other machines may have to be ended. */
static enum exit_status prepare_on_hosts(struct prepared *prepared, struct preparation *preparation)
{
    struct signals signals;
    struct error error;

    if (signals_take(&signals, &error))
        return command_fail(EXIT_FAILED, &error);
    preparation->signals = &signals;
    const enum exit_status status = prepare(prepared, preparation);
    preparation->signals = NULL;
    preparation->cables = &prepared->plan;
    signals_release(&signals);
    /* What prints ends with its reader, as before. */
    signal(SIGPIPE, SIG_DFL);
    return status;
}

static enum exit_status do_whole_plan(const struct options *options)
{
    struct preparation preparation = command_preparation(options);
    struct plan_outputs outputs;
    struct prepared prepared;

    preparation.depth = PREPARE_PLAN;
    preparation.simulated = options->simulate;
    enum exit_status status = options->simulate && options->hosts ? prepare_on_hosts(&prepared, &preparation)
                                                                  : prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    prepared_say_gpu_left_out(&prepared);
    prepared_say_room(&prepared);
    status = open_plan_outputs(&outputs, options) ? EXIT_USAGE : show_plan(options, &prepared, &outputs);
    if (status == EXIT_DONE && options_draw(options))
        status = draw_plan(options, &preparation, &prepared.plan, outputs.pictures);
    close_plan_outputs(&outputs);
    prepared_release(&prepared);
    return status;
}

enum exit_status command_plan(const struct options *options)
{
    const bool schedule_only = options->grid || options->stage || (options_draw(options) && !options->simulate);

    return schedule_only ? do_grid(options) : options->csv ? do_schedule_csv(options) : do_whole_plan(options);
}
