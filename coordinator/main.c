/* tpcoord: plans a run from its config and carries it out. */
#include <errno.h>
#include <string.h>

#include "coordinator/options.h"
#include "coordinator/prepare.h"
#include "coordinator/run.h"
#include "coordinator/show_plan.h"
#include "coordinator/show_prediction.h"

static const char version[] = "0.1.0";

static enum exit_status fail(enum exit_status status, const struct error *error)
{
    fprintf(stderr, "tpcoord: %s\n", error->text);
    return status;
}

/* Opens what an option names before anything starts. */
static int open_output(FILE **out, const char *option, const char *path)
{
    *out = NULL;
    if (!path)
        return 0;
    *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (*out)
        return 0;
    fprintf(stderr, "tpcoord: %s: %s cannot be written: %s\n", option, path, strerror(errno));
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

static enum exit_status do_grid(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    struct prepared prepared;
    struct error error;

    preparation.depth = PREPARE_SCHEDULE;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    if (plan_print_grid(stdout, &prepared.plan, options->slots, options->minibatches, &error))
        status = fail(EXIT_FAILED, &error);
    prepared_release(&prepared);
    return status;
}

static enum exit_status write_json(FILE *out, const char *name, const json_t *object)
{
    struct error error;

    return out && json_print(out, name, object, &error) ? fail(EXIT_FAILED, &error) : EXIT_DONE;
}

/* Adds what the event simulator says, for the eye and for scripts. */
static int show_prediction(FILE *out, json_t *object, const struct plan *plan, int minibatches)
{
    struct prediction prediction;
    struct error error;
    int result = predict(&prediction, plan, minibatches, &error);

    if (result) {
        fprintf(stderr, "tpcoord: %s\n", error.text);
    } else {
        if (out)
            prediction_print(out, &prediction, plan);
        json_object_set_new(object, "simulation", prediction_json(&prediction, plan));
    }
    prediction_release(&prediction);
    return result;
}

static enum exit_status show_plan(const struct options *options, const struct prepared *prepared, FILE *json_file)
{
    FILE *table = json_file == stdout ? NULL : stdout;
    json_t *object = plan_json(&prepared->plan, prepared->network);
    enum exit_status status = EXIT_DONE;

    if (table)
        plan_print(table, &prepared->plan, prepared->network);
    if (options->simulate && show_prediction(table, object, &prepared->plan, options->minibatches))
        status = EXIT_FAILED;
    else
        status = write_json(json_file, options->json, object);
    json_decref(object);
    return status;
}

static enum exit_status do_plan(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    struct prepared prepared;
    FILE *json_file;

    preparation.depth = PREPARE_PLAN;
    preparation.measured = options->simulate;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    status = open_output(&json_file, "--json", options->json) ? EXIT_USAGE : show_plan(options, &prepared, json_file);
    close_output(json_file);
    prepared_release(&prepared);
    return status;
}

static enum exit_status run_prepared(const struct options *options, struct prepared *prepared, FILE *json_file,
                                     FILE *trace_file)
{
    const struct run_request request = {
        .plan = &prepared->plan,
        .folder = prepared->folder,
        .out = json_file == stdout || trace_file == stdout ? stderr : stdout,
        .trace = trace_file,
        .quiet = options->quiet,
    };
    json_t *report = plan_json(&prepared->plan, prepared->network);

    if (!options->quiet) {
        plan_print(request.out, &prepared->plan, prepared->network);
        fputc('\n', request.out);
        fflush(request.out);
    }
    enum exit_status status = run_execute(&request, report);
    enum exit_status written = write_json(json_file, options->json, report);
    json_decref(report);
    return status != EXIT_DONE ? status : written;
}

static enum exit_status do_run(const struct options *options)
{
    struct preparation preparation = preparation_of(options);
    struct prepared prepared;
    FILE *json_file, *trace_file = NULL;

    preparation.depth = PREPARE_RUN;
    enum exit_status status = prepare(&prepared, &preparation);
    if (status != EXIT_DONE)
        return status;
    if (open_output(&json_file, "--json", options->json) || open_output(&trace_file, "--trace", options->trace))
        status = EXIT_USAGE;
    else
        status = run_prepared(options, &prepared, json_file, trace_file);
    close_output(json_file);
    close_output(trace_file);
    prepared_release(&prepared);
    return status;
}

static enum exit_status do_systems(void)
{
    printf("%-14s %-13s %-15s %-12s %-22s %s\n", "system", "order", "forward reads", "backward", "update", "source");
    for (int i = 0; i < system_count; i++) {
        const struct system *system = &systems[i];

        printf("%-14s %-13s %-15s %-12s %-22s %s\n", system->name, orders[system->order].name,
               forward_rule_name(system->forward), backward_rule_name(system->backward), system->update,
               system->source);
    }
    putchar('\n');
    for (int i = 0; i < ORDERS; i++)
        printf("%-14s %s\n", orders[i].name, orders[i].summary);
    return EXIT_DONE;
}

static enum exit_status dispatch(const struct options *options)
{
    if (options->help)
        options_print_help(stdout);
    else if (options->help_keys)
        config_print_keys(stdout);
    else if (options->version)
        printf("tpcoord %s\n", version);
    else if (options->verb == VERB_SYSTEMS)
        return do_systems();
    else if (options->verb == VERB_PLAN)
        return options->grid ? do_grid(options) : do_plan(options);
    else
        return do_run(options);
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error error;
    enum exit_status status;

    if (options_read(&options, argc, argv, &error))
        status = fail(EXIT_USAGE, &error);
    else
        status = dispatch(&options);
    options_release(&options);
    /* What was printed may have gone nowhere: to a full disk. */
    if (fflush(stdout) && status == EXIT_DONE)
        status = EXIT_FAILED;
    return status;
}
