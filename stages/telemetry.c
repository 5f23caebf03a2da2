/* What a part tells about itself: a ring of op records and running sums, both in its block of the shared segment.
 * Readers never make it wait: a record is simply overwritten when the ring comes round. */
#include <math.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "board/records.h"
#include "stages/internal.h"

/* The part is the only writer of its counters, so a relaxed load and store is an increment. */
static void add(_Atomic uint64_t *counter, uint64_t value)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + value, memory_order_relaxed);
}

static void set_with_peak(_Atomic int32_t *counter, _Atomic int32_t *peak, int32_t value)
{
    atomic_store_explicit(counter, value, memory_order_relaxed);
    if (value > atomic_load_explicit(peak, memory_order_relaxed))
        atomic_store_explicit(peak, value, memory_order_relaxed);
}

static void set_memory(struct counters *counters, enum memory_category category, uint64_t bytes)
{
    atomic_store_explicit(&counters->memory[category], bytes, memory_order_relaxed);
    if (bytes > atomic_load_explicit(&counters->memory_peak[category], memory_order_relaxed))
        atomic_store_explicit(&counters->memory_peak[category], bytes, memory_order_relaxed);
}

void telemetry_start(struct part *part)
{
    static const enum memory_category constant[] = {MEMORY_WEIGHTS, MEMORY_GRADIENTS, MEMORY_OPTIMIZER, MEMORY_LINKS,
                                                    MEMORY_WORKSPACE};
    const struct plan_part *plan = &part->plan->parts[part->index - 1];

    for (size_t i = 0; i < sizeof(constant) / sizeof(constant[0]); i++)
        set_memory(&part->block->counters, constant[i], plan->memory[constant[i]]);
    telemetry_account(part);
}

void telemetry_activity(struct part *part, enum activity_kind kind, enum wait_cause cause, const struct op *op)
{
    struct activity activity = {.kind = kind, .cause = cause, .phase = part->phase.kind};
    uint64_t word;

    if (op) {
        activity.op = *op;
        activity.op.minibatch += part->phase.skipped;
    }
    word = activity_pack(&activity);

    if (word == atomic_load_explicit(&part->block->activity, memory_order_relaxed))
        return;
    atomic_store_explicit(&part->block->activity_since_ns, clock_now_ns(), memory_order_relaxed);
    atomic_store_explicit(&part->block->activity, word, memory_order_relaxed);
}

static void set(_Atomic int32_t *field, int value)
{
    atomic_store_explicit(field, value, memory_order_relaxed);
}

void telemetry_phase(struct part *part)
{
    set(&part->block->counters.epoch, part->phase.epoch);
    set(&part->block->counters.phase, (int)part->phase.kind);
    set(&part->block->counters.minibatch, 0);
}

/* Pairs with a reader's acquire load: who has seen a number of this rewriting sees the sequence change. */
static void rewrite(_Atomic int32_t *field, int value)
{
    atomic_store_explicit(field, value, memory_order_release);
}

void telemetry_versions(struct part *part)
{
    struct version_table *table = &part->block->versions;
    uint32_t sequence = atomic_load_explicit(&table->sequence, memory_order_relaxed);
    struct version_use uses[VERSION_USES_MAX] = {{.version = part->applied, .uses = USE_LIVE}};
    int count = part->phase.tracker ? versions_uses(part->phase.tracker, uses) : 1;

    atomic_store_explicit(&table->sequence, sequence + 1, memory_order_relaxed);
    for (int k = 0; k < count; k++) {
        rewrite(&table->rows[k].version, uses[k].version);
        rewrite(&table->rows[k].uses, uses[k].uses);
        rewrite(&table->rows[k].stashed, uses[k].stashed);
        rewrite(&table->rows[k].stash_first, uses[k].stash_first);
        rewrite(&table->rows[k].stash_last, uses[k].stash_last);
    }
    rewrite(&table->count, count);
    /* Pairs with a reader's acquire load of sequence: the table is whole. */
    atomic_store_explicit(&table->sequence, sequence + 2, memory_order_release);
}

/* Runs of `size` micro-batches between their first forward's begin and their last backward's end. */
static int in_flight(const struct phase_run *phase, int size)
{
    if (!phase->tracker) /* not training */
        return 0;
    return (phase->progress.forwards + size - 1) / size - phase->progress.weight_backwards / size;
}

void telemetry_account(struct part *part)
{
    struct counters *counters = &part->block->counters;
    const struct stage_layout *layout = compute_layout(part->compute);
    const struct layout_options *options = compute_layout_options(part->compute);
    size_t parameters = part->plan->parts[part->index - 1].slice.parameters;
    int versions = weights_count(part->weights), slot_size = schedule_slot_size(&part->plan->schedule);
    int slots = in_flight(&part->phase, slot_size);

    set_with_peak(&counters->versions, &counters->versions_peak, versions);
    set_with_peak(&counters->in_flight, &counters->in_flight_peak,
                  in_flight(&part->phase, part->plan->schedule.microbatches));
    set_with_peak(&counters->slots, &counters->slots_peak, slots);
    set_memory(counters, MEMORY_STASH,
               ((size_t)(versions - 1) + (part->combined ? 1 : 0)) * parameters * sizeof(float));
    set_memory(counters, MEMORY_ACTIVATIONS, layout_activation_floats(layout, options, slots) * sizeof(float));
    telemetry_versions(part);
}

void telemetry_waited(struct part *part, enum wait_cause cause, uint64_t nanoseconds, uint64_t core_ns)
{
    core_ns = min_u64(core_ns, nanoseconds);
    add(&part->block->counters.wait_ns[cause], nanoseconds - core_ns);
    add(&part->block->counters.wait_ns[WAIT_CORE], core_ns);
    part->wait_ns += nanoseconds;
    part->wait_core_ns += core_ns;
    part->wait_cause = cause;
}

void telemetry_held(struct part *part, uint64_t nanoseconds)
{
    add(&part->block->counters.held_ns, nanoseconds);
}

void telemetry_sent(struct part *part, uint64_t bytes)
{
    add(&part->block->counters.messages_sent[part->phase.kind], 1);
    add(&part->block->counters.bytes_sent[part->phase.kind], bytes);
}

static int bucket(int value, int buckets)
{
    return value < 0 ? 0 : value >= buckets ? buckets - 1 : value;
}

void telemetry_backward(struct part *part, const struct backward_versions *versions)
{
    struct counters *counters = &part->block->counters;
    const double staleness = plan_staleness_of(part->plan, versions);

    add(&counters->staleness_forward[bucket(versions->live - versions->forward, STALENESS_BUCKETS)], 1);
    add(&counters->staleness_backward[bucket((int)ceil(staleness), STALENESS_BUCKETS)], 1);
    add(&counters->staleness_forward_sum, (uint64_t)max_int(versions->live - versions->forward, 0));
    add(&counters->staleness_millionths, (uint64_t)llround(1e6 * staleness));
}

void telemetry_version_difference(struct part *part, int difference)
{
    add(&part->block->counters.version_difference[bucket(difference, DIFFERENCE_BUCKETS)], 1);
}

void telemetry_op(struct part *part, struct op_record *record, uint64_t update_core_ns)
{
    struct counters *counters = &part->block->counters;
    const uint64_t computed_ns = record->end_ns - record->start_ns - record->held_ns - record->core_ns;
    const uint64_t update_ns = record->update_ns - update_core_ns;

    record->wait_ns = part->wait_ns;
    record->wait_core_ns = part->wait_core_ns;
    record->wait_cause = (uint8_t)part->wait_cause;
    part->wait_ns = part->wait_core_ns = 0;
    part->wait_cause = WAIT_NONE;
    record_write(&part->block->telemetry, record);

    add(&counters->ops, 1);
    add(&counters->busy_ns, computed_ns);
    add(&counters->update_ns, update_ns);
    add(&counters->wait_ns[WAIT_CORE], record->core_ns);
    if (record->phase == PHASE_TRAIN) {
        add(&counters->op_count[record->kind], 1);
        add(&counters->op_ns[record->kind], computed_ns - min_u64(update_ns, computed_ns));
    }
    set(&counters->minibatch, record->minibatch);
}

void telemetry_update(struct part *part, uint64_t nanoseconds, uint64_t core_ns)
{
    add(&part->block->counters.busy_ns, nanoseconds - core_ns);
    add(&part->block->counters.update_ns, nanoseconds - core_ns);
    add(&part->block->counters.wait_ns[WAIT_CORE], core_ns);
}

void telemetry_epoch(struct part *part, int epoch, const struct epoch_sums *trained)
{
    const struct phase_run *tested = &part->phase;
    const double targets = (double)tested->samples * plan_targets_per_sample(part->plan);
    struct epoch_result *result = &part->board->epochs[epoch - 1];

    result->end_ns = clock_now_ns();
    result->trained_samples = trained->samples;
    result->tested_samples = tested->samples;
    result->train_loss = trained->loss / trained->samples;
    result->test_loss = tested->loss_sum / tested->samples;
    result->test_top1 = tested->top1 / targets;
    result->test_top5 = tested->top5 / targets;
    /* Pairs with the coordinator's acquire load. */
    atomic_store_explicit(&part->board->epochs_done, epoch, memory_order_release);
}
