/* The commands that print what they are asked about, and train nothing. */
#include "base/parse.h"
#include "coordinator/command.h"
#include "coordinator/complete.h"
#include "coordinator/demo.h"
#include "coordinator/explain.h"
#include "coordinator/help.h"
#include "coordinator/outputs.h"
#include "coordinator/read_network.h"
#include "coordinator/sample.h"
#include "coordinator/show_network.h"
#include "coordinator/show_rules.h"

enum exit_status command_systems(const struct options *options)
{
    (void)options;
    systems_print(stdout);
    return EXIT_DONE;
}

static enum exit_status show_network(const struct options *options, const struct named_network *named)
{
    FILE *json_file;

    if (output_open(&json_file, "--json", options->json))
        return EXIT_USAGE;
    if (json_file != stdout)
        network_print(stdout, named->network, &named->options);
    json_t *object = network_json(named->network, &named->options);
    enum exit_status status = output_write_json(json_file, options->json, object);
    json_decref(object);
    output_close(json_file);
    return status;
}

enum exit_status command_network(const struct options *options)
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

enum exit_status command_devices(const struct options *options)
{
    struct devices devices;
    struct error error;
    FILE *json_file;

    if (devices_find(&devices, NULL, NULL, &error))
        return command_fail(EXIT_FAILED, &error);
    if (output_open(&json_file, "--json", options->json))
        return EXIT_USAGE;
    if (json_file != stdout)
        devices_print(stdout, &devices);
    json_t *object = devices_json(&devices);
    enum exit_status status = output_write_json(json_file, options->json, object);
    json_decref(object);
    output_close(json_file);
    return status;
}

enum exit_status command_sample(const struct options *options)
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
        return command_fail(EXIT_USAGE, &error);
    }
    return sample_write(&request, &error) ? command_fail(EXIT_FAILED, &error) : EXIT_DONE;
}

enum exit_status command_help(const struct options *options)
{
    struct error error;

    return help_print(stdout, options->program, options->topic, &error) ? command_fail(EXIT_USAGE, &error) : EXIT_DONE;
}

enum exit_status command_explain(const struct options *options)
{
    struct error error;

    return explain_print(stdout, options->program, options->topic, &error) ? command_fail(EXIT_USAGE, &error)
                                                                           : EXIT_DONE;
}

enum exit_status command_demo(const struct options *options)
{
    struct error error;
    const enum exit_status status = demo_run(stdout, options->program, &error);

    return status == EXIT_DONE ? status : command_fail(status, &error);
}

enum exit_status command_complete(const struct options *options)
{
    complete_print(stdout, options->words);
    return EXIT_DONE;
}
