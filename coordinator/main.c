/* tpcoord: plans a run from its config and carries it out. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/parse.h"
#include "base/program.h"
#include "base/version.h"
#include "coordinator/compare.h"
#include "coordinator/complete.h"
#include "coordinator/demo.h"
#include "coordinator/draw_plan.h"
#include "coordinator/explain.h"
#include "coordinator/help.h"
#include "coordinator/options.h"
#include "coordinator/prepare.h"
#include "coordinator/read_network.h"
#include "coordinator/record_prediction.h"
#include "coordinator/resume.h"
#include "coordinator/run.h"
#include "coordinator/sample.h"
#include "coordinator/show_comparison.h"
#include "coordinator/show_network.h"
#include "coordinator/show_plan.h"
#include "coordinator/show_prediction.h"
#include "coordinator/show_rules.h"
#include "coordinator/tested.h"
#include "telemetry/trace.h"

static enum exit_status fail(enum exit_status status, const struct error *error)
{
    fprintf(stderr, "tpcoord: %s\n", error->text);
    return status;
}

/* Opens what an option names before anything starts. */
static int open_output(FILE **out, const char *option, const char *path)
{
    struct error error;

    *out = NULL;
    if (!path)
        return 0;
    *out = strcmp(path, "-") == 0 ? stdout : file_open_output(path, &error);
    if (*out)
        return 0;
    fprintf(stderr, "tpcoord: %s: %s %s\n", option, path, error.text);
    return -1;
}

static void close_output(FILE *out)
{
    if (out && out != stdout)
        fclose(out);
}

static struct preparation preparation_of(const struct options *options)
{
    return (struct preparation){
        .path = options->config, .overrides = options->overrides, .override_count = options->override_count};
}

/* The pictures that are asked for. */
static void close_pictures(FILE *files[PICTURE_FORMATS])
{
    for (int format = 0; format < PICTURE_FORMATS; format++)
        close_output(files[format]);
}

static int open_pictures(FILE *files[PICTURE_FORMATS], const char *const paths[PICTURE_FORMATS])
{
    int result = 0;

    for (int format = 0; format < PICTURE_FORMATS; format++) {
        char option[16];

        snprintf(option, sizeof(option), "--%s", picture_format_name((enum picture_format)format));
        files[format] = NULL;
        if (result == 0)
            result = open_output(&files[format], option, paths[format]);
    }
    return result;
}

static enum exit_status draw_plan(const struct options *options, const struct preparation *preparation,
                                  const struct plan *plan, FILE *files[PICTURE_FORMATS])
{
    return plan_draw(plan, &(struct drawing_request){.preparation = preparation,
                                                     .beside = options->beside,
                                                     .times = options->simulate,
                                                     .versions = options->versions,
                                                     .slots = options->slots,
                                                     .minibatches = options->minibatches,
                                                     .paths = options->pictures,
                                                     .files = files});
}

/* The schedule, as text, as a picture or both. */
static enum exit_status do_grid(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    FILE *files[PICTURE_FORMATS];
    struct prepared prepared;
    struct error error;

    preparation.depth = PREPARE_SCHEDULE;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    if (open_pictures(files, options->pictures))
        status = EXIT_USAGE;
    else if (options->stage &&
             plan_print_ledger(stdout, &prepared.plan, options->stage, options->slots, options->minibatches, &error))
        status = fail(EXIT_USAGE, &error);
    else if (options->grid &&
             plan_print_grid(stdout, &prepared.plan, options->slots, options->minibatches, options->versions, &error))
        status = fail(EXIT_FAILED, &error);
    else if (options_draw(options))
        status = draw_plan(options, &preparation, &prepared.plan, files);
    close_pictures(files);
    prepared_release(&prepared);
    return status;
}

static enum exit_status do_schedule_csv(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    struct prepared prepared;
    struct error error;
    FILE *out;

    preparation.depth = PREPARE_SCHEDULE;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    if (open_output(&out, "--csv", options->csv))
        status = EXIT_USAGE;
    else if (plan_write_csv(out, &prepared.plan, options->minibatches, &error))
        status = fail(EXIT_FAILED, &error);
    close_output(out);
    prepared_release(&prepared);
    return status;
}

static enum exit_status write_json(FILE *out, const char *name, const json_t *object)
{
    struct error error;

    return out && json_print(out, name, object, &error) ? fail(EXIT_FAILED, &error) : EXIT_DONE;
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

static json_t *plan_to_json(const struct prepared *prepared)
{
    json_t *object = plan_json(&prepared->plan, prepared->network);

    json_object_set_new(object, "gpus", devices_used_json(&prepared->devices, &prepared->plan));
    return object;
}

static void print_plan(FILE *out, const struct prepared *prepared)
{
    plan_print(out, &prepared->plan, prepared->network);
    devices_print_used(out, &prepared->devices, &prepared->plan);
}

static int open_plan_outputs(struct plan_outputs *outputs, const struct options *options)
{
    *outputs = (struct plan_outputs){.json = NULL};
    return open_output(&outputs->json, "--json", options->json) ||
                   open_output(&outputs->trace, "--trace", options->trace) ||
                   open_output(&outputs->record, "--record", options->record) ||
                   open_pictures(outputs->pictures, options->pictures)
               ? -1
               : 0;
}

static void close_plan_outputs(struct plan_outputs *outputs)
{
    close_output(outputs->json);
    close_output(outputs->trace);
    close_output(outputs->record);
    close_pictures(outputs->pictures);
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
    json_t *object = plan_to_json(prepared);
    enum exit_status status = EXIT_FAILED;

    if (table)
        print_plan(table, prepared);
    if (!options->simulate || show_prediction(table, object, outputs, &prepared->plan, options->minibatches) == 0)
        status = write_json(outputs->json, options->json, object);
    json_decref(object);
    return status;
}

static enum exit_status do_plan(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    struct plan_outputs outputs;
    struct prepared prepared;

    preparation.depth = PREPARE_PLAN;
    preparation.simulated = options->simulate;
    enum exit_status status = prepare(&prepared, &preparation);
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

/* What a run writes while it runs. */
struct run_outputs {
    FILE *trace_file, *record_file, *steps_file, *json_file;
    struct outlet *trace, *record, *steps; /* NULL: was not asked for */
    struct standard_outlets standard;
};

static int begin_outlet(struct outlet **outlet, FILE *file, struct error *error)
{
    *outlet = file ? outlet_open(fileno(file), OUTLET_DATA, error) : NULL;
    return file && !*outlet ? -1 : 0;
}

static int begin_outputs(struct run_outputs *outputs, struct error *error)
{
    if (begin_outlet(&outputs->trace, outputs->trace_file, error) == 0 &&
        begin_outlet(&outputs->record, outputs->record_file, error) == 0 &&
        begin_outlet(&outputs->steps, outputs->steps_file, error) == 0 &&
        standard_outlets_begin(&outputs->standard, error) == 0)
        return 0;
    outlet_close(outputs->trace);
    outlet_close(outputs->record);
    outlet_close(outputs->steps);
    return -1;
}

/* The reader of standard output, such as head, has seen enough. That is no failure. */
static bool reader_has_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP);
}

static enum exit_status end_standard(struct standard_outlets *standard, struct signals *signals,
                                     enum exit_status status)
{
    struct error error;

    if (standard_outlets_end(standard, signals) == 0 || status != EXIT_DONE)
        return status;
    const int reason = errno;
    if (reader_has_gone())
        return status;
    error_set(&error, "standard output cannot be written: %s", strerror(reason));
    return fail(EXIT_FAILED, &error);
}

static enum exit_status end_steps(struct outlet *steps, struct signals *signals, enum exit_status status)
{
    struct error error;

    if (steps && outlet_finish(steps, signals)) {
        error_set(&error, "--steps could not be written to its end: %s", strerror(errno));
        status = fail(EXIT_FAILED, &error);
    }
    outlet_close(steps);
    return status;
}

static enum exit_status end_outputs(struct run_outputs *outputs, struct signals *signals, enum exit_status status)
{
    status = end_steps(outputs->steps, signals, status);
    outlet_close(outputs->trace);
    outlet_close(outputs->record);
    return end_standard(&outputs->standard, signals, status);
}

static enum exit_status run_prepared(const struct options *options, struct prepared *prepared,
                                     const struct shared_data *data, struct signals *signals,
                                     struct run_outputs *outputs, json_t *report)
{
    const bool taken = outputs->json_file == stdout || outputs->trace_file == stdout ||
                       outputs->record_file == stdout || outputs->steps_file == stdout;
    struct error error;

    if (begin_outputs(outputs, &error))
        return fail(EXIT_FAILED, &error);
    const struct run_request request = {
        .plan = &prepared->plan,
        .folder = &prepared->folder,
        .data = data->descriptor,
        .from = prepared->from.manifest.stage_count > 0 ? &prepared->from : NULL,
        .program = options->program,
        .config = options->config,
        .overrides = options->overrides,
        .override_count = options->override_count,
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
        print_plan(request.out, prepared);
        fputc('\n', request.out);
        fflush(request.out);
    }
    return end_outputs(outputs, signals, run_execute(&request, report));
}

static enum exit_status do_run(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    struct prepared prepared;
    struct run_outputs outputs = {.json_file = NULL};
    struct signals signals;
    struct error error;
    struct shared_data data = {.descriptor = 0};

    /* Before anything is made: an interruption that comes while the run is prepared waits until it can be cleaned up. */
    if (signals_take(&signals, &error))
        return fail(EXIT_FAILED, &error);
    preparation.depth = PREPARE_RUN;
    preparation.data = &data;
    preparation.resume = options->resume;
    preparation.signals = &signals;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status == EXIT_DONE) {
        json_t *report = plan_to_json(&prepared);

        if (open_output(&outputs.json_file, "--json", options->json) ||
            open_output(&outputs.trace_file, "--trace", options->trace) ||
            open_output(&outputs.record_file, "--record", options->record) ||
            open_output(&outputs.steps_file, "--steps", options->steps))
            status = EXIT_USAGE;
        else
            status = run_prepared(options, &prepared, &data, &signals, &outputs, report);
        /* From here on nothing is left to clean up, and who waits for a reader can be interrupted. */
        prepared_release(&prepared);
        signals_release(&signals);
        if (status != EXIT_USAGE && outputs.json_file) {
            enum exit_status written = write_json(outputs.json_file, options->json, report);

            status = status == EXIT_DONE ? written : status;
        }
        json_decref(report);
        close_output(outputs.json_file);
        close_output(outputs.trace_file);
        close_output(outputs.record_file);
        close_output(outputs.steps_file);
    }
    shared_data_release(&data);
    signals_release(&signals);
    return status;
}

static enum exit_status write_csv(FILE *out, const char *name, const json_t *summaries)
{
    struct error error;

    return out && comparison_print_csv(out, name, summaries, &error) ? fail(EXIT_FAILED, &error) : EXIT_DONE;
}

static enum exit_status write_comparison(const struct options *options, const json_t *summaries, FILE *json_file,
                                         FILE *csv_file)
{
    const enum exit_status written[] = {write_json(json_file, options->json, summaries),
                                        write_csv(csv_file, options->csv, summaries)};

    return written[0] != EXIT_DONE ? written[0] : written[1];
}

static enum exit_status plot(const struct options *options, const struct comparison *comparison,
                             const json_t *summaries, FILE *file)
{
    enum picture_format format;
    struct picture picture;
    struct error error;

    if (!file)
        return EXIT_DONE;
    int result = comparison_plot(comparison, summaries, &picture, &error);
    if (result == 0)
        result = picture_format_of(options->plot, &format, &error);
    if (result == 0)
        result = picture_write(&picture, format, file, options->plot, &error);
    picture_release(&picture);
    return result ? fail(EXIT_FAILED, &error) : EXIT_DONE;
}

struct comparison_files {
    FILE *json, *csv, *steps, *plot;
};

static enum exit_status compare_prepared(const struct options *options, struct comparison *comparison,
                                         struct signals *signals, const struct comparison_files *files)
{
    const bool taken = files->json == stdout || files->csv == stdout || files->steps == stdout;
    struct standard_outlets standard;
    struct outlet *steps;
    struct error error;
    json_t *summaries;

    if (begin_outlet(&steps, files->steps, &error))
        return fail(EXIT_FAILED, &error);
    if (standard_outlets_begin(&standard, &error)) {
        outlet_close(steps);
        return fail(EXIT_FAILED, &error);
    }
    const struct steps_output rows = {steps, options->steps ? steps_form_of(options->steps) : STEPS_CSV};
    enum exit_status status =
        comparison_run(comparison, taken ? stderr : stdout, &standard, &rows, options->quiet, signals, &summaries);
    status = end_steps(steps, signals, status);
    status = end_standard(&standard, signals, status);
    signals_release(signals);
    if (summaries) {
        const enum exit_status written = write_comparison(options, summaries, files->json, files->csv);
        const enum exit_status plotted = plot(options, comparison, summaries, files->plot);

        status = status != EXIT_DONE ? status : written != EXIT_DONE ? written : plotted;
    }
    json_decref(summaries);
    return status;
}

/* One table, with `override` behind the others if it is not NULL. */
static enum exit_status predict_all(const struct options *options, struct signals *signals, const char *override)
{
    const char **overrides = calloc((size_t)options->override_count + 1, sizeof(*overrides));
    struct comparison_request request = {.config = options->config,
                                         .overrides = overrides,
                                         .override_count = options->override_count,
                                         .systems = options->systems,
                                         .simulate = true,
                                         .signals = signals};
    struct comparison *comparison;
    enum exit_status status = EXIT_FAILED;

    for (int k = 0; overrides && k < options->override_count; k++)
        overrides[k] = options->overrides[k];
    if (overrides && override)
        overrides[request.override_count++] = override;
    if (overrides)
        status = comparison_prepare(&comparison, &request);
    if (overrides && status == EXIT_DONE) {
        if (override)
            printf("%s\n", override);
        status = comparison_predict(comparison, options->minibatches, stdout);
        fputs(override ? "\n" : "", stdout);
        comparison_destroy(comparison);
    }
    free(overrides);
    return status;
}

/* A table for each value of the sweep; then what the columns are. */
static enum exit_status compare_predictions(const struct options *options, struct signals *signals)
{
    char *copy = strdup(options->sweep ? options->sweep : ""), *rest = copy, *value;
    const char *equals = options->sweep ? strchr(options->sweep, '=') : NULL;
    enum exit_status status = copy ? EXIT_DONE : EXIT_FAILED;
    char override[512];

    if (copy && !equals)
        status = predict_all(options, signals, NULL);
    if (copy && equals)
        rest = copy + (equals - options->sweep) + 1;
    while (equals && status == EXIT_DONE && (value = strsep(&rest, ",")) != NULL) {
        snprintf(override, sizeof(override), "%.*s=%s", (int)(equals - options->sweep), options->sweep, value);
        status = predict_all(options, signals, override);
    }
    free(copy);
    if (status == EXIT_DONE)
        printf(
            "in seconds, with a core or GPU for each stage; idle: of all stages' time; v: version difference, median;\n"
            "versions: of weights, most at a stage; MiB of most: of the stage that needs most\n");
    return status;
}

static enum exit_status compare(const struct options *options, struct signals *signals)
{
    if (options->simulate)
        return compare_predictions(options, signals);

    const struct comparison_request request = {
        .config = options->config,
        .overrides = options->overrides,
        .override_count = options->override_count,
        .systems = options->systems,
        .seeds = options->seeds,
        .target = options->target,
        .signals = signals,
    };
    struct comparison *comparison;
    struct comparison_files files = {.json = NULL};

    enum exit_status status = comparison_prepare(&comparison, &request);
    if (status != EXIT_DONE)
        return status;
    if (open_output(&files.json, "--json", options->json) || open_output(&files.csv, "--csv", options->csv) ||
        open_output(&files.steps, "--steps", options->steps) || open_output(&files.plot, "--plot", options->plot))
        status = EXIT_USAGE;
    else
        status = compare_prepared(options, comparison, signals, &files);
    close_output(files.json);
    close_output(files.csv);
    close_output(files.steps);
    close_output(files.plot);
    comparison_destroy(comparison);
    return status;
}

static enum exit_status do_compare(const struct options *options)
{
    struct signals signals;
    struct error error;

    if (signals_take(&signals, &error))
        return fail(EXIT_FAILED, &error);
    enum exit_status status = compare(options, &signals);
    signals_release(&signals);
    return status;
}

static enum exit_status test_prepared(const struct options *options, struct prepared *prepared,
                                      const struct shared_data *data, struct signals *signals, FILE *json_file)
{
    FILE *out = json_file == stdout ? stderr : stdout;
    struct standard_outlets standard;
    struct error error;

    if (standard_outlets_begin(&standard, &error))
        return fail(EXIT_FAILED, &error);
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
    json_t *report = plan_to_json(prepared);

    prepared_say_gpu_left_out(prepared);
    if (!options->quiet)
        tested_print_head(out, prepared);
    enum exit_status status = run_execute(&request, report);
    json_t *tested = status == EXIT_DONE ? tested_json(report, prepared) : NULL;
    if (tested)
        tested_print(out, tested);
    status = end_standard(&standard, signals, status);
    if (tested && status == EXIT_DONE)
        status = write_json(json_file, options->json, tested);
    json_decref(tested);
    json_decref(report);
    return status;
}

static enum exit_status do_test(const struct options *options)
{
    struct shared_data data = {.descriptor = 0};
    struct prepared prepared;
    struct signals signals;
    struct error error;
    FILE *json_file;

    if (signals_take(&signals, &error))
        return fail(EXIT_FAILED, &error);
    const struct preparation preparation = {.test = options->run,
                                            .overrides = options->overrides,
                                            .override_count = options->override_count,
                                            .depth = PREPARE_RUN,
                                            .data = &data,
                                            .signals = &signals};
    enum exit_status status = prepare(&prepared, &preparation);
    if (status == EXIT_DONE) {
        if (open_output(&json_file, "--json", options->json))
            status = EXIT_USAGE;
        else
            status = test_prepared(options, &prepared, &data, &signals, json_file);
        close_output(json_file);
        prepared_release(&prepared);
    }
    shared_data_release(&data);
    signals_release(&signals);
    return status;
}

static enum exit_status do_sample(const struct options *options)
{
    struct sample_request request = {.run = options->run,
                                     .prompt = options->prompt ? options->prompt : "",
                                     .tokens = options->tokens > 0 ? options->tokens : 500,
                                     .temperature = 0.8,
                                     .seed = options->seed > 0 ? (uint64_t)options->seed : 1,
                                     .out = stdout};
    struct error error;

    if (options->temperature && parse_double(&request.temperature, options->temperature, 0.0, 100.0, &error)) {
        error_prefix(&error, "--temperature");
        return fail(EXIT_USAGE, &error);
    }
    return sample_write(&request, &error) ? fail(EXIT_FAILED, &error) : EXIT_DONE;
}

static enum exit_status do_systems(void)
{
    systems_print(stdout);
    return EXIT_DONE;
}

static enum exit_status show_network(const struct options *options, const struct named_network *named)
{
    FILE *json_file;

    if (open_output(&json_file, "--json", options->json))
        return EXIT_USAGE;
    if (json_file != stdout)
        network_print(stdout, named->network, &named->options);
    json_t *object = network_json(named->network, &named->options);
    enum exit_status status = write_json(json_file, options->json, object);
    json_decref(object);
    close_output(json_file);
    return status;
}

static enum exit_status do_network(const struct options *options)
{
    struct named_network named;
    enum exit_status status = EXIT_DONE;

    if (options->types) {
        layer_types_print(stdout);
    } else if (!options->network) {
        networks_print(stdout);
    } else if (named_network_read(&named, options->network, options->overrides, options->override_count)) {
        status = EXIT_USAGE;
    } else {
        status = show_network(options, &named);
        network_destroy(named.network);
    }
    return status;
}

static enum exit_status do_devices(const struct options *options)
{
    struct devices devices;
    struct error error;
    FILE *json_file;

    if (devices_find(&devices, NULL, NULL, &error))
        return fail(EXIT_FAILED, &error);
    if (open_output(&json_file, "--json", options->json))
        return EXIT_USAGE;
    if (json_file != stdout)
        devices_print(stdout, &devices);
    json_t *object = devices_json(&devices);
    enum exit_status status = write_json(json_file, options->json, object);
    json_decref(object);
    close_output(json_file);
    return status;
}

static void print_version(void)
{
    char backends[128];

    printf("tpcoord %s (backends: %s)\n", version_text(), devices_backends(PLACES, backends));
}

static enum exit_status do_help(const struct options *options)
{
    struct error error;

    return help_print(stdout, options->program, options->topic, &error) ? fail(EXIT_USAGE, &error) : EXIT_DONE;
}

static enum exit_status do_explain(const struct options *options)
{
    struct error error;

    return explain_print(stdout, options->program, options->topic, &error) ? fail(EXIT_USAGE, &error) : EXIT_DONE;
}

static enum exit_status do_demo(const struct options *options)
{
    struct error error;
    const enum exit_status status = demo_run(stdout, options->program, &error);

    return status == EXIT_DONE ? status : fail(status, &error);
}

static enum exit_status do_complete(const struct options *options)
{
    complete_print(stdout, options->words);
    return EXIT_DONE;
}

static enum exit_status dispatch(const struct options *options)
{
    const bool asks = options->help || options->help_keys || options->version;

    if (!asks && options->verb == VERB_RUN)
        return do_run(options);
    if (!asks && options->verb == VERB_COMPARE)
        return do_compare(options);
    if (!asks && options->verb == VERB_DEMO)
        return do_demo(options);
    if (!asks && options->verb == VERB_TEST)
        return do_test(options);
    signals_unblock();
    if (options->help)
        return do_help(options);
    if (options->help_keys)
        config_print_keys(stdout);
    else if (options->version)
        print_version();
    else if (options->verb == VERB_SAMPLE)
        return do_sample(options);
    else if (options->verb == VERB_NETWORK)
        return do_network(options);
    else if (options->verb == VERB_SYSTEMS)
        return do_systems();
    else if (options->verb == VERB_DEVICES)
        return do_devices(options);
    else if (options->verb == VERB_EXPLAIN)
        return do_explain(options);
    else if (options->verb == VERB_COMPLETE)
        return do_complete(options);
    else if (options->verb == VERB_PLAN)
        return options->grid || options->stage || (options_draw(options) && !options->simulate) ? do_grid(options)
               : options->csv ? do_schedule_csv(options)
                              : do_plan(options);
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
        status = fail(EXIT_USAGE, &error);
    else
        status = dispatch(&options);
    options_release(&options);
    /* What was printed may have gone nowhere: to a full disk. */
    if ((fflush(stdout) || ferror(stdout)) && status == EXIT_DONE && !reader_has_gone()) {
        error_set(&error, "standard output cannot be written: %s", strerror(errno));
        status = fail(EXIT_FAILED, &error);
    }
    return status;
}
