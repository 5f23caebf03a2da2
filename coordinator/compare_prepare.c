/* Reads what is to be compared, and plans every contender, with the partition decided once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/parse.h"
#include "coordinator/compare_internal.h"
#include "coordinator/new_run.h"
#include "plan/config_keys.h"

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

bool comparison_interrupted(struct signals *signals)
{
    signals_read(signals);
    return signals->interruptions > 0;
}

static enum exit_status plan_contenders(struct comparison *comparison, const struct comparison_request *request)
{
    for (int c = 0; c < comparison->count; c++) {
        struct contender *contender = &comparison->contenders[c];
        enum exit_status status = comparison_interrupted(request->signals)
                                      ? EXIT_INTERRUPTED
                                      : decide_partition(comparison, request, contender);

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
