/* A run's report as JSON, added to its plan's. */
#include <math.h>

#include "base/json.h"
#include "base/numbers.h"
#include "checkpoint/checkpoint.h"
#include "coordinator/environment.h"
#include "coordinator/measured.h"
#include "coordinator/progress.h"
#include "coordinator/report.h"
#include "coordinator/show_plan.h"
#include "telemetry/snapshot.h"

/* What text is judged by, beside what images are. */
static void add_tokens(json_t *object, const struct plan *plan, double samples_per_second,
                       const struct epoch_result *last)
{
    if (!plan->data.tokens)
        return;
    json_object_set_new(object, "tokens_per_second", real_json(samples_per_second * plan_targets_per_sample(plan)));
    if (last)
        json_object_set_new(object, "test_perplexity", real_json(exp(last->test_loss)));
}

static json_t *epochs_json(const struct segment *segment)
{
    json_t *epochs = json_array();

    for (int e = 0; e < segment_epochs_done(segment); e++) {
        const struct epoch_result *result = &segment_epochs(segment)[e];

        json_t *epoch = json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o}", "epoch", e + 1, "seconds",
                                  real_json(1e-9 * (double)(result->end_ns - result->start_ns)), "images_per_second",
                                  real_json(epoch_images_per_second(result)), "train_loss",
                                  real_json(result->train_loss), "test_loss", real_json(result->test_loss), "test_top1",
                                  real_json(result->test_top1), "test_top5", real_json(result->test_top5));
        add_tokens(epoch, &segment->header->plan, epoch_images_per_second(result), result);
        json_array_append_new(epochs, epoch);
    }
    return epochs;
}

/* Up to the last bucket that holds anything. */
static json_t *histogram_json(const _Atomic uint64_t *histogram, int buckets)
{
    json_t *array = json_array();
    int used = buckets;

    while (used > 0 && measured_counter(&histogram[used - 1]) == 0)
        used--;
    for (int i = 0; i < used; i++)
        json_array_append_new(array, json_integer((json_int_t)measured_counter(&histogram[i])));
    return array;
}

static json_t *waits_json(const struct counters *counters)
{
    json_t *waits = json_object();

    for (int cause = WAIT_NONE + 1; cause < WAIT_CAUSES; cause++)
        json_object_set_new(waits, wait_cause_name((enum wait_cause)cause),
                            json_real(1e-9 * (double)measured_counter(&counters->wait_ns[cause])));
    return waits;
}

/* Mean milliseconds of each kind of op that was run in training, and of an update: what plan --simulate asks for. */
static json_t *op_ms_json(const struct counters *counters, double updates)
{
    json_t *object = json_object();

    for (int kind = 0; kind < OP_KINDS; kind++) {
        const uint64_t count = measured_counter(&counters->op_count[kind]);

        if (count > 0)
            json_object_set_new(object, op_kind_name((enum op_kind)kind),
                                json_real(1e-6 * (double)measured_counter(&counters->op_ns[kind]) / (double)count));
    }
    if (updates > 0)
        json_object_set_new(object, "update",
                            json_real(1e-6 * (double)measured_counter(&counters->update_ns) / updates));
    return object;
}

static int add_counters_json(json_t *object, const struct counters *counters, double updates,
                             const struct outcome *outcome)
{
    double wall = measured_seconds(outcome);
    size_t memory[MEMORY_CATEGORIES];

    measured_memory(counters, memory);
    /* clang-format off */
    json_t *members = json_pack("{s:I, s:o, s:o, s:f, s:f, s:o, s:i, s:i, s:o, s:I, s:I, s:{s:o, s:o, s:o, s:o}}",
                                "ops", (json_int_t)measured_counter(&counters->ops),
                                "op_ms", op_ms_json(counters, updates),
                                "busy_fraction", real_json(1e-9 * (double)measured_counter(&counters->busy_ns) / wall),
                                "busy_seconds", 1e-9 * (double)measured_counter(&counters->busy_ns),
                                "update_seconds", 1e-9 * (double)measured_counter(&counters->update_ns),
                                "wait_seconds", waits_json(counters),
                                "weight_versions_peak", (int)atomic_load(&counters->versions_peak),
                                "minibatches_in_flight_peak", (int)atomic_load(&counters->in_flight_peak),
                                "memory_peak_bytes", memory_json(memory),
                                "messages_sent", (json_int_t)(measured_counter(&counters->messages_sent[PHASE_TRAIN]) +
                                             measured_counter(&counters->messages_sent[PHASE_EVALUATE])),
                                "bytes_sent", (json_int_t)(measured_counter(&counters->bytes_sent[PHASE_TRAIN]) +
                                             measured_counter(&counters->bytes_sent[PHASE_EVALUATE])),
                                "staleness",
                                "mean", real_json(measured_staleness(counters)),
                                "forward_mean", real_json(measured_forward_staleness(counters)),
                                "histogram", histogram_json(counters->staleness_backward, STALENESS_BUCKETS),
                                "forward_histogram", histogram_json(counters->staleness_forward, STALENESS_BUCKETS));
    /* clang-format on */
    int result = members ? json_object_update(object, members) : -1;

    json_decref(members);
    return result;
}

static void add_all(_Atomic uint64_t *sums, const _Atomic uint64_t *counters, int count)
{
    for (int i = 0; i < count; i++)
        sums[i] += measured_counter(&counters[i]);
}

static void add_counters(struct counters *sums, const struct counters *counters)
{
    add_all(&sums->ops, &counters->ops, 1);
    add_all(&sums->busy_ns, &counters->busy_ns, 1);
    add_all(&sums->update_ns, &counters->update_ns, 1);
    add_all(sums->op_count, counters->op_count, OP_KINDS);
    add_all(sums->op_ns, counters->op_ns, OP_KINDS);
    add_all(sums->wait_ns, counters->wait_ns, WAIT_CAUSES);
    add_all(sums->messages_sent, counters->messages_sent, PHASES);
    add_all(sums->bytes_sent, counters->bytes_sent, PHASES);
    add_all(sums->memory_peak, counters->memory_peak, MEMORY_CATEGORIES);
    add_all(sums->staleness_forward, counters->staleness_forward, STALENESS_BUCKETS);
    add_all(sums->staleness_backward, counters->staleness_backward, STALENESS_BUCKETS);
    add_all(&sums->staleness_forward_sum, &counters->staleness_forward_sum, 1);
    add_all(&sums->staleness_millionths, &counters->staleness_millionths, 1);
    sums->versions_peak = max_int(sums->versions_peak, atomic_load(&counters->versions_peak));
    sums->in_flight_peak = max_int(sums->in_flight_peak, atomic_load(&counters->in_flight_peak));
}

/* To the stage what its parts did in all, to each of its parts its own. */
static int add_stage_json(json_t *object, int stage, const struct segment *segment, const struct outcome *outcome)
{
    const struct segment_header *header = segment->header;
    struct counters sums = {0};
    json_t *parts = json_object_get(object, "parts");
    double updates = 0.0;
    int result = 0;

    for (int index = 0; index < header->plan.schedule.parts; index++) {
        const struct stage_block *block = segment_stage(segment, plan_part_of(&header->plan, stage, index));

        updates = (double)atomic_load(&block->applied) - header->start.updates;
        result |= add_counters_json(json_array_get(parts, (size_t)index), &block->counters, updates, outcome);
        add_counters(&sums, &block->counters);
    }
    result |= json_object_set_new(object, "pid", json_integer(atomic_load(&segment_stage(segment, stage)->pid)));
    return result | add_counters_json(object, &sums, updates, outcome);
}

static json_t *measured_json(const struct segment *segment)
{
    const struct counters *counters = &segment_stage(segment, segment->header->block_count)->counters;
    struct distribution measured = measured_version_difference(segment);

    if (measured.count == 0)
        return json_null();
    return json_pack("{s:i, s:i, s:i, s:o}", "min", measured.low, "median", measured.median, "max", measured.high,
                     "histogram", histogram_json(counters->version_difference, DIFFERENCE_BUCKETS));
}

static json_t *communication_json(const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    struct traffic all = measured_traffic(segment), training = measured_training_traffic(segment, outcome);

    /* clang-format off */
    return json_pack("{s:I, s:I, s:{s:o, s:o, s:i, s:i}}",
                     "messages", (json_int_t)all.messages,
                     "bytes", (json_int_t)all.bytes,
                     "training_minibatch",
                     "messages", real_json(training.messages),
                     "bytes", real_json(training.bytes),
                     "paper_messages_whole_backward", papers_messages_whole_backward(plan),
                     "paper_messages_microbatch_backward", papers_messages_microbatch_backward(plan));
    /* clang-format on */
}

/* Of a run on several; else null. */
static json_t *machines_json(const struct segment *segment)
{
    const struct plan *plan = &segment->header->plan;
    json_t *machines = plan->machine_count > 1 ? json_array() : json_null();

    for (int m = 0; m < plan->machine_count && plan->machine_count > 1; m++) {
        struct machine_snapshot machine;

        snapshot_take_machine(&machine, segment, m);
        /* clang-format off */
        json_array_append_new(machines,
                              json_pack("{s:s, s:[i, i], s:f, s:I, s:I, s:f, s:f, s:f}",
                                        "host", machine.host,
                                        "stages", plan_first_stage(plan, m),
                                        plan_first_stage(plan, m) + plan_machine_stages(plan, m) - 1,
                                        "node_processor_seconds", 1e-9 * (double)machine.processor_ns,
                                        "bytes_sent", (json_int_t)machine.bytes_sent,
                                        "bytes_received", (json_int_t)machine.bytes_received,
                                        "clock_offset_ms", 1e-6 * (double)machine.clock_offset_ns,
                                        "clock_bound_ms", 1e-6 * (double)machine.clock_bound_ns,
                                        "round_trip_ms", 1e-6 * (double)machine.round_trip_ns));
        /* clang-format on */
    }
    return machines;
}

/* The path of the checkpoint; null if the run began anew. */
static json_t *resumed_json(const struct segment_header *header)
{
    char path[2 * CONFIG_PATH_MAX + sizeof(CHECKPOINTS_FOLDER) + 2];

    snprintf(path, sizeof(path), "%s/" CHECKPOINTS_FOLDER "/%s", header->run_folder, header->start.set);
    return header->start.set[0] ? text_json(path) : json_null();
}

void report_add_failure(json_t *plan, const struct error *error)
{
    json_object_set_new(plan, "result", json_string(measured_state_name(RUN_FAILED)));
    json_object_set_new(plan, "error", text_json(error->text));
}

int report_add_json(json_t *plan, const struct segment *segment, const struct outcome *outcome)
{
    const struct segment_header *header = segment->header;
    json_t *stage;
    size_t index;

    /* clang-format off */
    json_t *members = json_pack("{s:s, s:o, s:o, s:i, s:I, s:f, s:o, s:I, s:{s:o, s:i, s:i}, s:o, s:o, s:o, s:o}",
                                "result", measured_state_name(outcome->state),
                                "error", outcome->state == RUN_FAILED ? text_json(outcome->error.text) : json_null(),
                                "run_folder", text_json(outcome->folder),
                                "restarts", outcome->restarts,
                                "start_time", (json_int_t)header->start_time,
                                "seconds", measured_seconds(outcome),
                                "images_per_second", real_json(measured_samples_per_second(segment)),
                                "telemetry_records_lost", (json_int_t)outcome->records_lost,
                                "checkpoints",
                                "resumed_from", resumed_json(header),
                                "written", outcome->checkpoints_written,
                                "failed", outcome->checkpoints_failed,
                                "communication", communication_json(segment, outcome),
                                "machines", machines_json(segment),
                                "epochs", epochs_json(segment),
                                "environment", environment_json(&header->plan));
    /* clang-format on */
    add_tokens(members, &header->plan, measured_samples_per_second(segment), NULL);
    int result = members ? json_object_update(plan, members) : -1;

    json_decref(members);
    if (json_is_object(json_object_get(plan, "idle")) && outcome->end_ns > outcome->start_ns)
        json_object_set_new(json_object_get(plan, "idle"), "here", real_json(measured_idle(segment, outcome)));
    if (json_object_set_new(json_object_get(plan, "version_difference"), "measured", measured_json(segment)))
        result = -1;
    json_array_foreach(json_object_get(plan, "stage"), index, stage)
    {
        if (add_stage_json(stage, (int)index + 1, segment, outcome))
            result = -1;
    }
    return result;
}
