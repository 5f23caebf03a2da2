#include "coordinator/summary.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/statistics.h"

/* Of a run's report, or of one of its stages. */
typedef double measure(const json_t *object);

static double number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

static const json_t *last_epoch(const json_t *report)
{
    const json_t *epochs = json_object_get(report, "epochs");

    return json_array_get(epochs, json_array_size(epochs) - 1);
}

static double images_per_second(const json_t *report)
{
    return number(report, "images_per_second");
}

static double test_top1(const json_t *report)
{
    return number(last_epoch(report), "test_top1");
}

static double test_loss(const json_t *report)
{
    return number(last_epoch(report), "test_loss");
}

/* Of the array that a report has under `key`. */
static double sum_over(const json_t *report, const char *key, measure *of)
{
    const json_t *element;
    size_t index;
    double sum = 0.0;

    json_array_foreach(json_object_get(report, key), index, element)
    {
        sum += of(element);
    }
    return sum;
}

static double epoch_seconds(const json_t *epoch)
{
    return number(epoch, "seconds");
}

static double seconds_per_epoch(const json_t *report)
{
    return sum_over(report, "epochs", epoch_seconds) / (double)json_array_size(json_object_get(report, "epochs"));
}

static double stage_busy(const json_t *stage)
{
    return number(stage, "busy_fraction");
}

static double busy_fraction(const json_t *report)
{
    return sum_over(report, "stage", stage_busy) / (double)json_array_size(json_object_get(report, "stage"));
}

static double difference_median(const json_t *report)
{
    return number(json_object_get(json_object_get(report, "version_difference"), "measured"), "median");
}

static double difference_max(const json_t *report)
{
    return number(json_object_get(json_object_get(report, "version_difference"), "measured"), "max");
}

/* Its sum, and how many were counted. */
struct counted {
    double sum, count;
};

static struct counted count_histogram(const json_t *histogram)
{
    struct counted counted = {0.0, 0.0};
    const json_t *count;
    size_t value;

    json_array_foreach(histogram, value, count)
    {
        counted.count += json_number_value(count);
        counted.sum += json_number_value(count) * (double)value;
    }
    return counted;
}

/* Over the backwards of all stages. A histogram is rounded and has a last bucket; a stage's mean is exact. */
static double staleness_mean(const json_t *report, const char *mean)
{
    double backwards = 0.0, sum = 0.0;
    const json_t *stage;
    size_t s;

    json_array_foreach(json_object_get(report, "stage"), s, stage)
    {
        const json_t *staleness = json_object_get(stage, "staleness");
        const double count = count_histogram(json_object_get(staleness, "histogram")).count;

        backwards += count;
        sum += count * number(staleness, mean);
    }
    return sum / backwards;
}

static double staleness_forward(const json_t *report)
{
    return staleness_mean(report, "forward_mean");
}

static double staleness_backward(const json_t *report)
{
    return staleness_mean(report, "mean");
}

static double stage_versions(const json_t *stage)
{
    return number(stage, "weight_versions_peak");
}

static double stage_memory(const json_t *stage)
{
    return number(json_object_get(stage, "memory_peak_bytes"), "total");
}

static double memory_all(const json_t *report)
{
    return sum_over(report, "stage", stage_memory);
}

/* What lies in memory because mini-batches overlap, and beside it what lies there anyway. */
static double stage_weights(const json_t *stage)
{
    return number(json_object_get(stage, "memory_peak_bytes"), "weights");
}

static double stage_stash(const json_t *stage)
{
    return number(json_object_get(stage, "memory_peak_bytes"), "stash");
}

static double stage_activations(const json_t *stage)
{
    return number(json_object_get(stage, "memory_peak_bytes"), "activations");
}

static const struct row {
    const char *name;
    measure *of;
    enum { MEAN, MEAN_AND_DEVIATION, MOST } fold;
    bool by_stage;
} rows[] = {
    {"images_per_second", images_per_second, MEAN_AND_DEVIATION, false},
    {"seconds_per_epoch", seconds_per_epoch, MEAN_AND_DEVIATION, false},
    {"busy_fraction", busy_fraction, MEAN, false},
    {"test_top1", test_top1, MEAN_AND_DEVIATION, false},
    {"test_loss", test_loss, MEAN_AND_DEVIATION, false},
    {"version_difference_median", difference_median, MEAN, false},
    {"version_difference_max", difference_max, MOST, false},
    {"staleness_forward_mean", staleness_forward, MEAN, false},
    {"staleness_backward_mean", staleness_backward, MEAN, false},
    {"weight_versions", stage_versions, MOST, true},
    {"memory_peak_bytes", stage_memory, MOST, true},
    {"memory_peak_bytes_all", memory_all, MOST, false},
    {"weights_peak_bytes", stage_weights, MOST, true},
    {"stash_peak_bytes", stage_stash, MOST, true},
    {"activations_peak_bytes", stage_activations, MOST, true},
};

/* A measure of each finished run. */
struct sample {
    int count;
    double values[SUMMARY_RUNS_MAX];
};

static bool has_result(const json_t *report, const char *result)
{
    const char *own = json_string_value(json_object_get(report, "result"));

    return own && strcmp(own, result) == 0;
}

/* `stage` 1..: the measure is of that stage; 0: of the run. */
static struct sample sample_of(const json_t *runs, measure *of, size_t stage)
{
    struct sample sample = {.count = 0};
    const json_t *report;
    size_t index;

    json_array_foreach(runs, index, report)
    {
        if (has_result(report, "finished"))
            sample.values[sample.count++] =
                of(stage > 0 ? json_array_get(json_object_get(report, "stage"), stage - 1) : report);
    }
    return sample;
}

static double mean(const struct sample *sample)
{
    return sample_mean(sample->values, sample->count);
}

static json_t *most_json(const struct sample *sample)
{
    double most = sample->count > 0 ? sample->values[0] : (double)NAN;

    for (int i = 1; i < sample->count; i++)
        most = sample->values[i] > most ? sample->values[i] : most;
    return isnan(most) ? json_null() : json_integer((json_int_t)most);
}

static json_t *fold_json(const struct row *row, const json_t *runs, size_t stage)
{
    struct sample sample = sample_of(runs, row->of, stage);

    return row->fold == MOST ? most_json(&sample) : real_json(mean(&sample));
}

static void add_by_stage(json_t *summary, const struct row *row, const struct summary_request *request)
{
    json_t *stages = json_array();

    for (int s = 1; s <= request->plan->stage_count; s++)
        json_array_append_new(stages, fold_json(row, request->runs, (size_t)s));
    json_object_set_new(summary, row->name, stages);
}

static void add_of_run(json_t *summary, const struct row *row, const struct summary_request *request)
{
    char name[64];

    json_object_set_new(summary, row->name, fold_json(row, request->runs, 0));
    if (row->fold != MEAN_AND_DEVIATION || request->run_count == 1)
        return;
    struct sample sample = sample_of(request->runs, row->of, 0);
    snprintf(name, sizeof(name), "%s_deviation", row->name);
    json_object_set_new(summary, name, real_json(sample_deviation(sample.values, sample.count)));
    snprintf(name, sizeof(name), "%s_interval", row->name);
    json_object_set_new(summary, name, real_json(sample_interval(sample.values, sample.count)));
}

static json_int_t seed_of(const json_t *report)
{
    return json_integer_value(json_object_get(json_object_get(json_object_get(report, "config"), "run"), "seed"));
}

/* The finished run with that seed, or NULL. */
static const json_t *with_seed(const json_t *runs, json_int_t seed)
{
    const json_t *report;
    size_t index;

    json_array_foreach(runs, index, report)
    {
        if (seed_of(report) == seed && has_result(report, "finished"))
            return report;
    }
    return NULL;
}

/* What the system's runs have more than those of the other one, seed by seed: a seed that suits both, or a slow hour, is in
 * neither difference. */
static struct sample differences_of(const struct summary_request *request, measure *of)
{
    struct sample sample = {.count = 0};
    const json_t *report, *other;
    size_t index;

    json_array_foreach(request->runs, index, report)
    {
        other = has_result(report, "finished") ? with_seed(request->against, seed_of(report)) : NULL;
        if (other)
            sample.values[sample.count++] = of(report) - of(other);
    }
    return sample;
}

static void add_differences(json_t *summary, const struct summary_request *request)
{
    char name[64];

    json_object_set_new(summary, "paired_runs", json_integer(differences_of(request, test_top1).count));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].fold != MEAN_AND_DEVIATION)
            continue;
        const struct sample sample = differences_of(request, rows[i].of);

        snprintf(name, sizeof(name), "%s_difference", rows[i].name);
        json_object_set_new(summary, name, real_json(mean(&sample)));
        snprintf(name, sizeof(name), "%s_difference_interval", rows[i].name);
        json_object_set_new(summary, name, real_json(sample_interval(sample.values, sample.count)));
    }
}

/* Until the test's top-1 is the target or better; not a number if it never is. */
static double epochs_to(const json_t *report, double target)
{
    const json_t *epoch;
    size_t index;

    json_array_foreach(json_object_get(report, "epochs"), index, epoch)
    {
        if (number(epoch, "test_top1") >= target)
            return (double)index + 1.0;
    }
    return (double)NAN;
}

static void add_target(json_t *summary, const struct summary_request *request)
{
    struct sample sample = {.count = 0};
    const json_t *report;
    size_t index;

    json_array_foreach(request->runs, index, report)
    {
        if (has_result(report, "finished"))
            sample.values[sample.count++] = epochs_to(report, request->target);
    }
    json_object_set_new(summary, "target_top1", json_real(request->target));
    json_object_set_new(summary, "epochs_to_target", real_json(mean(&sample)));
}

/* One failure makes a failure. */
static const char *result_of(const struct summary_request *request)
{
    const json_t *report;
    size_t index;

    json_array_foreach(request->runs, index, report)
    {
        if (has_result(report, "failed"))
            return "failed";
    }
    if (json_array_size(request->runs) == 0)
        return "not started";
    json_array_foreach(request->runs, index, report)
    {
        if (!has_result(report, "finished"))
            return "interrupted";
    }
    return (int)json_array_size(request->runs) == request->run_count ? "finished" : "interrupted";
}

json_t *summary_create(const struct summary_request *request)
{
    const struct plan *plan = request->plan;
    struct sample finished = sample_of(request->runs, test_top1, 0);
    /* clang-format off */
    json_t *summary = json_pack("{s:s, s:s, s:s, s:s, s:i, s:f, s:i, s:s, s:i}",
                                "system", plan->config.pipeline.system,
                                "order", plan->schedule.order.name,
                                "update_rule", update_rule(plan->schedule.update)->name,
                                "optimizer", plan_optimizer(plan)->name,
                                "microbatches", plan->schedule.microbatches,
                                "microbatch_size", (double)plan_minibatch_rows(plan, 1) / plan->schedule.microbatches,
                                "epochs", plan->config.run.epochs,
                                "result", result_of(request),
                                "runs_finished", finished.count);
    /* clang-format on */

    if (!summary)
        return NULL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        (rows[i].by_stage ? add_by_stage : add_of_run)(summary, &rows[i], request);
    if (!isnan(request->target))
        add_target(summary, request);
    if (request->run_count > 1)
        add_differences(summary, request);
    json_object_set(summary, "runs", request->runs);
    return summary;
}
