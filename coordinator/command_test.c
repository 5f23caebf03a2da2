/* tpcoord test: a checkpoint on the test set. */
#include "coordinator/command.h"
#include "coordinator/outputs.h"
#include "coordinator/run.h"
#include "coordinator/tested.h"

static enum exit_status test_prepared(const struct options *options, struct prepared *prepared,
                                      const struct shared_data *data, struct signals *signals, FILE *json_file)
{
    FILE *out = json_file == stdout ? stderr : stdout;
    struct standard_outlets standard;
    struct error error;

    if (standard_outlets_begin(&standard, &error))
        return command_fail(EXIT_FAILED, &error);
    const struct run_request request = {
        .plan = &prepared->plan,
        .folder = &prepared->folder,
        .data = data->descriptor,
        .from = &prepared->from,
        .only_test = true,
        .signals = signals,
        .out = out,
        .standard = &standard,
        .quiet = options->quiet,
        .label = prepared->from.name,
    };
    json_t *report = command_plan_json(prepared);

    prepared_say_gpu_left_out(prepared);
    if (!options->quiet)
        tested_print_head(out, prepared);
    enum exit_status status = run_execute(&request, report);
    json_t *tested = status == EXIT_DONE ? tested_json(report, prepared) : NULL;
    if (tested)
        tested_print(out, tested);
    status = output_end_standard(&standard, signals, status);
    if (tested && status == EXIT_DONE)
        status = output_write_json(json_file, options->json, tested);
    json_decref(tested);
    json_decref(report);
    return status;
}

enum exit_status command_test(const struct options *options)
{
    struct shared_data data = {.descriptor = 0};
    struct prepared prepared;
    struct signals signals;
    struct error error;
    FILE *json_file;

    if (signals_take(&signals, &error))
        return command_fail(EXIT_FAILED, &error);
    const struct preparation preparation = {.test = options->run,
                                            .overrides = options->overrides,
                                            .override_count = options->override_count,
                                            .depth = PREPARE_RUN,
                                            .data = &data,
                                            .signals = &signals};
    enum exit_status status = prepare(&prepared, &preparation);
    if (status == EXIT_DONE) {
        if (output_open(&json_file, "--json", options->json))
            status = EXIT_USAGE;
        else
            status = test_prepared(options, &prepared, &data, &signals, json_file);
        output_close(json_file);
        prepared_release(&prepared);
    }
    shared_data_release(&data);
    signals_release(&signals);
    return status;
}
