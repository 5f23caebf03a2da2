/* Goal of this test: the schedule and the version tracker hold what they promise when ops take any time at all. Stages
 * run here in continuous time with random durations, the smallest slots and every rule, in dynamic and in replayed
 * order; afterwards, with the whole future known, an oracle says which version was read when, and what had to be
 * kept. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "base/random.h"
#include "schedule/simulate.h"
#include "tests/support/suite.h"

/* A check that costs nothing when it passes: Check's own write to a pipe each time. */
#define require(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            ck_abort_msg(__VA_ARGS__);                                                                                 \
    } while (0)

enum { STAGES_MAX = 8, MICROBATCHES_MAX = 8, MINIBATCHES_MAX = 20, TOTAL_MAX = MINIBATCHES_MAX * MICROBATCHES_MAX };

/* An op began or ended. Sets of versions have bit k for version k. */
struct event {
    double time;
    bool end;
    struct op op;
    uint32_t reads;  /* by the op, as the rules define it */
    uint32_t needed; /* afterwards, as the tracker says */
    int live;        /* afterwards */
};

struct stage_run {
    struct progress progress;
    struct version_tracker *tracker;
    bool running;
    double end;    /* of the op that runs */
    uint32_t read; /* by it */
    struct op op;
    int updates;
    int forward_reads[TOTAL_MAX];
    int forward_updates[TOTAL_MAX]; /* made when the forward began, */
    int ahead[TOTAL_MAX];           /* and how many the tracker then said would come before its own */
    int event_count;
    struct event events[2 * 3 * TOTAL_MAX];
};

struct run {
    struct schedule schedule;
    int gradient_slots;
    const struct simulation *replayed; /* NULL: dynamic order */
    uint64_t seed;
    double durations[OP_KINDS]; /* by kind; all 0: random */
    double pace[STAGES_MAX];
    uint64_t drawn;
    double now, makespan; /* makespan: when the last op ended */
    int pins[TOTAL_MAX];
    int committed[MINIBATCHES_MAX];
    struct stage_run stages[STAGES_MAX];
    char name[256]; /* for messages */
};

static int number_of(const struct run *run, const struct op *op)
{
    return (op->minibatch - 1) * run->schedule.microbatches + op->first - 1;
}

/* Between 1 and `most`, small numbers as likely as large ones. */
static double draw_duration(struct run *run, double most)
{
    return pow(most, (double)random_uniform(run->seed, RANDOM_TEST, 1, run->drawn++));
}

static int draw_int(struct run *run, int low, int high)
{
    return low + (int)random_below(run->seed, RANDOM_TEST, 2, run->drawn++, (uint32_t)(high - low + 1));
}

static void name_run(struct run *run)
{
    const struct schedule *schedule = &run->schedule;

    snprintf(run->name, sizeof(run->name),
             "seed %llu: order %s, %s forwards, %s backwards, %s updates, W = %d, N = %d, K = %d",
             (unsigned long long)run->seed, schedule->order.name, forward_rule_name(schedule->forward),
             backward_rule_name(schedule->backward), update_rule(schedule->update)->name, schedule->stages,
             schedule->microbatches, schedule->minibatches);
}

/* A random sound schedule: a system, in half of the draws with other rules than its own. */
static void draw_schedule(struct run *run, uint64_t seed)
{
    struct schedule *schedule = &run->schedule;
    struct error error;

    memset(run, 0, sizeof(*run));
    run->seed = seed;
    do {
        const struct system *system = &systems[draw_int(run, 0, asking_system_count - 1)];
        const bool own_rules = draw_int(run, 0, 1);
        schedule->order = orders[system->order];
        schedule->forward = own_rules ? system->forward : (enum forward_rule)draw_int(run, 0, FORWARD_RULES - 1);
        schedule->backward = own_rules ? system->backward : (enum backward_rule)draw_int(run, 0, BACKWARD_RULES - 1);
        schedule->update = own_rules ? system->rule : (enum update_rule_name)draw_int(run, 0, UPDATE_RULES - 1);
        schedule->stages = draw_int(run, 1, STAGES_MAX);
        schedule->parts = 1;
        schedule->microbatches = schedule->order.microbatches ? 1 : draw_int(run, 1, MICROBATCHES_MAX);
        schedule->minibatches = draw_int(run, 1, MINIBATCHES_MAX);
    } while (schedule_check(schedule, &error) != 0);
    run->gradient_slots = schedule->order.whole_backward ? draw_int(run, 1, 2) : schedule_gradient_slots(schedule);
    for (int s = 0; s < schedule->stages; s++)
        run->pace[s] = draw_duration(run, 30);
    name_run(run);
}

static void look_around(struct run *run, int stage)
{
    const struct schedule *schedule = &run->schedule;
    const int n = schedule->microbatches, size = schedule_slot_size(schedule);
    struct progress *own = &run->stages[stage - 1].progress;

    own->activations_arrived = own->forward_room = own->backward_room = n * schedule->minibatches;
    if (stage > 1) {
        const struct progress *before = &run->stages[stage - 2].progress;
        own->activations_arrived = before->forwards;
        own->backward_room = (before->weight_backwards / size + run->gradient_slots) * size;
    }
    if (stage < schedule->stages) {
        const struct progress *after = &run->stages[stage].progress;
        const int done = min_int(own->weight_backwards, after->weight_backwards);
        own->gradients_arrived = after->backwards;
        own->forward_room = (done / size + schedule_activation_slots(schedule, stage)) * size;
    }
}

static struct next decide(struct run *run, int stage)
{
    struct stage_run *own = &run->stages[stage - 1];

    look_around(run, stage);
    if (run->replayed == NULL)
        return schedule_next(&run->schedule, stage, &own->progress);
    if (own->event_count / 2 == simulation_op_count(run->replayed, stage))
        return (struct next){.kind = NEXT_DONE};
    const struct op op = simulation_op(run->replayed, stage, own->event_count / 2).op;
    return schedule_can_run(&run->schedule, stage, &own->progress, &op);
}

/* A micro-batch's backward, or the update after it, comes back to what its forward has read. */
static bool stashes(const struct run *run)
{
    static const bool backward[BACKWARD_RULES] = {[BACKWARD_FORWARD] = true, [BACKWARD_INTERMEDIATE] = true};
    static const bool update[UPDATE_RULES] = {[UPDATE_GAP_AWARE] = true, [UPDATE_DC_ASGD] = true};

    return backward[run->schedule.backward] || update[run->schedule.update];
}

/* A backward reads a sum of vectors, which starts from the newest version and takes no room of a version's. */
static bool combines(const struct run *run)
{
    static const bool backward[BACKWARD_RULES] = {
        [BACKWARD_INTERMEDIATE] = true, [BACKWARD_SPECTRAIN] = true, [BACKWARD_PIPEMARE] = true};

    return backward[run->schedule.backward];
}

/* Micro-batches begun forward and not yet backward that stash `version`. */
static int count_stashed(const struct run *run, int stage, int version, int *first, int *last)
{
    const struct stage_run *own = &run->stages[stage - 1];
    const enum op_kind running = own->op.kind;
    int begun = own->progress.forwards + (own->running && running == OP_FORWARD);
    int taken = own->progress.backwards +
                (own->running && (running == OP_BACKWARD || running == OP_BACKWARD_INPUT) ? own->op.count : 0);
    int count = 0;

    *first = *last = 0;
    for (int number = taken; stashes(run) && number < begun; number++) {
        if (own->forward_reads[number] != version)
            continue;
        *first = count++ == 0 ? number : *first;
        *last = number;
    }
    return count;
}

/* What versions are kept for, as a teacher sees it, agrees with what is needed and what ops have read. */
static void check_uses(const struct run *run, int stage, uint32_t needed)
{
    const struct stage_run *own = &run->stages[stage - 1];
    struct version_use uses[VERSION_USES_MAX];
    const int count = versions_uses(own->tracker, uses);
    uint32_t listed = 0, running = 0;

    for (int k = 0; k < count; k++) {
        int first, last, stashed = count_stashed(run, stage, uses[k].version, &first, &last);

        require(k == 0 || uses[k].version > uses[k - 1].version, "%s: stage %d's versions are out of order", run->name,
                stage);
        require(uses[k].uses != 0 && !(uses[k].uses & USE_LIVE) == (uses[k].version != own->updates) &&
                    uses[k].stashed == stashed && !(uses[k].uses & USE_STASHED) == (stashed == 0) &&
                    (stashed == 0 || (uses[k].stash_first == first && uses[k].stash_last == last)),
                "%s: stage %d keeps version %d for %x, %d in flight (%d to %d), not %d (%d to %d)", run->name, stage,
                uses[k].version, (unsigned)uses[k].uses, uses[k].stashed, uses[k].stash_first, uses[k].stash_last,
                stashed, first, last);
        listed |= 1u << uses[k].version;
        running |= (uint32_t)(uses[k].uses & USE_RUNNING ? 1 : 0) << uses[k].version;
    }
    require(listed == needed, "%s: stage %d lists versions %x, not %x", run->name, stage, listed, needed);
    /* A forward counts as one that stashes; of what a sum reads, the live version is kept in any case. */
    const bool forward = own->op.kind == OP_FORWARD;
    uint32_t read = stashes(run) && forward ? 0 : own->read;
    if (combines(run) && !forward)
        running |= own->read & 1u << own->updates;
    require(running == read, "%s: at stage %d an op reads versions %x, not %x", run->name, stage, running, read);
}

static void note_event(struct run *run, int stage, bool end)
{
    struct stage_run *own = &run->stages[stage - 1];
    struct event *event = &own->events[own->event_count++];

    *event = (struct event){.time = run->now, .end = end, .op = own->op, .reads = own->read, .live = own->updates};
    for (int version = 0; version <= run->schedule.minibatches; version++)
        event->needed |= (uint32_t)versions_needed(own->tracker, version) << version;
    require(versions_count_needed(own->tracker) == __builtin_popcount(event->needed) &&
                versions_oldest_needed(own->tracker) == __builtin_ctz(event->needed) &&
                versions_live(own->tracker) == own->updates,
            "%s: stage %d counts its versions wrongly", run->name, stage);
    check_uses(run, stage, event->needed);
}

/* What the newest version on every stage is when mini-batch i's backward begins at stage W; a replayed order replays
 * that too. */
static int committed_now(const struct run *run, int minibatch)
{
    int everywhere = run->schedule.minibatches;

    if (run->replayed != NULL)
        return simulation_committed(run->replayed, minibatch);
    for (int s = 0; s < run->schedule.stages; s++)
        everywhere = min_int(everywhere, run->stages[s].updates);
    return everywhere;
}

static void begin_forward(struct run *run, int stage, const struct op *op)
{
    struct stage_run *own = &run->stages[stage - 1];
    const int number = number_of(run, op);

    if (stage == 1)
        run->pins[number] = own->updates;
    const int reads[] = {
        [FORWARD_LIVE] = own->updates,
        [FORWARD_PINNED] = run->pins[number],
        [FORWARD_DOUBLE_BUFFERED] = op->minibatch > 2 ? op->minibatch - 2 : 0,
        [FORWARD_SPECTRAIN] = own->updates,
        [FORWARD_PIPEOPTIM] = own->updates,
        [FORWARD_MSNAG] = own->updates,
        [FORWARD_LINEAR] = own->updates,
    };
    _Static_assert(sizeof(reads) == FORWARD_RULES * sizeof(reads[0]), "every rule");
    own->forward_reads[number] = reads[run->schedule.forward];
    own->forward_updates[number] = own->updates;
    own->ahead[number] = versions_staleness_ahead(own->tracker, op);
    own->read = 1u << own->forward_reads[number];
    require(versions_begin_forward(own->tracker, op, run->pins[number]) == own->forward_reads[number],
            "%s: forward %d of stage %d does not read version %d", run->name, number, stage,
            own->forward_reads[number]);
}

/* Now, the tracker could have foretold how many updates the part would have made since the micro-batch's forward. */
static void check_ahead(const struct run *run, int stage, int number)
{
    const struct stage_run *own = &run->stages[stage - 1];

    require(own->ahead[number] == own->updates - own->forward_updates[number],
            "%s: stage %d makes %d updates between number %d's forward and its backward, and foretold %d", run->name,
            stage, own->updates - own->forward_updates[number], number, own->ahead[number]);
}

static void begin_backward(struct run *run, int stage, const struct op *op)
{
    struct stage_run *own = &run->stages[stage - 1];
    int *committed = &run->committed[op->minibatch - 1];

    if (stage == run->schedule.stages && op->first == 1 && op->kind != OP_BACKWARD_WEIGHTS)
        *committed = committed_now(run, op->minibatch);
    versions_begin_backward(own->tracker, op, *committed);
    own->read = 0;
    for (int j = op->first; j < op->first + op->count; j++) {
        const struct backward_versions got = versions_of_backward(own->tracker, op->minibatch, j);
        const int forward = own->forward_reads[number_of(run, op) + j - op->first];
        const int reads[] = {
            [BACKWARD_LIVE] = own->updates, [BACKWARD_FORWARD] = forward, [BACKWARD_COMMITTED] = *committed,
            [BACKWARD_INTERMEDIATE] = -1,   [BACKWARD_SPECTRAIN] = -1,    [BACKWARD_PIPEMARE] = -1,
        };
        _Static_assert(sizeof(reads) == BACKWARD_RULES * sizeof(reads[0]), "every rule");
        const int read = reads[run->schedule.backward];
        require(got.forward == forward && got.live == own->updates && got.read == read,
                "%s: backward %d%c of stage %d reads %d (forward %d, live %d), not %d (%d, %d)", run->name,
                op->minibatch, 'a' + j - 1, stage, got.read, got.forward, got.live, read, forward, own->updates);
        if (op->kind == OP_BACKWARD_WEIGHTS)
            continue;
        own->read |= 1u << (combines(run) ? own->updates : read) | (stashes(run) ? 1u << forward : 0);
        check_ahead(run, stage, number_of(run, op) + j - op->first);
    }
}

static void begin_op(struct run *run, int stage, const struct op *op)
{
    struct stage_run *own = &run->stages[stage - 1];
    const double fixed = run->durations[op->kind];

    if (op->kind == OP_FORWARD)
        begin_forward(run, stage, op);
    else
        begin_backward(run, stage, op);
    own->running = true;
    own->op = *op;
    own->end = run->now + (fixed > 0 ? fixed : run->pace[stage - 1] * draw_duration(run, 100));
    note_event(run, stage, false);
}

static void end_op(struct run *run, int stage)
{
    struct stage_run *own = &run->stages[stage - 1];

    own->running = false;
    own->read = 0;
    progress_advance(&own->progress, &own->op);
    versions_end(own->tracker, &own->op);
    if (schedule_updates_after(&run->schedule, &own->op)) {
        check_ahead(run, stage, own->op.minibatch * run->schedule.microbatches - 1);
        versions_update(own->tracker);
        own->updates++;
    }
    note_event(run, stage, true);
}

/* Runs to the end; a stage begins an op as soon as it can. */
static void run_all(struct run *run)
{
    for (int s = 1; s <= run->schedule.stages; s++) {
        run->stages[s - 1].tracker = versions_create(&run->schedule, s, 0);
        require(run->stages[s - 1].tracker != NULL, "out of memory");
    }
    while (isfinite(run->now)) {
        double next_end = (double)INFINITY;
        for (int s = 1; s <= run->schedule.stages; s++)
            if (run->stages[s - 1].running && run->stages[s - 1].end <= run->now)
                end_op(run, s);
        for (int s = 1; s <= run->schedule.stages; s++) {
            struct stage_run *own = &run->stages[s - 1];
            const struct next next = own->running ? (struct next){.kind = NEXT_WAIT} : decide(run, s);
            if (next.kind == NEXT_RUN)
                begin_op(run, s, &next.op);
            if (own->running)
                next_end = fmin(next_end, own->end);
        }
        if (isfinite(next_end))
            run->makespan = next_end;
        run->now = next_end;
    }
    for (int s = 1; s <= run->schedule.stages; s++) {
        require(decide(run, s).kind == NEXT_DONE, "%s: deadlock, stage %d is not done", run->name, s);
        versions_destroy(run->stages[s - 1].tracker);
    }
}

/* When the op of this kind that covers a micro-batch ended at a stage; infinity if it never did. */
static double end_of(const struct run *run, int stage, enum op_kind kind, int number)
{
    const struct stage_run *own = &run->stages[stage - 1];

    for (int k = 0; k < own->event_count; k++) {
        const struct event *event = &own->events[k];
        const int first = number_of(run, &event->op);
        if (event->end && event->op.kind == kind && first <= number && number < first + event->op.count)
            return event->time;
    }
    return (double)INFINITY;
}

/* When all that the op depends on had ended. */
static double ready_at(const struct run *run, int stage, const struct op *op)
{
    const int number = number_of(run, op), last = number + op->count - 1;

    switch (op->kind) {
    case OP_FORWARD:
        return stage > 1 ? end_of(run, stage - 1, OP_FORWARD, number) : 0;
    case OP_BACKWARD:
    case OP_BACKWARD_INPUT:
        return fmax(end_of(run, stage, OP_FORWARD, last),
                    stage < run->schedule.stages ? end_of(run, stage + 1, op->kind, last) : 0);
    case OP_BACKWARD_WEIGHTS:
        break;
    }
    return end_of(run, stage, OP_BACKWARD_INPUT, last);
}

/* Every op once, each kind in order, none before what it depends on. */
static void check_work(const struct run *run, int stage)
{
    const struct stage_run *own = &run->stages[stage - 1];
    const int total = run->schedule.microbatches * run->schedule.minibatches;
    const bool split = run->schedule.order.split_backward;
    int begun[OP_KINDS] = {0};

    for (int k = 0; k < own->event_count; k++) {
        const struct op *op = &own->events[k].op;
        if (own->events[k].end)
            continue;
        require(number_of(run, op) == begun[op->kind], "%s: stage %d, event %d: number %d of kind %d after %d",
                run->name, stage, k, number_of(run, op), op->kind, begun[op->kind]);
        require(own->events[k].time >= ready_at(run, stage, op), "%s: stage %d, event %d begins too early", run->name,
                stage, k);
        begun[op->kind] += op->count;
    }
    require(begun[OP_FORWARD] == total && begun[OP_BACKWARD] == (split ? 0 : total) &&
                begun[OP_BACKWARD_INPUT] == (split ? total : 0) && begun[OP_BACKWARD_WEIGHTS] == (split ? total : 0),
            "%s: stage %d has not done all its work", run->name, stage);
}

/* Never more in flight than the order allows, no forward across a flush, no backward before the fill is done. */
static void check_in_flight(const struct run *run, int stage)
{
    const struct stage_run *own = &run->stages[stage - 1];
    const struct order *order = &run->schedule.order;
    const int n = run->schedule.microbatches, w = run->schedule.stages, depth = w - stage + 1;
    int forwards = 0, backwards = 0, finished = 0; /* begun, and done */

    for (int k = 0; k < own->event_count; k++) {
        const struct event *event = &own->events[k];
        const int kind = event->op.kind, count = event->op.count;
        int minibatches;

        forwards += !event->end && kind == OP_FORWARD ? count : 0;
        backwards += event->end && (kind == OP_BACKWARD || kind == OP_BACKWARD_INPUT) ? count : 0;
        finished += event->end && (kind == OP_BACKWARD || kind == OP_BACKWARD_WEIGHTS) ? count : 0;
        minibatches = (forwards + n - 1) / n - finished / n;
        require(
            minibatches <= schedule_in_flight_limit(&run->schedule, stage) &&
                (order->limit != LIMIT_MINIBATCHES || minibatches <= depth) &&
                (order->limit != LIMIT_MICROBATCHES || (forwards - backwards <= depth && forwards - finished <= w)) &&
                (run->replayed == NULL || minibatches <= run->replayed->stages[stage - 1].minibatches_in_flight),
            "%s: stage %d, event %d: %d mini-batches in flight, %d forwards begun, %d backwards done", run->name, stage,
            k, minibatches, forwards, backwards);
        if (!event->end && order->flush)
            require(event->live == event->op.minibatch - 1, "%s: stage %d, event %d: mini-batch %d at version %d",
                    run->name, stage, k, event->op.minibatch, event->live);
        if (!event->end && order->fill_first && kind != OP_FORWARD)
            require(forwards == event->op.minibatch * n, "%s: stage %d, event %d: backward before the fill is done",
                    run->name, stage, k);
    }
}

/* Backwards through the stage's events: what is read later was needed all along since it came to be. */
static void check_versions(const struct run *run, int stage)
{
    const struct stage_run *own = &run->stages[stage - 1];
    const int limit = run->replayed != NULL ? run->replayed->parts[stage - 1].weight_versions
                                            : schedule_versions_limit(&run->schedule, stage);
    uint32_t later = 0;

    for (int k = own->event_count - 1; k >= 0; k--) {
        const struct event *event = &own->events[k], *before = event - 1;
        const uint32_t existing = (2u << event->live) - 1;
        later |= event->reads;
        require((event->reads & ~existing) == 0, "%s: stage %d reads %x, live is %d", run->name, stage, event->reads,
                event->live);
        require((later & existing & ~event->needed) == 0, "%s: stage %d, event %d: %x will be read, %x needed",
                run->name, stage, k, later & existing, event->needed);
        require(__builtin_popcount(event->needed) <= limit, "%s: stage %d, event %d: %x needed, limit %d", run->name,
                stage, k, event->needed, limit);
        /* Only an update makes a version needed: its own. */
        if (k > 0)
            require((event->needed & ~before->needed) == (event->live > before->live ? 1u << event->live : 0),
                    "%s: stage %d, event %d: needed %x, then %x", run->name, stage, k, before->needed, event->needed);
    }
    require(own->updates == run->schedule.minibatches &&
                own->events[own->event_count - 1].needed == 1u << run->schedule.minibatches,
            "%s: stage %d has made %d updates and keeps %x in the end", run->name, stage, own->updates,
            own->events[own->event_count - 1].needed);
}

/* What the tracker's reasoning rests on: pins and committed versions never fall, a mini-batch's committed version is
 * no older than its last pin, and stage 1 holds a forward back until so many updates are done. */
static void check_bounds(const struct run *run)
{
    const int n = run->schedule.microbatches;

    for (int number = 0; number < n * run->schedule.minibatches; number++) {
        const int pin = run->pins[number], committed = run->committed[number / n];
        require(number == 0 || (pin >= run->pins[number - 1] && committed >= run->committed[(number - 1) / n]),
                "%s: number %d is pinned to %d, committed to %d", run->name, number, pin, committed);
        require(pin >= schedule_updates_before(&run->schedule, number), "%s: number %d is pinned to %d", run->name,
                number, pin);
        require(committed >= pin || !run->schedule.order.whole_backward,
                "%s: number %d is pinned to %d, committed to "
                "%d",
                run->name, number, pin, committed);
    }
}

static void check_run(struct run *run)
{
    run_all(run);
    check_bounds(run);
    for (int s = 1; s <= run->schedule.stages; s++) {
        check_work(run, s);
        check_in_flight(run, s);
        check_versions(run, s);
    }
}

enum { RUNS_PER_TEST = 200, RANDOM_TESTS = 10 };

START_TEST(test_any_timing)
{
    struct run *run = malloc(sizeof(*run));

    require(run != NULL, "out of memory");
    for (int k = 0; k < RUNS_PER_TEST; k++) {
        draw_schedule(run, (uint64_t)(_i * RUNS_PER_TEST + k));
        check_run(run);
    }
    free(run);
}
END_TEST

/* A replayed order is repeatable: whatever the timing, every op reads the same versions, within the room that the
 * simulation predicts. */
START_TEST(test_any_timing_of_a_replay)
{
    struct run *runs = malloc(2 * sizeof(*runs));

    require(runs != NULL, "out of memory");
    for (int k = 0; k < RUNS_PER_TEST; k++) {
        struct simulation *simulation;
        struct error error;

        for (int r = 0; r < 2; r++) {
            draw_schedule(&runs[r], (uint64_t)(_i * RUNS_PER_TEST + k));
            if (r == 0)
                require(simulate_unit(&runs[0].schedule, (struct link_slots){0, runs[0].gradient_slots}, true,
                                      &simulation, &error) == 0,
                        "%s: %s", runs[0].name, error.text);
            runs[r].replayed = simulation;
            runs[r].seed += (uint64_t)r << 32;
            check_run(&runs[r]);
        }
        for (int s = 0; s < runs[0].schedule.stages; s++)
            for (int e = 0; e < runs[0].stages[s].event_count; e++)
                require(runs[0].stages[s].events[e].reads == runs[1].stages[s].events[e].reads,
                        "%s: stage %d, event %d reads other versions under another timing", runs[0].name, s + 1, e);
        simulation_destroy(simulation);
    }
    free(runs);
}
END_TEST

/* An evaluation changes nothing: whatever the rules, every forward reads the one version there is. */
START_TEST(test_forward_only)
{
    for (int y = 0; y < asking_system_count; y++)
        for (int stage = 1; stage <= 3; stage++) {
            const struct schedule schedule = {.order = orders[systems[y].order],
                                              .forward = systems[y].forward,
                                              .backward = systems[y].backward,
                                              .update = systems[y].rule,
                                              .stages = 3,
                                              .parts = 1,
                                              .microbatches = 2,
                                              .minibatches = 5,
                                              .forward_only = true};
            struct version_tracker *tracker = versions_create(&schedule, stage, 7);
            for (int number = 0; number < 10; number++) {
                const struct op op = {OP_FORWARD, number / 2 + 1, number % 2 + 1, 1, 1};
                ck_assert_int_eq(versions_begin_forward(tracker, &op, 7), 7);
                versions_end(tracker, &op);
                ck_assert_int_eq(versions_oldest_needed(tracker), 7);
                ck_assert_int_eq(versions_count_needed(tracker), 1);
            }
            versions_destroy(tracker);
        }
}
END_TEST

/* The bubble of the synchronous systems when ops of a kind take equally long everywhere. Zero Bubble's closed form is a
 * lower bound, and met when no half of the backward is shorter than a forward: a half that has begun is not
 * interrupted. */
static const struct {
    const char *system;
    bool split;
} synchronous[] = {{"gpipe", false}, {"1f1b", false}, {"zb-h1", true}};

START_TEST(test_bubble)
{
    const struct system *system = system_find(synchronous[_i].system);
    const bool split = synchronous[_i].split;
    struct run *run = malloc(sizeof(*run));

    require(run != NULL, "out of memory");
    for (uint64_t seed = 0; seed < 300; seed++) {
        double *t = run->durations, work, bubble, expected;

        draw_schedule(run, seed);
        run->schedule.order = orders[system->order];
        run->schedule.forward = system->forward;
        run->schedule.backward = system->backward;
        run->schedule.update = system->rule;
        run->schedule.microbatches = draw_int(run, run->schedule.stages, MICROBATCHES_MAX);
        run->gradient_slots = schedule_gradient_slots(&run->schedule);
        for (int kind = OP_FORWARD; kind <= OP_BACKWARD_WEIGHTS; kind++)
            t[kind] = draw_int(run, 1, 9);
        work = t[OP_FORWARD] + (split ? t[OP_BACKWARD_INPUT] + t[OP_BACKWARD_WEIGHTS] : t[OP_BACKWARD]);
        bubble = split ? t[OP_BACKWARD_INPUT] + fmax(0, t[OP_FORWARD] - t[OP_BACKWARD_WEIGHTS]) : work;
        name_run(run);
        expected =
            run->schedule.minibatches * (run->schedule.microbatches * work + (run->schedule.stages - 1) * bubble);
        run_all(run);
        if (split && t[OP_FORWARD] > fmin(t[OP_BACKWARD_INPUT], t[OP_BACKWARD_WEIGHTS]))
            require(run->makespan >= expected, "%s: %g, less than %g", run->name, run->makespan, expected);
        else
            require(run->makespan == expected, "%s: %g, not %g", run->name, run->makespan, expected);
    }
    free(run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("versions");
    TCase *tcase = tcase_create("any timing");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, test_any_timing, 0, RANDOM_TESTS);
    tcase_add_loop_test(tcase, test_any_timing_of_a_replay, 0, RANDOM_TESTS);
    tcase_add_test(tcase, test_forward_only);
    tcase_add_loop_test(tcase, test_bubble, 0, COUNT(synchronous));
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
