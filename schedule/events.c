/* The event simulator. Time jumps from one end of an op, end of an update or arrival of a message to the next; a stage
 * decides anew when its doorbell has rung, as in the executor. */
#include "schedule/events.h"

#include <limits.h>
#include <stdlib.h>

#include "base/numbers.h"

#define NEVER INT64_MAX

/* One direction of a link: when the stage at its end sees each message. */
struct channel {
    int64_t *arrivals; /* [sent] */
    int sent, seen;
    int64_t free_at;
};

/* What a stage is while the simulation runs, beside what it leaves in its stage_events. */
struct running_stage {
    enum { WAITING, COMPUTING, UPDATING } state;
    int64_t since; /* WAITING: when it last asked what is next */
    int64_t until; /* COMPUTING, UPDATING */
    struct next next;
    bool doorbell; /* something has happened that may make it runnable */
    struct progress progress;
    struct version_tracker *tracker;
    struct channel activations, gradients; /* that come to this stage */
};

struct simulator {
    const struct schedule *schedule;
    const struct timing *timing;
    const struct simulation *replayed;
    int64_t now;
    int64_t steady_from, steady_to; /* stage 1's updates that bound the steady state */
    struct running_stage *stages;   /* [W] */
    int *pins;                      /* [K * N]: the version that each micro-batch's activation carries */
    struct event_simulation *simulation;
};

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The first mini-batches, that fill the pipeline, are left out of what describes its steady state... */
static int warm_up(const struct schedule *schedule)
{
    return schedule->minibatches > schedule->stages ? schedule->stages : 0;
}

/* ... and as many at the end, that drain it, out of what describes its pace. */
static bool is_steady(const struct schedule *schedule)
{
    return schedule->minibatches > 2 * schedule->stages;
}

void event_simulation_destroy(struct event_simulation *simulation)
{
    if (simulation == NULL)
        return;
    for (int s = 0; simulation->stages != NULL && s < simulation->stage_count; s++)
        free(simulation->stages[s].ops);
    free(simulation->stages);
    free(simulation->committed);
    free(simulation->version_differences);
    free(simulation);
}

static struct event_simulation *event_simulation_create(const struct schedule *schedule)
{
    const size_t minibatches = (size_t)schedule->minibatches;
    struct event_simulation *simulation = calloc(1, sizeof(*simulation));

    if (simulation == NULL)
        return NULL;
    simulation->stage_count = schedule->stages;
    simulation->minibatch_count = schedule->minibatches;
    simulation->stages = calloc((size_t)schedule->stages, sizeof(*simulation->stages));
    simulation->committed = calloc(minibatches, sizeof(*simulation->committed));
    simulation->version_differences = calloc(minibatches + 1, sizeof(*simulation->version_differences));
    if (simulation->stages == NULL || simulation->committed == NULL || simulation->version_differences == NULL)
        goto fail;
    for (int s = 0; s < schedule->stages; s++) {
        struct stage_events *events = &simulation->stages[s];
        events->weight_versions = 1;
        events->ops = malloc((size_t)schedule_op_count(schedule) * sizeof(*events->ops));
        if (events->ops == NULL)
            goto fail;
    }
    return simulation;

fail:
    event_simulation_destroy(simulation);
    return NULL;
}

static void simulator_release(struct simulator *simulator)
{
    for (int s = 0; simulator->stages != NULL && s < simulator->schedule->stages; s++) {
        versions_destroy(simulator->stages[s].tracker);
        free(simulator->stages[s].activations.arrivals);
        free(simulator->stages[s].gradients.arrivals);
    }
    free(simulator->stages);
    free(simulator->pins);
    event_simulation_destroy(simulator->simulation);
}

static int simulator_prepare(struct simulator *simulator)
{
    const struct schedule *schedule = simulator->schedule;
    const size_t messages = (size_t)schedule->minibatches * (size_t)schedule->microbatches;

    simulator->simulation = event_simulation_create(schedule);
    simulator->pins = calloc(messages, sizeof(*simulator->pins));
    simulator->stages = calloc((size_t)schedule->stages, sizeof(*simulator->stages));
    if (simulator->simulation == NULL || simulator->pins == NULL || simulator->stages == NULL)
        return -1;
    for (int s = 1; s <= schedule->stages; s++) {
        struct running_stage *stage = &simulator->stages[s - 1];
        stage->doorbell = true;
        stage->tracker = versions_create(schedule, s, 0);
        stage->activations.arrivals = malloc(messages * sizeof(*stage->activations.arrivals));
        stage->gradients.arrivals = malloc(messages * sizeof(*stage->gradients.arrivals));
        if (stage->tracker == NULL || stage->activations.arrivals == NULL || stage->gradients.arrivals == NULL)
            return -1;
    }
    return 0;
}

/* In the last mini-batch, which may be smaller, things take less time. */
static int64_t scaled(const struct simulator *simulator, int minibatch, int64_t time)
{
    const bool last = minibatch == simulator->schedule->minibatches;

    return last ? (int64_t)((double)time * simulator->timing->last_minibatch + 0.5) : time;
}

static void channel_send(const struct simulator *simulator, struct channel *channel, int64_t duration, int64_t latency)
{
    channel->free_at = later(channel->free_at, simulator->now) + duration;
    channel->arrivals[channel->sent++] = channel->free_at + latency;
}

static int64_t channel_next(const struct channel *channel)
{
    return channel->seen < channel->sent ? channel->arrivals[channel->seen] : NEVER;
}

static int channel_seen(struct channel *channel, int64_t now)
{
    while (channel_next(channel) <= now)
        channel->seen++;
    return channel->seen;
}

/* When something happens at the stage of itself. */
static int64_t stage_next(const struct running_stage *stage)
{
    if (stage->state != WAITING)
        return stage->until;
    return earlier(channel_next(&stage->activations), channel_next(&stage->gradients));
}

/* Micro-batches that fit into a link when those of the first `done` have left it, a slot at a time. */
static int room(const struct schedule *schedule, int done, int asked)
{
    const int size = schedule_slot_size(schedule), total = schedule->minibatches * schedule->microbatches / size;

    return (done / size + (asked > 0 ? min_int(asked, total) : total)) * size;
}

/* What has come from the neighbours, and what room they have. */
static void look_around(struct simulator *simulator, int s)
{
    const struct schedule *schedule = simulator->schedule;
    struct running_stage *stage = &simulator->stages[s - 1];
    struct progress *progress = &stage->progress;

    progress->activations_arrived = schedule->minibatches * schedule->microbatches;
    progress->forward_room = progress->backward_room = INT_MAX;
    if (s > 1) {
        progress->activations_arrived = channel_seen(&stage->activations, simulator->now);
        progress->backward_room =
            room(schedule, stage[-1].progress.weight_backwards, simulator->timing->links[s - 2].slots.gradients);
    }
    if (s < schedule->stages) {
        const int per_message = schedule->order.whole_backward ? schedule->microbatches : 1;
        progress->gradients_arrived = channel_seen(&stage->gradients, simulator->now) * per_message;
        progress->forward_room = room(schedule, min_int(progress->weight_backwards, stage[1].progress.weight_backwards),
                                      simulator->timing->links[s - 1].slots.activations);
    }
}

static struct next next_op(const struct simulator *simulator, int s)
{
    const struct progress *progress = &simulator->stages[s - 1].progress;
    const int done = simulator->simulation->stages[s - 1].op_count;

    if (simulator->replayed == NULL)
        return schedule_next(simulator->schedule, s, progress);
    if (done == simulator->replayed->stages[s - 1].op_count)
        return (struct next){.kind = NEXT_DONE};
    return schedule_can_run(simulator->schedule, s, progress, &simulator->replayed->stages[s - 1].ops[done]);
}

static void note_in_flight(const struct schedule *schedule, const struct progress *progress, const struct op *op,
                           struct stage_events *events)
{
    const int done = progress->weight_backwards;

    events->minibatches_in_flight =
        max_int(events->minibatches_in_flight, op->minibatch - done / schedule->microbatches);
    events->microbatches_in_flight = max_int(events->microbatches_in_flight, progress->forwards + 1 - done);
}

static void begin_op(struct simulator *simulator, int s)
{
    const struct schedule *schedule = simulator->schedule;
    struct running_stage *stage = &simulator->stages[s - 1];
    struct stage_events *events = &simulator->simulation->stages[s - 1];
    const struct op *op = &stage->next.op;
    int *pin = &simulator->pins[(op->minibatch - 1) * schedule->microbatches + op->first - 1];
    int *committed = &simulator->simulation->committed[op->minibatch - 1];

    stage->state = COMPUTING;
    stage->until = simulator->now + scaled(simulator, op->minibatch, simulator->timing->stages[s - 1].op[op->kind]);
    events->ops[events->op_count++] = (struct timed_op){.op = *op, .start = simulator->now};
    if (op->kind == OP_FORWARD) {
        const int read = versions_begin_forward(stage->tracker, op, *pin);
        if (s == 1)
            *pin = read;
        note_in_flight(schedule, &stage->progress, op, events);
        return;
    }
    if (s == schedule->stages && op->kind != OP_BACKWARD_WEIGHTS && op->first == 1)
        *committed = simulator->replayed ? simulator->replayed->committed[op->minibatch - 1]
                                         : versions_live(simulator->stages[0].tracker);
    versions_begin_backward(stage->tracker, op, *committed);
}

/* Asks what is next. The time since it last asked went into waiting for what it was told then. */
static void decide(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s - 1];

    simulator->simulation->stages[s - 1].waits[stage->next.cause] += simulator->now - stage->since;
    stage->since = simulator->now;
    stage->doorbell = false;
    look_around(simulator, s);
    stage->next = next_op(simulator, s);
    if (stage->next.kind == NEXT_RUN)
        begin_op(simulator, s);
}

static void ring_doorbells(struct simulator *simulator, int s)
{
    for (int t = max_int(s - 1, 1); t <= min_int(s + 1, simulator->schedule->stages); t++)
        simulator->stages[t - 1].doorbell = true;
}

static void send_result(struct simulator *simulator, int s, const struct op *op)
{
    struct running_stage *stage = &simulator->stages[s - 1];
    const struct link_times *links = simulator->timing->links;

    if (op->kind == OP_FORWARD && s < simulator->schedule->stages)
        channel_send(simulator, &stage[1].activations, scaled(simulator, op->minibatch, links[s - 1].activation),
                     links[s - 1].latency);
    if ((op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT) && s > 1)
        channel_send(simulator, &stage[-1].gradients, scaled(simulator, op->minibatch, links[s - 2].gradient),
                     links[s - 2].latency);
}

/* The op's results are there; its update, if it has one, follows. */
static void end_op(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s - 1];
    const struct op *op = &stage->next.op;

    stage->state = UPDATING;
    progress_advance(&stage->progress, op);
    versions_end(stage->tracker, op);
    send_result(simulator, s, op);
    if (schedule_updates_after(simulator->schedule, op))
        stage->until += simulator->timing->stages[s - 1].update;
    ring_doorbells(simulator, s);
}

static void end_update(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s - 1];
    struct stage_events *events = &simulator->simulation->stages[s - 1];
    struct timed_op *timed = &events->ops[events->op_count - 1];

    stage->state = WAITING;
    stage->since = timed->end = simulator->now;
    events->busy += timed->end - timed->start;
    if (!schedule_updates_after(simulator->schedule, &timed->op))
        return;
    versions_update(stage->tracker);
    events->weight_versions = max_int(events->weight_versions, versions_count_needed(stage->tracker));
    if (s == 1 && timed->op.minibatch == simulator->schedule->stages)
        simulator->steady_from = simulator->now;
    if (s == 1 && timed->op.minibatch == simulator->schedule->minibatches - simulator->schedule->stages)
        simulator->steady_to = simulator->now;
}

/* All that ends now ends before anybody decides. */
static void handle_events(struct simulator *simulator)
{
    const int stages = simulator->schedule->stages;

    for (int s = 1; s <= stages; s++) {
        struct running_stage *stage = &simulator->stages[s - 1];
        if (stage->state == COMPUTING && stage->until == simulator->now)
            end_op(simulator, s);
        if (stage->state == UPDATING && stage->until == simulator->now)
            end_update(simulator, s);
    }
    for (int s = 1; s <= stages; s++) {
        struct running_stage *stage = &simulator->stages[s - 1];
        if (stage->state == WAITING && (stage->doorbell || stage_next(stage) <= simulator->now))
            decide(simulator, s);
    }
}

/* NEVER: nothing more will happen. */
static int64_t next_event(const struct simulator *simulator)
{
    int64_t next = NEVER;

    for (int s = 0; s < simulator->schedule->stages; s++)
        next = earlier(next, stage_next(&simulator->stages[s]));
    return next;
}

/* Nothing more happens: 0 if all is done, else -1 and the first stage that waits. */
static int check_done(const struct simulator *simulator, struct error *error)
{
    for (int s = 1; s <= simulator->schedule->stages; s++) {
        const struct next *next = &simulator->stages[s - 1].next;
        char text[OP_TEXT_SIZE];
        if (next->kind == NEXT_DONE)
            continue;
        op_format(&next->op, simulator->schedule, text);
        return error_set(error,
                         "order %s deadlocks with %d stages and %d micro-batches: after %lld ns nothing can run and "
                         "stage %d waits for the %s of %s",
                         simulator->schedule->order.name, simulator->schedule->stages,
                         simulator->schedule->microbatches, (long long)simulator->now, s, wait_cause_name(next->cause),
                         text);
    }
    return 0;
}

static void summarize_version_differences(struct event_simulation *simulation, int warm_up)
{
    int *histogram = simulation->version_differences, below = 0;

    for (int i = warm_up; i < simulation->minibatch_count; i++)
        histogram[i + 1 - simulation->committed[i]]++;
    for (int v = simulation->minibatch_count; v >= 0; v--)
        if (histogram[v] > 0)
            simulation->version_difference_min = v;
    for (int v = 0; v <= simulation->minibatch_count; v++) {
        if (histogram[v] > 0)
            simulation->version_difference_max = v;
        if (2 * below < simulation->minibatch_count - warm_up)
            simulation->version_difference_median = v;
        below += histogram[v];
    }
}

static void summarize(const struct simulator *simulator)
{
    const struct schedule *schedule = simulator->schedule;
    struct event_simulation *simulation = simulator->simulation;
    int64_t busy = 0;

    simulation->duration = simulator->now;
    const double all = (double)schedule->stages * (double)simulation->duration;
    for (int s = 0; s < schedule->stages; s++) {
        struct stage_events *events = &simulation->stages[s];

        events->waits[WAIT_NONE] += simulation->duration - simulator->stages[s].since;
        busy += events->busy;
    }
    simulation->bubble_fraction = all > 0 ? (all - (double)busy) / all : 0.0;
    simulation->minibatch_duration = is_steady(schedule) ? (double)(simulator->steady_to - simulator->steady_from) /
                                                               (schedule->minibatches - 2 * schedule->stages)
                                                         : (double)simulation->duration / schedule->minibatches;
    summarize_version_differences(simulation, warm_up(schedule));
}

int simulate_events(const struct schedule *schedule, const struct timing *timing, const struct simulation *replayed,
                    struct event_simulation **out, struct error *error)
{
    struct simulator simulator = {.schedule = schedule, .timing = timing, .replayed = replayed};

    if (simulator_prepare(&simulator) != 0) {
        error_set(error, "out of memory for the simulation of %d mini-batches on %d stages", schedule->minibatches,
                  schedule->stages);
        goto fail;
    }
    for (int64_t next = 0; next != NEVER; next = next_event(&simulator)) {
        simulator.now = next;
        handle_events(&simulator);
    }
    if (check_done(&simulator, error) != 0)
        goto fail;
    summarize(&simulator);
    *out = simulator.simulation;
    simulator.simulation = NULL;
    simulator_release(&simulator);
    return 0;

fail:
    simulator_release(&simulator);
    return -1;
}
