#include "coordinator/measured.h"

#include <math.h>

struct distribution measured_distribution(const _Atomic uint64_t *histogram, int buckets)
{
    struct distribution distribution = {.low = -1};
    uint64_t below = 0;

    for (int i = 0; i < buckets; i++) {
        uint64_t count = atomic_load_explicit(&histogram[i], memory_order_relaxed);

        if (count == 0)
            continue;
        if (distribution.low < 0)
            distribution.low = i;
        distribution.high = i;
        distribution.count += count;
    }
    for (int i = 0; i < buckets && 2 * below < distribution.count; i++) {
        below += atomic_load_explicit(&histogram[i], memory_order_relaxed);
        distribution.median = i;
    }
    return distribution;
}

struct distribution measured_version_difference(const struct segment *segment)
{
    const struct counters *counters = &segment_stage(segment, segment->header->block_count)->counters;

    return measured_distribution(counters->version_difference, DIFFERENCE_BUCKETS);
}

void measured_memory(const struct counters *counters, size_t memory[MEMORY_CATEGORIES])
{
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        memory[c] = measured_counter(&counters->memory_peak[c]);
}

double measured_seconds(const struct outcome *outcome)
{
    return 1e-9 * (double)(outcome->end_ns - outcome->start_ns);
}

double measured_samples_per_second(const struct segment *segment)
{
    const struct epoch_result *results = segment_epochs(segment);
    double images = 0.0, seconds = 0.0;

    for (int e = 0; e < segment_epochs_done(segment); e++) {
        images += results[e].trained_samples;
        seconds += 1e-9 * (double)(results[e].trained_ns - results[e].start_ns);
    }
    return images / seconds;
}

/* Over the stage's backwards. */
static double per_backward(const struct counters *counters, double sum)
{
    double backwards = 0.0;

    for (int k = 0; k < STALENESS_BUCKETS; k++)
        backwards += (double)measured_counter(&counters->staleness_backward[k]);
    return backwards > 0.0 ? sum / backwards : 0.0;
}

double measured_staleness(const struct counters *counters)
{
    return per_backward(counters, 1e-6 * (double)measured_counter(&counters->staleness_millionths));
}

double measured_forward_staleness(const struct counters *counters)
{
    return per_backward(counters, (double)measured_counter(&counters->staleness_forward_sum));
}

double measured_idle(const struct segment *segment, const struct outcome *outcome)
{
    double busy = 0.0;

    for (int s = 1; s <= segment->header->block_count; s++)
        busy += (double)measured_counter(&segment_stage(segment, s)->counters.busy_ns);
    return 1.0 - busy / ((double)(outcome->end_ns - outcome->start_ns) * segment->header->plan.stage_count);
}

static struct traffic traffic_of(const struct segment *segment, enum phase phase)
{
    struct traffic traffic = {0, 0};

    for (int s = 1; s <= segment->header->block_count; s++) {
        traffic.messages += (double)measured_counter(&segment_stage(segment, s)->counters.messages_sent[phase]);
        traffic.bytes += (double)measured_counter(&segment_stage(segment, s)->counters.bytes_sent[phase]);
    }
    return traffic;
}

struct traffic measured_traffic(const struct segment *segment)
{
    const struct traffic training = traffic_of(segment, PHASE_TRAIN), testing = traffic_of(segment, PHASE_EVALUATE);

    return (struct traffic){training.messages + testing.messages, training.bytes + testing.bytes};
}

struct traffic measured_training_traffic(const struct segment *segment, const struct outcome *outcome)
{
    const double minibatches =
        (double)atomic_load(&segment_stage(segment, 1)->applied) - segment->header->start.updates;
    const struct traffic training = traffic_of(segment, PHASE_TRAIN);

    if (outcome->state == RUN_FAILED || minibatches < 1)
        return (struct traffic){(double)NAN, (double)NAN};
    return (struct traffic){training.messages / minibatches, training.bytes / minibatches};
}

int papers_messages_whole_backward(const struct plan *plan)
{
    return (plan->part_count - 1) * (plan->schedule.microbatches + 1);
}

int papers_messages_microbatch_backward(const struct plan *plan)
{
    return 2 * (plan->part_count - 1) * plan->schedule.microbatches;
}

const char *measured_state_name(enum run_state state)
{
    return state == RUN_FINISHED ? "finished" : state == RUN_INTERRUPTED ? "interrupted" : "failed";
}
