/* tpcoord compare: several systems in turn, trained or predicted. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/command.h"
#include "coordinator/compare.h"
#include "coordinator/outputs.h"
#include "coordinator/show_comparison.h"

static enum exit_status write_csv(FILE *out, const char *name, const json_t *summaries)
{
    struct error error;

    return out && comparison_print_csv(out, name, summaries, &error) ? command_fail(EXIT_FAILED, &error) : EXIT_DONE;
}

static enum exit_status write_comparison(const struct options *options, const json_t *summaries, FILE *json_file,
                                         FILE *csv_file)
{
    const enum exit_status written[] = {output_write_json(json_file, options->json, summaries),
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
    if (result)
        output_discard(file, options->plot);
    return result ? command_fail(EXIT_FAILED, &error) : EXIT_DONE;
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

    if (output_begin_outlet(&steps, files->steps, &error))
        return command_fail(EXIT_FAILED, &error);
    if (standard_outlets_begin(&standard, &error)) {
        outlet_close(steps);
        return command_fail(EXIT_FAILED, &error);
    }
    const struct steps_output rows = {steps, options->steps ? steps_form_of(options->steps) : STEPS_CSV};
    enum exit_status status =
        comparison_run(comparison, taken ? stderr : stdout, &standard, &rows, options->quiet, signals, &summaries);
    status = output_end_steps(steps, signals, status);
    status = output_end_standard(&standard, signals, status);
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
    if (output_open(&files.json, "--json", options->json) || output_open(&files.csv, "--csv", options->csv) ||
        output_open(&files.steps, "--steps", options->steps) || output_open(&files.plot, "--plot", options->plot))
        status = EXIT_USAGE;
    else
        status = compare_prepared(options, comparison, signals, &files);
    output_close(files.json);
    output_close(files.csv);
    output_close(files.steps);
    output_close(files.plot);
    comparison_destroy(comparison);
    return status;
}

enum exit_status command_compare(const struct options *options)
{
    struct signals signals;
    struct error error;

    if (signals_take(&signals, &error))
        return command_fail(EXIT_FAILED, &error);
    enum exit_status status = compare(options, &signals);
    signals_release(&signals);
    return status;
}
