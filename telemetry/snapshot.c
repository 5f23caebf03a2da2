#include "telemetry/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "transport/ring.h"

/* So often a table that is just being rewritten is looked at again. A stage needs a microsecond for it; one that died
 * in it will never be done. */
enum { TABLE_TRIES = 100 };

static uint64_t load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static int load_int(const _Atomic int32_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* The state, or the first one if the number is none of `count`. */
static int in_range(int state, int count)
{
    return state >= 0 && state < count ? state : 0;
}

static void load_all(uint64_t *to, const _Atomic uint64_t *from, int count)
{
    for (int i = 0; i < count; i++)
        to[i] = load(&from[i]);
}

static void take_counters(struct stage_counters *to, const struct counters *from)
{
    to->ops = load(&from->ops);
    to->busy_ns = load(&from->busy_ns);
    to->update_ns = load(&from->update_ns);
    to->held_ns = load(&from->held_ns);
    load_all(to->op_count, from->op_count, OP_KINDS);
    load_all(to->op_ns, from->op_ns, OP_KINDS);
    load_all(to->wait_ns, from->wait_ns, WAIT_CAUSES);
    load_all(to->messages_sent, from->messages_sent, PHASES);
    load_all(to->bytes_sent, from->bytes_sent, PHASES);
    load_all(to->memory, from->memory, MEMORY_CATEGORIES);
    load_all(to->memory_peak, from->memory_peak, MEMORY_CATEGORIES);
    to->versions = load_int(&from->versions);
    to->versions_peak = load_int(&from->versions_peak);
    to->in_flight = load_int(&from->in_flight);
    to->in_flight_peak = load_int(&from->in_flight_peak);
    to->slots = load_int(&from->slots);
    to->slots_peak = load_int(&from->slots_peak);
    load_all(to->staleness_forward, from->staleness_forward, STALENESS_BUCKETS);
    load_all(to->staleness_backward, from->staleness_backward, STALENESS_BUCKETS);
    to->staleness_forward_sum = load(&from->staleness_forward_sum);
    to->staleness_millionths = load(&from->staleness_millionths);
    load_all(to->version_difference, from->version_difference, DIFFERENCE_BUCKETS);
    to->epoch = load_int(&from->epoch);
    to->phase = in_range(load_int(&from->phase), PHASES);
    to->minibatch = load_int(&from->minibatch);
}

/* Pairs with the stage's release store: a number of a later rewriting shows in the sequence. */
static int load_number(const _Atomic int32_t *field)
{
    return atomic_load_explicit(field, memory_order_acquire);
}

static int take_versions(struct version_use uses[VERSION_USES_MAX], const struct version_table *table)
{
    for (int i = 0; i < TABLE_TRIES; i++) {
        /* Pairs with the release store that ends the stage's rewriting. */
        uint32_t sequence = atomic_load_explicit(&table->sequence, memory_order_acquire);
        int count = max_int(0, min_int(load_number(&table->count), VERSION_USES_MAX));

        for (int k = 0; k < count; k++)
            uses[k] = (struct version_use){
                .version = load_number(&table->rows[k].version),
                .uses = load_number(&table->rows[k].uses),
                .stashed = load_number(&table->rows[k].stashed),
                .stash_first = load_number(&table->rows[k].stash_first),
                .stash_last = load_number(&table->rows[k].stash_last),
            };
        if (sequence % 2 == 0 && atomic_load_explicit(&table->sequence, memory_order_relaxed) == sequence)
            return count;
    }
    return 0;
}

/* The third word of /proc/PID/stat, behind the program's name in brackets: 'T' stopped, 'Z' a zombie, ... 0: unknown. */
static char process_state(int pid)
{
    char path[32], text[512];
    const char *bracket;
    size_t length;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    bracket = strrchr(text, ')');
    return bracket && bracket[1] == ' ' ? bracket[2] : 0;
}

static bool is_alive(int pid)
{
    return pid > 0 && (kill(pid, 0) == 0 || errno != ESRCH);
}

static void take_process(struct stage_snapshot *stage)
{
    const char state = process_state(stage->pid);

    stage->stopped = state == 'T' || state == 't';
    stage->blocked = state == 'D';
    stage->dead = stage->pid > 0 && stage->state < STAGE_DONE && (state == 'Z' || !is_alive(stage->pid));
}

static int bound(int value, int low, int high)
{
    return max_int(low, min_int(value, high));
}

void snapshot_bound_stage(struct stage_snapshot *stage, const struct plan *plan)
{
    const int minibatches = max_int(plan->minibatches_per_epoch, plan->test_minibatches);
    const int microbatches = plan->schedule.microbatches;
    const int updates = plan->config.run.epochs * plan->minibatches_per_epoch;
    struct stage_counters *counters = &stage->counters;
    struct op *op = &stage->activity.op;

    counters->epoch = bound(counters->epoch, 0, plan->config.run.epochs);
    counters->phase = in_range(counters->phase, PHASES);
    counters->minibatch = bound(counters->minibatch, 0, minibatches);
    op->minibatch = bound(op->minibatch, 1, minibatches);
    op->first = bound(op->first, 1, microbatches);
    op->count = bound(op->count, 1, microbatches - op->first + 1);
    stage->version_live = bound(stage->version_live, 0, updates);
    for (int k = 0; k < stage->version_count; k++) {
        struct version_use *use = &stage->versions[k];

        use->version = bound(use->version, 0, updates);
        use->stash_first = bound(use->stash_first, 0, minibatches * microbatches - 1);
        use->stash_last = bound(use->stash_last, use->stash_first, minibatches * microbatches - 1);
        use->stashed = bound(use->stashed, 0, use->stash_last - use->stash_first + 1);
    }
}

static void take_stage(struct stage_snapshot *stage, const struct segment *segment, int s)
{
    const struct stage_block *block = segment_stage(segment, s);

    stage->state = (enum stage_state)in_range(atomic_load(&block->state), STAGE_FAILED + 1);
    stage->pid = atomic_load(&block->pid);
    if (segment_is_here(segment, plan_stage_of(&segment->header->plan, s)))
        take_process(stage);
    stage->activity = activity_unpack(load(&block->activity));
    stage->activity_since_ns = load(&block->activity_since_ns);
    stage->version_live = load_int(&block->applied);
    take_counters(&stage->counters, &block->counters);
    stage->version_count = take_versions(stage->versions, &block->versions);
    stage->allowed = stage->counters.ops < load(&segment_controls(segment)->ops_allowed[s - 1]);
    snapshot_bound_stage(stage, &segment->header->plan);
}

void snapshot_take_machine(struct machine_snapshot *machine, const struct segment *segment, int m)
{
    const struct machine_word *word = &segment->board->machines[m];

    *machine = (struct machine_snapshot){
        .state = (enum machine_state)in_range(atomic_load(&word->state), MACHINE_FAILED + 1),
        .clock_offset_ns = atomic_load_explicit(&word->clock_offset_ns, memory_order_relaxed),
        .clock_bound_ns = load(&word->clock_bound_ns),
        .round_trip_ns = load(&word->round_trip_ns),
        .heard_ns = load(&word->heard_ns),
        .send_rate = (double)load(&word->send_rate),
        .receive_rate = (double)load(&word->receive_rate),
        .processor_rate = 1e-6 * (double)load(&word->processor_rate),
        .processor_ns = load(&word->processor_ns),
        .bytes_sent = load(&word->bytes_sent),
        .bytes_received = load(&word->bytes_received),
    };
    snprintf(machine->host, sizeof(machine->host), "%.63s", segment->header->plan.machines[m].host);
}

static struct link_snapshot take_link(const struct segment *segment, int link, enum ring_direction direction)
{
    struct ring_end end;

    ring_end_open(&end, segment, link, direction);
    return (struct link_snapshot){
        .published = load(&end.ring->published),
        .released = load(&end.ring->released),
        .slots = end.layout.slots,
    };
}

void snapshot_take(struct snapshot *snapshot, const struct segment *segment)
{
    const struct segment_header *header = segment->header;
    /* Before the state: a coordinator that has ended since then has said how. */
    const bool alive = is_alive(header->coordinator_pid) && process_state(header->coordinator_pid) != 'Z';

    *snapshot = (struct snapshot){
        .plan = &header->plan,
        .run_folder = header->run_folder,
        /* Pairs with the coordinator's release store: the outcome is there. */
        .state = (enum run_state)in_range(atomic_load(&segment->board->run_state), RUN_FAILED + 1),
        .coordinator_alive = alive,
        .coordinator_pid = header->coordinator_pid,
        .start_time = header->start_time,
        .start_ns = header->start_ns,
        .epochs_done = segment_epochs_done(segment),
        .epochs = segment_epochs(segment),
        .interactive = header->interactive,
        .slow_motion = atomic_load_explicit(&segment_controls(segment)->slow_motion, memory_order_relaxed),
        .stage_count = header->block_count,
    };
    snprintf(snapshot->name, sizeof(snapshot->name), "%.*s", (int)sizeof(header->name) - 1, header->name);
    snprintf(snapshot->outcome, sizeof(snapshot->outcome), "%.*s", STAGE_ERROR_MAX - 1,
             snapshot->state == RUN_FAILED ? segment->board->outcome : "");
    for (int s = 1; s <= snapshot->stage_count; s++)
        take_stage(&snapshot->stages[s - 1], segment, s);
    snapshot->machine_count = header->plan.machine_count > 1 ? header->plan.machine_count : 0;
    for (int m = 0; m < snapshot->machine_count; m++)
        snapshot_take_machine(&snapshot->machines[m], segment, m);
    for (int l = 1; l < snapshot->stage_count; l++) {
        for (int direction = 0; direction < RING_DIRECTIONS; direction++)
            snapshot->link_rates[l - 1][direction] = (double)load(&segment->board->link_rates[l - 1][direction]);
        snapshot->down[l - 1] = take_link(segment, l, RING_DOWN);
        snapshot->up[l - 1] = take_link(segment, l, RING_UP);
    }
    snapshot->now_ns = clock_now_ns();
}
