#include "coordinator/report.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/numbers.h"
#include "checkpoint/checkpoint.h"
#include "coordinator/environment.h"
#include "coordinator/progress.h"
#include "coordinator/show_plan.h"
#include "plan/idle.h"

/* Of a histogram of small integers, values 0.. */
struct distribution {
    uint64_t count;
    int low, median, high;
    double mean;
};

static struct distribution distribution_of(const _Atomic uint64_t *histogram, int buckets)
{
    struct distribution distribution = {.low = -1};
    uint64_t below = 0;
    double sum = 0.0;

    for (int i = 0; i < buckets; i++) {
        uint64_t count = atomic_load_explicit(&histogram[i], memory_order_relaxed);

        if (count == 0)
            continue;
        if (distribution.low < 0)
            distribution.low = i;
        distribution.high = i;
        distribution.count += count;
        sum += (double)count * i;
    }
    for (int i = 0; i < buckets && 2 * below < distribution.count; i++) {
        below += atomic_load_explicit(&histogram[i], memory_order_relaxed);
        distribution.median = i;
    }
    if (distribution.count > 0)
        distribution.mean = sum / (double)distribution.count;
    return distribution;
}

static struct distribution version_difference(const struct segment *segment)
{
    const struct counters *counters = &segment_stage(segment, segment->header->block_count)->counters;

    return distribution_of(counters->version_difference, DIFFERENCE_BUCKETS);
}

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static void memory_peak(const struct counters *counters, size_t memory[MEMORY_CATEGORIES])
{
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        memory[c] = load(&counters->memory_peak[c]);
}

static double wall_seconds(const struct outcome *outcome)
{
    return 1e-9 * (double)(outcome->end_ns - outcome->start_ns);
}

/* Over the epochs that were finished, without their tests; NaN if there is none. */
static double images_per_second(const struct segment *segment)
{
    const struct epoch_result *results = segment_epochs(segment);
    double images = 0.0, seconds = 0.0;

    for (int e = 0; e < segment_epochs_done(segment); e++) {
        images += results[e].trained_samples;
        seconds += 1e-9 * (double)(results[e].trained_ns - results[e].start_ns);
    }
    return images / seconds;
}

static double percent_of(uint64_t nanoseconds, const struct outcome *outcome)
{
    return 100.0 * (double)nanoseconds / (double)(outcome->end_ns - outcome->start_ns);
}

/* Over the stage's backwards. */
static double staleness_mean(const struct counters *counters)
{
    double backwards = 0.0;

    for (int k = 0; k < STALENESS_BUCKETS; k++)
        backwards += (double)load(&counters->staleness_backward[k]);
    return backwards > 0.0 ? 1e-6 * (double)load(&counters->staleness_millionths) / backwards : 0.0;
}

/* Of all stages' time, from the first op to the end; tests included. */
static double idle_here(const struct segment *segment, const struct outcome *outcome)
{
    double busy = 0.0;

    for (int s = 1; s <= segment->header->block_count; s++)
        busy += (double)load(&segment_stage(segment, s)->counters.busy_ns);
    return 1.0 - busy / ((double)(outcome->end_ns - outcome->start_ns) * segment->header->plan.stage_count);
}

/* What the plan has promised, beside what has become of it. */
static void print_idle(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    const int cores = environment_cores();
    struct idle_figures figures;
    char text[IDLE_TEXT_MAX];

    if (plan->stage_count == 1)
        return;
    fprintf(out, "idle: ");
    if (plan_idle(plan, &figures) == 0) {
        idle_describe(&figures, text);
        fprintf(out, "%s, with a core for each stage; ", text);
    }
    fprintf(out, "%.1f%% here", 100.0 * idle_here(segment, outcome));
    if (cores > 0 && plan_place_of(plan, 1) == PLACE_CPU)
        fprintf(out, ", where %d stages %s %d core%s", plan->stage_count, plan->stage_count > cores ? "share" : "have",
                cores, cores == 1 ? "" : "s");
    fputc('\n', out);
}

/* A row per part (part_format). */
static void print_time(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    char name[PART_TEXT_SIZE];

    fprintf(out,
            "stage    busy  of it updates  waiting for activation  gradient    slot%s    data   staleness mean  most\n",
            plan_waits_for(plan, WAIT_NORM) ? "    norm" : "");
    for (int s = 1; s <= segment->header->block_count; s++) {
        const struct counters *counters = &segment_stage(segment, s)->counters;
        const struct distribution staleness = distribution_of(counters->staleness_backward, STALENESS_BUCKETS);

        part_format(&plan->schedule, s, name);
        fprintf(out, "%5s %6.1f%% %13.1f%% %22.1f%%", name, percent_of(load(&counters->busy_ns), outcome),
                percent_of(load(&counters->update_ns), outcome),
                percent_of(load(&counters->wait_ns[WAIT_ACTIVATION]), outcome));
        fprintf(out, " %8.1f%% %6.1f%%", percent_of(load(&counters->wait_ns[WAIT_GRADIENT]), outcome),
                percent_of(load(&counters->wait_ns[WAIT_SLOT]), outcome));
        for (int cause = WAIT_NORM; cause <= WAIT_DATA; cause++)
            if (plan_waits_for(plan, (enum wait_cause)cause))
                fprintf(out, " %6.1f%%", percent_of(load(&counters->wait_ns[cause]), outcome));
        fprintf(out, " %16.2f %5d\n", staleness_mean(counters), staleness.high);
    }
    fprintf(out, "staleness: updates between a backward's weights and the newest ones\n");
    print_idle(out, segment, outcome);
    fputc('\n', out);
}

static void print_memory(FILE *out, const struct segment *segment)
{
    const struct plan *plan = &segment->header->plan;

    fprintf(out, "stage  versions  in flight   memory at its peak  planned");
    place_print_head(out, plan, 4);
    for (int s = 1; s <= plan->part_count; s++) {
        const struct counters *counters = &segment_stage(segment, s)->counters;
        const struct plan_part *part = &plan->parts[s - 1];
        size_t memory[MEMORY_CATEGORIES];
        char versions[32], in_flight[32], name[PART_TEXT_SIZE];

        memory_peak(counters, memory);
        snprintf(versions, sizeof(versions), "%d of %d", atomic_load(&counters->versions_peak),
                 part->weight_version_buffers);
        snprintf(in_flight, sizeof(in_flight), "%d of %d", atomic_load(&counters->slots_peak), part->activation_sets);
        part_format(&plan->schedule, s, name);
        fprintf(out, "%5s %9s %10s %16.2f MiB %8.2f MiB", name, versions, in_flight,
                (double)memory_total(memory) / (1 << 20), (double)memory_total(part->memory) / (1 << 20));
        place_print(out, plan, s);
    }
    fputc('\n', out);
}

static void print_version_difference(FILE *out, const struct segment *segment)
{
    const struct plan *plan = &segment->header->plan;
    struct distribution measured = version_difference(segment);

    if (measured.count == 0)
        return;
    fprintf(out, "version difference v: ");
    if (plan->version_difference_exact > 0)
        fprintf(out, "papers %d, exact %d, ", plan->version_difference_paper, plan->version_difference_exact);
    fprintf(out, "simulated %d; measured %d (median; %d to %d)\n", plan->version_difference_simulated, measured.median,
            measured.low, measured.high);
}

/* Sent between stages. */
struct traffic {
    double messages, bytes;
};

static struct traffic traffic_of(const struct segment *segment, enum phase phase)
{
    struct traffic traffic = {0, 0};

    for (int s = 1; s <= segment->header->block_count; s++) {
        traffic.messages += (double)load(&segment_stage(segment, s)->counters.messages_sent[phase]);
        traffic.bytes += (double)load(&segment_stage(segment, s)->counters.bytes_sent[phase]);
    }
    return traffic;
}

static struct traffic all_traffic(const struct segment *segment)
{
    const struct traffic training = traffic_of(segment, PHASE_TRAIN), testing = traffic_of(segment, PHASE_EVALUATE);

    return (struct traffic){training.messages + testing.messages, training.bytes + testing.bytes};
}

/* Per mini-batch of training; NaN where that cannot be said, as when some were cut off. */
static struct traffic training_traffic(const struct segment *segment, const struct outcome *outcome)
{
    const double minibatches =
        (double)atomic_load(&segment_stage(segment, 1)->applied) - segment->header->start.updates;
    const struct traffic training = traffic_of(segment, PHASE_TRAIN);

    if (outcome->state == RUN_FAILED || minibatches < 1)
        return (struct traffic){(double)NAN, (double)NAN};
    return (struct traffic){training.messages / minibatches, training.bytes / minibatches};
}

/* The papers' counts per mini-batch: N activations up each link, and one gradient down it, or one per micro-batch. */
static int messages_whole_backward(const struct plan *plan)
{
    return (plan->part_count - 1) * (plan->schedule.microbatches + 1);
}

static int messages_microbatch_backward(const struct plan *plan)
{
    return 2 * (plan->part_count - 1) * plan->schedule.microbatches;
}

static void print_traffic(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    struct traffic all = all_traffic(segment), training = training_traffic(segment, outcome);

    fprintf(out, "sent between stages: %.0f messages, %.1f MiB", all.messages, all.bytes / (1 << 20));
    if (isfinite(training.messages))
        fprintf(out, "; in training %.1f messages, %.2f MiB per mini-batch", training.messages,
                training.bytes / (1 << 20));
    if (isfinite(training.messages) && plan->schedule.parts == 1)
        fprintf(out,
                "\n  papers: (W-1)(N+1) = %d with one backward per mini-batch, 2(W-1)N = %d with one per "
                "micro-batch",
                messages_whole_backward(plan), messages_microbatch_backward(plan));
    fputc('\n', out);
    if (outcome->records_lost > 0)
        fprintf(out, "%llu ops came too fast to be followed, and are not in a trace\n",
                (unsigned long long)outcome->records_lost);
}

static const char *state_name(enum run_state state)
{
    return state == RUN_FINISHED ? "finished" : state == RUN_INTERRUPTED ? "interrupted" : "failed";
}

static void print_ending(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const int epochs = segment_epochs_done(segment);
    const struct plan *plan = &segment->header->plan;
    const struct epoch_result *last = &segment_epochs(segment)[max_int(epochs, 1) - 1];

    fprintf(out, "%s after %d of %d epochs, %.1f s", state_name(outcome->state), epochs, plan->config.run.epochs,
            wall_seconds(outcome));
    if (epochs > 0)
        fprintf(out, "; %.0f %s in training; test top-1 %.2f%%",
                images_per_second(segment) * plan_targets_per_sample(plan), plan_rate_unit(plan),
                100.0 * last->test_top1);
    if (epochs > 0 && plan->data.tokens)
        fprintf(out, ", perplexity %.4g", exp(last->test_loss));
    if (outcome->checkpoints_failed > 0)
        fprintf(out, "; %d checkpoints could not be written", outcome->checkpoints_failed);
    fputc('\n', out);
}

void report_print(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    if (outcome->end_ns > outcome->start_ns) {
        fputc('\n', out);
        print_time(out, segment, outcome);
        print_memory(out, segment);
        print_version_difference(out, segment);
        print_traffic(out, segment, outcome);
    }
    print_ending(out, segment, outcome);
}

void report_print_essentials(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const int epochs = segment_epochs_done(segment);

    if (epochs > 0)
        epoch_print_head(out, &segment->header->plan);
    for (int e = 1; e <= epochs; e++)
        epoch_print(out, &segment->header->plan, e, &segment_epochs(segment)[e - 1]);
    print_ending(out, segment, outcome);
}

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

    while (used > 0 && load(&histogram[used - 1]) == 0)
        used--;
    for (int i = 0; i < used; i++)
        json_array_append_new(array, json_integer((json_int_t)load(&histogram[i])));
    return array;
}

static json_t *waits_json(const struct counters *counters)
{
    json_t *waits = json_object();

    for (int cause = WAIT_NONE + 1; cause < WAIT_CAUSES; cause++)
        json_object_set_new(waits, wait_cause_name((enum wait_cause)cause),
                            json_real(1e-9 * (double)load(&counters->wait_ns[cause])));
    return waits;
}

/* Mean milliseconds of each kind of op that was run in training, and of an update: what plan --simulate asks for. */
static json_t *op_ms_json(const struct counters *counters, double updates)
{
    json_t *object = json_object();

    for (int kind = 0; kind < OP_KINDS; kind++) {
        const uint64_t count = load(&counters->op_count[kind]);

        if (count > 0)
            json_object_set_new(object, op_kind_name((enum op_kind)kind),
                                json_real(1e-6 * (double)load(&counters->op_ns[kind]) / (double)count));
    }
    if (updates > 0)
        json_object_set_new(object, "update", json_real(1e-6 * (double)load(&counters->update_ns) / updates));
    return object;
}

static int add_counters_json(json_t *object, const struct counters *counters, double updates,
                             const struct outcome *outcome)
{
    double wall = wall_seconds(outcome);
    size_t memory[MEMORY_CATEGORIES];

    memory_peak(counters, memory);
    /* clang-format off */
    json_t *members = json_pack("{s:I, s:o, s:o, s:f, s:f, s:o, s:i, s:i, s:o, s:I, s:I, s:{s:o, s:o, s:o}}",
                                "ops", (json_int_t)load(&counters->ops),
                                "op_ms", op_ms_json(counters, updates),
                                "busy_fraction", real_json(1e-9 * (double)load(&counters->busy_ns) / wall),
                                "busy_seconds", 1e-9 * (double)load(&counters->busy_ns),
                                "update_seconds", 1e-9 * (double)load(&counters->update_ns),
                                "wait_seconds", waits_json(counters),
                                "weight_versions_peak", (int)atomic_load(&counters->versions_peak),
                                "minibatches_in_flight_peak", (int)atomic_load(&counters->in_flight_peak),
                                "memory_peak_bytes", memory_json(memory),
                                "messages_sent", (json_int_t)(load(&counters->messages_sent[PHASE_TRAIN]) +
                                             load(&counters->messages_sent[PHASE_EVALUATE])),
                                "bytes_sent", (json_int_t)(load(&counters->bytes_sent[PHASE_TRAIN]) +
                                             load(&counters->bytes_sent[PHASE_EVALUATE])),
                                "staleness",
                                "mean", real_json(staleness_mean(counters)),
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
        sums[i] += load(&counters[i]);
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
    struct distribution measured = version_difference(segment);

    if (measured.count == 0)
        return json_null();
    return json_pack("{s:i, s:i, s:i, s:o}", "min", measured.low, "median", measured.median, "max", measured.high,
                     "histogram", histogram_json(counters->version_difference, DIFFERENCE_BUCKETS));
}

static json_t *communication_json(const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    struct traffic all = all_traffic(segment), training = training_traffic(segment, outcome);

    /* clang-format off */
    return json_pack("{s:I, s:I, s:{s:o, s:o, s:i, s:i}}",
                     "messages", (json_int_t)all.messages,
                     "bytes", (json_int_t)all.bytes,
                     "training_minibatch",
                     "messages", real_json(training.messages),
                     "bytes", real_json(training.bytes),
                     "paper_messages_whole_backward", messages_whole_backward(plan),
                     "paper_messages_microbatch_backward", messages_microbatch_backward(plan));
    /* clang-format on */
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
    json_object_set_new(plan, "result", json_string(state_name(RUN_FAILED)));
    json_object_set_new(plan, "error", text_json(error->text));
}

int report_add_json(json_t *plan, const struct segment *segment, const struct outcome *outcome)
{
    const struct segment_header *header = segment->header;
    json_t *stage;
    size_t index;

    /* clang-format off */
    json_t *members = json_pack("{s:s, s:o, s:o, s:i, s:I, s:f, s:o, s:I, s:{s:o, s:i, s:i}, s:o, s:o, s:o}",
                                "result", state_name(outcome->state),
                                "error", outcome->state == RUN_FAILED ? text_json(outcome->error.text) : json_null(),
                                "run_folder", text_json(outcome->folder),
                                "restarts", outcome->restarts,
                                "start_time", (json_int_t)header->start_time,
                                "seconds", wall_seconds(outcome),
                                "images_per_second", real_json(images_per_second(segment)),
                                "telemetry_records_lost", (json_int_t)outcome->records_lost,
                                "checkpoints",
                                "resumed_from", resumed_json(header),
                                "written", outcome->checkpoints_written,
                                "failed", outcome->checkpoints_failed,
                                "communication", communication_json(segment, outcome),
                                "epochs", epochs_json(segment),
                                "environment", environment_json(&header->plan));
    /* clang-format on */
    add_tokens(members, &header->plan, images_per_second(segment), NULL);
    int result = members ? json_object_update(plan, members) : -1;

    json_decref(members);
    if (json_is_object(json_object_get(plan, "idle")) && outcome->end_ns > outcome->start_ns)
        json_object_set_new(json_object_get(plan, "idle"), "here", real_json(idle_here(segment, outcome)));
    if (json_object_set_new(json_object_get(plan, "version_difference"), "measured", measured_json(segment)))
        result = -1;
    json_array_foreach(json_object_get(plan, "stage"), index, stage)
    {
        if (add_stage_json(stage, (int)index + 1, segment, outcome))
            result = -1;
    }
    return result;
}
