#include "coordinator/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/numbers.h"
#include "base/parse.h"
#include "coordinator/new_run.h"
#include "coordinator/plot_comparison.h"
#include "coordinator/report.h"
#include "coordinator/run.h"
#include "coordinator/show_comparison.h"
#include "coordinator/show_plan.h"
#include "coordinator/summary.h"
#include "plan/config_keys.h"
#include "plan/predict.h"

struct contender {
    const struct system *system;
    struct config_integers partition; /* once it is decided */
    bool planned;
    struct prepared prepared; /* if planned; with the config's seed */
    json_t *runs;             /* reports, of the seeds that were begun */
};

struct comparison {
    struct config config;     /* what all share */
    struct run_folder folder; /* above those of the runs */
    struct shared_data data;  /* of all runs */
    bool warned;              /* of too many threads */
    int64_t seeds[SUMMARY_RUNS_MAX];
    int seed_count;
    double target; /* NaN: none */
    bool failed;   /* a run, or only to leave all that it should */
    int count;
    struct contender contenders[]; /* [count], with room for every system */
};

static int add_system(struct comparison *comparison, const char *name, struct error *error)
{
    struct config scratch;

    if (config_key_set(config_key_find("pipeline.system"), &scratch, name, error))
        return -1;
    if (!system_find(name))
        return error_set(error, "%s is a schedule file; only systems are compared (tpcoord systems)", name);
    for (int c = 0; c < comparison->count; c++)
        if (strcmp(comparison->contenders[c].system->name, name) == 0)
            return error_set(error, "%s is there twice", name);
    comparison->contenders[comparison->count++].system = system_find(name);
    return 0;
}

static int add_seed(struct comparison *comparison, const char *text, struct error *error)
{
    struct config scratch;

    if (config_key_set(config_key_find("run.seed"), &scratch, text, error))
        return -1;
    for (int i = 0; i < comparison->seed_count; i++)
        if (comparison->seeds[i] == scratch.run.seed)
            return error_set(error, "%s is there twice", text);
    if (comparison->seed_count == SUMMARY_RUNS_MAX)
        return error_set(error, "there are more than %d", SUMMARY_RUNS_MAX);
    comparison->seeds[comparison->seed_count++] = scratch.run.seed;
    return 0;
}

/* Gives each part of "a,b,c" to `add`. */
static int read_list(struct comparison *comparison, const char *option, const char *list,
                     int (*add)(struct comparison *, const char *, struct error *), struct error *error)
{
    char *copy = strdup(list), *rest = copy, *part;
    int result = copy ? 0 : error_set(error, "out of memory");

    while (result == 0 && (part = strsep(&rest, ",")) != NULL)
        result = add(comparison, part, error);
    free(copy);
    return result ? error_prefix(error, "%s", option) : 0;
}

/* "0.85" or "85%". */
static int read_target(double *target, const char *text, struct error *error)
{
    size_t length = strlen(text);
    bool percent = length > 0 && text[length - 1] == '%';
    char number[32];

    snprintf(number, sizeof(number), "%.*s", (int)(length - percent), text);
    if (parse_double(target, number, 0.0, percent ? 100.0 : 1.0, error))
        return error_set(error, "--target: \"%s\" is no top-1; use one such as 0.85 or 85%%", text);
    *target /= percent ? 100.0 : 1.0;
    return 0;
}

static int read_request(struct comparison *comparison, const struct comparison_request *request, struct error *error)
{
    if (request->systems && read_list(comparison, "--systems", request->systems, add_system, error))
        return -1;
    /* Lists suit some numbers of stages, parts and micro-batches only. */
    for (int k = 0; k < asking_system_count && !request->systems; k++)
        comparison->contenders[comparison->count++].system = &systems[k];
    if (request->seeds && read_list(comparison, "--seeds", request->seeds, add_seed, error))
        return -1;
    comparison->target = (double)NAN;
    return request->target ? read_target(&comparison->target, request->target, error) : 0;
}

static enum exit_status out_of_memory(void)
{
    fprintf(stderr, "tpcoord: out of memory\n");
    return EXIT_FAILED;
}

/* The request's overrides, and behind them those of one contender. */
struct overrides {
    const char **list;
    int count;
    char own[3][512];
};

static int make_overrides(struct overrides *overrides, const struct comparison *comparison,
                          const struct comparison_request *request, const struct contender *contender)
{
    enum { OWN = sizeof(overrides->own) / sizeof(overrides->own[0]) };
    const int given = request->override_count;
    struct config shared = comparison->config;
    char partition[400];

    overrides->count = given + OWN;
    overrides->list = calloc((size_t)overrides->count, sizeof(*overrides->list));
    if (!overrides->list)
        return -1;
    shared.pipeline.partition = contender->partition;
    config_format_integers(&shared, "pipeline.partition", partition, sizeof(partition));
    snprintf(overrides->own[0], sizeof(overrides->own[0]), "pipeline.system=%s", contender->system->name);
    snprintf(overrides->own[1], sizeof(overrides->own[1]), "pipeline.microbatches=%d",
             system_microbatches(contender->system, comparison->config.pipeline.microbatches,
                                 comparison->config.pipeline.stages));
    snprintf(overrides->own[2], sizeof(overrides->own[2]), "pipeline.partition=%s", partition);
    for (int i = 0; i < overrides->count; i++)
        overrides->list[i] = i < given ? request->overrides[i] : overrides->own[i - given];
    return 0;
}

/* With the contender's partition, if it has one. */
static enum exit_status plan_contender(struct prepared *prepared, struct comparison *comparison,
                                       const struct comparison_request *request, const struct contender *contender)
{
    struct overrides overrides;

    if (make_overrides(&overrides, comparison, request, contender))
        return out_of_memory();
    enum exit_status status =
        prepare(prepared, &(struct preparation){.path = request->config,
                                                .overrides = overrides.list,
                                                .override_count = overrides.count,
                                                .depth = PREPARE_PLAN,
                                                .data = request->simulate ? NULL : &comparison->data,
                                                .simulated = request->simulate,
                                                .compared = true,
                                                .warned = comparison->warned,
                                                .signals = request->signals});
    comparison->warned = true;
    free(overrides.list);
    return status;
}

/* 0 if there is something wrong with its config, which its plan will say. */
static int count_parts(const struct comparison *comparison, const struct comparison_request *request,
                       const struct contender *contender)
{
    struct config_mistakes mistakes;
    struct overrides overrides;
    struct config config;

    if (make_overrides(&overrides, comparison, request, contender))
        return 0;
    const int failed = config_load(&config, request->config, overrides.list, overrides.count, &mistakes);
    free(overrides.list);
    return failed ? 0 : config.pipeline.stages * config.pipeline.parts;
}

/* The first contender's plan decides it for all that have as many parts: each with its own, they would be partitions that
 * are compared. */
static enum exit_status decide_partition(struct comparison *comparison, const struct comparison_request *request,
                                         struct contender *contender)
{
    const struct contender *first = comparison->contenders;
    struct prepared prepared;

    contender->partition = comparison->config.pipeline.partition;
    if (contender->partition.count > 0)
        return EXIT_DONE;
    const int parts = count_parts(comparison, request, contender);
    while (first != contender && first->partition.count != parts)
        first++;
    if (first == contender) {
        enum exit_status status = plan_contender(&prepared, comparison, request, contender);

        if (status != EXIT_DONE)
            return status;
        for (int k = 0; k < prepared.plan.part_count; k++)
            contender->partition.values[k] = prepared.plan.parts[k].slice.block_count;
        contender->partition.count = prepared.plan.part_count;
        prepared_release(&prepared);
    }
    contender->partition = first->partition;
    return EXIT_DONE;
}

static bool interrupted(struct signals *signals)
{
    signals_read(signals);
    return signals->interruptions > 0;
}

static enum exit_status plan_contenders(struct comparison *comparison, const struct comparison_request *request)
{
    for (int c = 0; c < comparison->count; c++) {
        struct contender *contender = &comparison->contenders[c];
        enum exit_status status =
            interrupted(request->signals) ? EXIT_INTERRUPTED : decide_partition(comparison, request, contender);

        if (status == EXIT_DONE)
            status = plan_contender(&contender->prepared, comparison, request, contender);
        if (status != EXIT_DONE)
            return status;
        contender->planned = true;
        contender->runs = json_array();
        if (!contender->runs)
            return out_of_memory();
    }
    return EXIT_DONE;
}

static enum exit_status prepare_all(struct comparison *comparison, const struct comparison_request *request)
{
    struct config_mistakes mistakes;

    if (config_load(&comparison->config, request->config, request->overrides, request->override_count, &mistakes)) {
        config_mistakes_print(&mistakes, stderr);
        return EXIT_USAGE;
    }
    if (comparison->seed_count == 0)
        comparison->seeds[comparison->seed_count++] = comparison->config.run.seed;
    enum exit_status status = plan_contenders(comparison, request);
    if (status == EXIT_DONE && !request->simulate &&
        new_run_create(&comparison->folder, &comparison->config, &mistakes)) {
        config_mistakes_print(&mistakes, stderr);
        status = EXIT_USAGE;
    }
    return status;
}

enum exit_status comparison_prepare(struct comparison **out, const struct comparison_request *request)
{
    struct comparison *comparison =
        calloc(1, sizeof(*comparison) + (size_t)system_count * sizeof(comparison->contenders[0]));
    enum exit_status status = EXIT_USAGE;
    struct error error;

    *out = NULL;
    if (!comparison)
        return out_of_memory();
    comparison->folder.descriptor = -1;
    if (read_request(comparison, request, &error))
        fprintf(stderr, "tpcoord: %s\n", error.text);
    else
        status = prepare_all(comparison, request);
    if (status == EXIT_DONE)
        *out = comparison;
    else
        comparison_destroy(comparison);
    return status;
}

void comparison_destroy(struct comparison *comparison)
{
    for (int c = 0; c < comparison->count; c++) {
        struct contender *contender = &comparison->contenders[c];

        if (!contender->planned)
            continue;
        json_decref(contender->runs);
        prepared_release(&contender->prepared);
    }
    run_folder_close(&comparison->folder);
    shared_data_release(&comparison->data);
    free(comparison);
}

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
            if (!interrupted(signals))
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
