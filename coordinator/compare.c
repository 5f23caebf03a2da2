#include "coordinator/compare_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/numbers.h"
#include "coordinator/plot_comparison.h"
#include "coordinator/report.h"
#include "coordinator/run.h"
#include "coordinator/show_comparison.h"
#include "coordinator/show_plan.h"
#include "plan/predict.h"

/* Whether no contender before it has as many parts. */
static bool is_first_of_its_parts(const struct comparison *comparison, int c)
{
    int before = 0;

    while (comparison->contenders[before].partition.count != comparison->contenders[c].partition.count)
        before++;
    return before == c;
}

/* "3,2,2,4 for all (auto, decided once by 1f1b's plan)", or one for all that have as many parts, and then the next. */
static void print_partitions(FILE *out, const struct comparison *comparison)
{
    const bool decided = comparison->config.pipeline.partition.count == 0;
    bool single = true;

    for (int c = 0; c < comparison->count; c++)
        single = single && (c == 0 || !is_first_of_its_parts(comparison, c));
    for (int c = 0; c < comparison->count; c++) {
        const struct contender *contender = &comparison->contenders[c];
        char partition[400];

        if (!is_first_of_its_parts(comparison, c))
            continue;
        config_format_integers(&contender->prepared.plan.config, "pipeline.partition", partition, sizeof(partition));
        fprintf(out, "%spartition %s for ", c > 0 ? "; " : "", partition);
        if (single)
            fputs("all", out);
        for (int k = c; k < comparison->count && !single; k++)
            if (comparison->contenders[k].partition.count == contender->partition.count)
                fprintf(out, "%s%s", k > c ? ", " : "", comparison->contenders[k].system->name);
        if (decided)
            fprintf(out, " (auto, decided once by %s's plan)", contender->system->name);
    }
}

static void print_head(FILE *out, const struct comparison *comparison)
{
    const struct config *config = &comparison->config;
    const struct plan *plan = &comparison->contenders[0].prepared.plan;

    fprintf(out, "%d system%s: %s on %d + %d images of %s, M = %d, W = %d, %d epoch%s, %s order, seed",
            comparison->count, comparison->count == 1 ? "" : "s", config->model.arch, plan->data.train_count,
            plan->data.test_count, config->data.set, config->data.batch, config->pipeline.stages, config->run.epochs,
            config->run.epochs == 1 ? "" : "s", config->pipeline.order == RUN_STATIC ? "static" : "dynamic");
    for (int i = 0; i < comparison->seed_count; i++)
        fprintf(out, "%s %lld", i > 0 ? "," : "", (long long)comparison->seeds[i]);
    fputc('\n', out);
    print_partitions(out, comparison);
    fprintf(out, "; N = %d", config->pipeline.microbatches);
    for (int c = 0; c < comparison->count; c++) {
        const struct plan *other = &comparison->contenders[c].prepared.plan;

        if (other->schedule.microbatches != config->pipeline.microbatches)
            fprintf(out, ", %s %d", comparison->contenders[c].system->name, other->schedule.microbatches);
    }
    fprintf(out, "\n\n");
    fflush(out);
}

static void print_result(FILE *out, const char *label, const json_t *report)
{
    const json_t *epochs = json_object_get(report, "epochs");
    const json_t *last = json_array_get(epochs, json_array_size(epochs) - 1);

    fprintf(out, "%s: %s after %zu epoch%s, %.1f s", label, json_string_value(json_object_get(report, "result")),
            json_array_size(epochs), json_array_size(epochs) == 1 ? "" : "s",
            json_real_value(json_object_get(report, "seconds")));
    if (last)
        fprintf(out, "; %.0f images/s in training; test top-1 %.2f%%",
                json_real_value(json_object_get(report, "images_per_second")),
                100.0 * json_real_value(json_object_get(last, "test_top1")));
    fputc('\n', out);
    fflush(out);
}

/* <folder>/<system>, or <folder>/<system>-seed-<seed> where there are several. */
static int make_folder(struct run_folder *folder, const struct comparison *comparison, const struct system *system,
                       int seed, struct error *error)
{
    char path[CONFIG_PATH_MAX];
    bool taken;
    int length = snprintf(path, sizeof(path), "%s/%s", comparison->folder.path, system->name);

    if (comparison->seed_count > 1 && length < (int)sizeof(path))
        length +=
            snprintf(path + length, sizeof(path) - (size_t)length, "-seed-%lld", (long long)comparison->seeds[seed]);
    if (length >= (int)sizeof(path))
        return error_set(error, "the path of %s's run folder would be longer than %d characters", system->name,
                         CONFIG_PATH_MAX);
    return run_folder_make(folder, path, NULL, &taken, error);
}

static void run_one(struct comparison *comparison, int c, int seed, struct run_request request)
{
    const struct contender *contender = &comparison->contenders[c];
    struct plan plan = contender->prepared.plan;
    struct run_folder folder;
    struct error error;
    char label[96];

    snprintf(label, sizeof(label), "%d/%d %s", c + 1, comparison->count, contender->system->name);
    if (comparison->seed_count > 1)
        snprintf(label + strlen(label), sizeof(label) - strlen(label), ", seed %lld",
                 (long long)comparison->seeds[seed]);
    plan.config.run.seed = comparison->seeds[seed];
    request.plan = &plan;
    request.folder = &folder;
    request.data = comparison->data.descriptor;
    request.label = label;
    json_t *report = plan_json(&plan, contender->prepared.network);
    if (make_folder(&folder, comparison, contender->system, seed, &error)) {
        fprintf(stderr, "tpcoord: %s: %s\n", label, error.text);
        report_add_failure(report, &error);
        comparison->failed = true;
    } else {
        /* What failed has been said. */
        if (run_execute(&request, report) == EXIT_FAILED)
            comparison->failed = true;
        run_folder_close(&folder);
    }
    const char *result = json_string_value(json_object_get(report, "result"));
    if (result && strcmp(result, "failed") != 0 && !request.quiet)
        print_result(request.out, label, report);
    json_array_append_new(contender->runs, report);
}

static json_t *summaries_of(const struct comparison *comparison)
{
    json_t *summaries = json_array();

    for (int c = 0; c < comparison->count; c++) {
        const struct contender *contender = &comparison->contenders[c];

        json_array_append_new(summaries,
                              summary_create(&(struct summary_request){.plan = &contender->prepared.plan,
                                                                       .runs = contender->runs,
                                                                       .against = comparison->contenders[0].runs,
                                                                       .run_count = comparison->seed_count,
                                                                       .target = comparison->target}));
    }
    return summaries;
}

static enum exit_status status_of(const json_t *summaries)
{
    enum exit_status status = EXIT_DONE;
    const json_t *summary;
    size_t index;

    json_array_foreach(summaries, index, summary)
    {
        const char *result = json_string_value(json_object_get(summary, "result"));

        if (strcmp(result, "failed") == 0)
            return EXIT_FAILED;
        if (strcmp(result, "finished") != 0)
            status = EXIT_INTERRUPTED;
    }
    return status;
}

enum exit_status comparison_run(struct comparison *comparison, FILE *out, const struct standard_outlets *standard,
                                const struct steps_output *steps, bool quiet, struct signals *signals,
                                json_t **summaries)
{
    const struct run_request request = {.signals = signals,
                                        .out = out,
                                        .standard = standard,
                                        .steps = steps->outlet,
                                        .steps_form = steps->form,
                                        .quiet = quiet};
    struct error error;

    *summaries = NULL;
    if (!quiet)
        print_head(out, comparison);
    if (steps->outlet)
        steps_head(outlet_stream(steps->outlet), steps->form);
    /* Seeds outermost: a machine that becomes slower favours nobody. */
    for (int seed = 0; seed < comparison->seed_count; seed++) {
        for (int c = 0; c < comparison->count; c++) {
            if (!comparison_interrupted(signals))
                run_one(comparison, c, seed, request);
        }
    }
    *summaries = summaries_of(comparison);
    if (!quiet)
        fputc('\n', out);
    comparison_print(out, *summaries);
    fflush(out);
    if (run_folder_write(&comparison->folder, "comparison.json", *summaries, &error)) {
        fprintf(stderr, "tpcoord: %s\n", error.text);
        return EXIT_FAILED;
    }
    fprintf(out, "comparison: %s/comparison.json\n", comparison->folder.path);
    return comparison->failed ? EXIT_FAILED : status_of(*summaries);
}

/* The largest of the stages' memory is what decides on which machines it fits. */
static void print_prediction(FILE *out, const struct plan *plan, const struct prediction *prediction)
{
    const struct simulation *events = prediction->events;
    size_t most = 0, all = 0;
    int versions = 0;

    for (int s = 1; s <= plan->stage_count; s++) {
        const size_t bytes = memory_total(plan_stage(plan, s)->memory);

        most = bytes > most ? bytes : most;
        all += bytes;
    }
    for (int k = 0; k < plan->part_count; k++)
        versions = max_int(versions, events->parts[k].weight_versions);
    fprintf(out, "%-18s %3d %12.6f %10.2f %9.0f %6.1f%% %3d %8d %12.2f %11.2f\n", plan->config.pipeline.system,
            plan->schedule.microbatches, 1e-9 * events->minibatch_duration, prediction->epoch_seconds,
            prediction->images_per_second, 100.0 * events->bubble_fraction, events->version_difference_median, versions,
            (double)most / (1 << 20), (double)all / (1 << 20));
}

static int predict_one(const struct comparison *comparison, struct plan *plan, int minibatches, FILE *out,
                       struct error *error)
{
    struct prediction *prediction = malloc(sizeof(*prediction));
    int result = prediction ? 0 : error_set(error, "out of memory");

    predict_scale(&plan->config, (double)comparison->config.pipeline.microbatches / plan->config.pipeline.microbatches);
    if (result == 0) {
        result = predict(prediction, plan, minibatches, error);
        if (result == 0)
            print_prediction(out, plan, prediction);
        prediction_release(prediction);
    }
    free(prediction);
    return result;
}

enum exit_status comparison_predict(struct comparison *comparison, int minibatches, FILE *out)
{
    struct error error;

    fprintf(
        out,
        "system               N  s/mini-batch    s/epoch  images/s    idle   v versions  MiB of most  all stages\n");
    for (int c = 0; c < comparison->count; c++) {
        struct contender *contender = &comparison->contenders[c];

        if (predict_one(comparison, &contender->prepared.plan, minibatches, out, &error)) {
            fprintf(stderr, "tpcoord: %s: %s\n", contender->system->name, error.text);
            return EXIT_FAILED;
        }
    }
    return EXIT_DONE;
}

int comparison_plot(const struct comparison *comparison, const json_t *summaries, struct picture *picture,
                    struct error *error)
{
    const struct plan **plans = calloc((size_t)comparison->count, sizeof(*plans));
    int result;

    picture_begin(picture, 0, 0);
    if (!plans)
        return error_set(error, "out of memory for the picture");
    for (int c = 0; c < comparison->count; c++)
        plans[c] = &comparison->contenders[c].prepared.plan;
    result = comparison_compose(picture, summaries, plans, error);
    free(plans);
    return result;
}
