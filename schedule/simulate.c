/* The slot simulator and the closed forms. */
#include "schedule/simulate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

/* What a stage is while the simulation runs, beside what it leaves in its stage_order. */
struct simulated_stage {
    struct progress progress;
    struct version_tracker *tracker;
    struct next next;
};

struct simulator {
    const struct schedule *schedule;
    struct link_slots slots;
    struct simulated_stage *stages; /* [W] */
    struct simulation *simulation;
};

void simulation_destroy(struct simulation *simulation)
{
    if (simulation == NULL)
        return;
    for (int s = 0; simulation->stages != NULL && s < simulation->stage_count; s++) {
        free(simulation->stages[s].ops);
        free(simulation->stages[s].slots);
    }
    free(simulation->stages);
    free(simulation->committed);
    free(simulation->pins);
    free(simulation);
}

static struct simulation *simulation_create(const struct schedule *schedule)
{
    const size_t op_count = (size_t)schedule_op_count(schedule);
    struct simulation *simulation = calloc(1, sizeof(*simulation));

    if (simulation == NULL)
        return NULL;
    simulation->stage_count = schedule->stages;
    simulation->minibatch_count = schedule->minibatches;
    simulation->stages = calloc((size_t)schedule->stages, sizeof(*simulation->stages));
    simulation->committed = calloc((size_t)schedule->minibatches, sizeof(*simulation->committed));
    simulation->pins = calloc((size_t)schedule->minibatches * (size_t)schedule->microbatches, sizeof(int));
    if (simulation->stages == NULL || simulation->committed == NULL || simulation->pins == NULL)
        goto fail;
    for (int s = 0; s < schedule->stages; s++) {
        struct stage_order *order = &simulation->stages[s];
        order->weight_versions = 1;
        order->ops = malloc(op_count * sizeof(*order->ops));
        order->slots = malloc(op_count * sizeof(*order->slots));
        if (order->ops == NULL || order->slots == NULL)
            goto fail;
    }
    return simulation;

fail:
    simulation_destroy(simulation);
    return NULL;
}

static void simulator_release(struct simulator *simulator)
{
    for (int s = 0; simulator->stages != NULL && s < simulator->schedule->stages; s++)
        versions_destroy(simulator->stages[s].tracker);
    free(simulator->stages);
    simulation_destroy(simulator->simulation);
}

static int simulator_prepare(struct simulator *simulator)
{
    const struct schedule *schedule = simulator->schedule;

    simulator->simulation = simulation_create(schedule);
    simulator->stages = calloc((size_t)schedule->stages, sizeof(*simulator->stages));
    if (simulator->simulation == NULL || simulator->stages == NULL)
        return -1;
    for (int s = 1; s <= schedule->stages; s++) {
        simulator->stages[s - 1].tracker = versions_create(schedule, s, 0);
        if (simulator->stages[s - 1].tracker == NULL)
            return -1;
    }
    return 0;
}

static const struct progress *progress_of(const struct simulator *simulator, int stage)
{
    return &simulator->stages[stage - 1].progress;
}

/* Micro-batches that fit into a link when those of the first `done` have left it, a slot at a time. */
static int room(const struct schedule *schedule, int done, int asked)
{
    const int size = schedule_slot_size(schedule), total = schedule->minibatches * schedule->microbatches / size;
    const int slots = asked > 0 ? min_int(asked, total) : total;

    return (done / size + slots) * size;
}

/* What has come from the neighbours, and what room they have, by the end of the slot before. */
static void look_around(struct simulator *simulator, int stage)
{
    const struct schedule *schedule = simulator->schedule;
    struct progress *progress = &simulator->stages[stage - 1].progress;

    progress->activations_arrived = schedule->minibatches * schedule->microbatches;
    progress->forward_room = progress->backward_room = INT_MAX;
    if (stage > 1) {
        const struct progress *before = progress_of(simulator, stage - 1);
        progress->activations_arrived = before->forwards;
        progress->backward_room = room(schedule, before->weight_backwards, simulator->slots.gradients);
    }
    if (stage < schedule->stages) {
        const struct progress *after = progress_of(simulator, stage + 1);
        const int done = min_int(progress->weight_backwards, after->weight_backwards);
        progress->gradients_arrived = after->backwards;
        progress->forward_room =
            room(schedule, schedule->forward_only ? after->forwards : done, simulator->slots.activations);
    }
}

static void begin_op(struct simulator *simulator, int stage, int slot)
{
    const struct schedule *schedule = simulator->schedule;
    struct simulated_stage *state = &simulator->stages[stage - 1];
    struct stage_order *order = &simulator->simulation->stages[stage - 1];
    const struct op *op = &state->next.op;
    int *pin = &simulator->simulation->pins[(op->minibatch - 1) * schedule->microbatches + op->first - 1];
    int *committed = &simulator->simulation->committed[op->minibatch - 1];

    order->slots[order->op_count] = slot;
    order->ops[order->op_count++] = *op;
    if (op->kind == OP_FORWARD) {
        if (stage == 1)
            *pin = versions_live(state->tracker);
        versions_begin_forward(state->tracker, op, *pin);
        return;
    }
    if (stage == schedule->stages && op->kind != OP_BACKWARD_WEIGHTS && op->first == 1)
        *committed = versions_live(simulator->stages[0].tracker);
    versions_begin_backward(state->tracker, op, *committed);
}

static void note_in_flight(const struct schedule *schedule, const struct progress *progress, const struct op *op,
                           struct stage_order *order)
{
    const int done = schedule->forward_only ? progress->forwards : progress->weight_backwards;
    const int minibatches = op->minibatch - done / schedule->microbatches;

    order->minibatches_in_flight = max_int(order->minibatches_in_flight, minibatches);
    order->microbatches_in_flight = max_int(order->microbatches_in_flight, progress->forwards + 1 - done);
}

static void end_op(struct simulator *simulator, int stage)
{
    const struct schedule *schedule = simulator->schedule;
    struct simulated_stage *state = &simulator->stages[stage - 1];
    struct stage_order *order = &simulator->simulation->stages[stage - 1];

    if (state->next.op.kind == OP_FORWARD)
        note_in_flight(schedule, &state->progress, &state->next.op, order);
    progress_advance(&state->progress, &state->next.op);
    versions_end(state->tracker, &state->next.op);
    if (schedule_updates_after(schedule, &state->next.op)) {
        versions_update(state->tracker);
        /* The one moment at which there can be more than before. */
        order->weight_versions = max_int(order->weight_versions, versions_count_needed(state->tracker));
    }
}

/* One slot: every stage decides by what was finished before, then all run. Returns how many ran. */
static int run_slot(struct simulator *simulator, int slot)
{
    const int stages = simulator->schedule->stages;
    int ran = 0;

    for (int s = 1; s <= stages; s++) {
        look_around(simulator, s);
        simulator->stages[s - 1].next = schedule_next(simulator->schedule, s, progress_of(simulator, s));
    }
    for (int s = 1; s <= stages; s++)
        if (simulator->stages[s - 1].next.kind == NEXT_RUN) {
            begin_op(simulator, s, slot);
            ran++;
        }
    for (int s = 1; s <= stages; s++)
        if (simulator->stages[s - 1].next.kind == NEXT_RUN)
            end_op(simulator, s);
    return ran;
}

/* Nothing has run: 0 if all is done, else -1 and the first stage that waits. */
static int check_done(const struct simulator *simulator, struct error *error)
{
    for (int s = 1; s <= simulator->schedule->stages; s++) {
        const struct next *next = &simulator->stages[s - 1].next;
        char text[OP_TEXT_SIZE];
        if (next->kind == NEXT_DONE)
            continue;
        op_format(&next->op, simulator->schedule, text);
        return error_set(error,
                         "order %s deadlocks with %d stages and %d micro-batches: in slot %d nothing can run and "
                         "stage %d waits for the %s of %s",
                         simulator->schedule->order.name, simulator->schedule->stages,
                         simulator->schedule->microbatches, simulator->simulation->slot_count + 1, s,
                         wait_cause_name(next->cause), text);
    }
    return 0;
}

static void summarize(struct simulation *simulation, const struct schedule *schedule)
{
    const int warm_up = schedule->minibatches > schedule->stages ? schedule->stages : 0;
    const long long all = (long long)schedule->stages * simulation->slot_count;
    long long busy = 0;

    for (int s = 0; s < schedule->stages; s++)
        busy += simulation->stages[s].op_count;
    simulation->bubble_fraction = (double)(all - busy) / (double)all;
    if (schedule->forward_only)
        return;
    simulation->version_difference_min = INT_MAX;
    for (int i = warm_up; i < schedule->minibatches; i++) {
        const int difference = i + 1 - simulation->committed[i];
        simulation->version_difference_min = min_int(simulation->version_difference_min, difference);
        simulation->version_difference_max = max_int(simulation->version_difference_max, difference);
    }
}

int simulate_slots(const struct schedule *schedule, struct link_slots slots, struct simulation **out,
                   struct error *error)
{
    struct simulator simulator = {.schedule = schedule, .slots = slots};

    if (simulator_prepare(&simulator) != 0) {
        error_set(error, "out of memory for the simulation of %d mini-batches on %d stages", schedule->minibatches,
                  schedule->stages);
        goto fail;
    }
    while (run_slot(&simulator, simulator.simulation->slot_count) > 0)
        simulator.simulation->slot_count++;
    if (check_done(&simulator, error) != 0)
        goto fail;
    summarize(simulator.simulation, schedule);
    *out = simulator.simulation;
    simulator.simulation = NULL;
    simulator_release(&simulator);
    return 0;

fail:
    simulator_release(&simulator);
    return -1;
}

static void begin_again(const struct simulation *simulation, struct version_tracker *tracker, int microbatches,
                        const struct op *op)
{
    if (op->kind == OP_FORWARD)
        versions_begin_forward(tracker, op, simulation->pins[(op->minibatch - 1) * microbatches + op->first - 1]);
    else
        versions_begin_backward(tracker, op, simulation->committed[op->minibatch - 1]);
}

/* Marks the versions before k that the op, which has begun, reads. */
static void mark_read(const struct version_tracker *tracker, const struct op *op, int k, uint64_t *versions)
{
    for (int j = op->first; j < op->first + op->count; j++) {
        const struct backward_versions of = versions_of_backward(tracker, op->minibatch, j);
        const int read = op->kind == OP_FORWARD || of.read < 0 ? of.forward : of.read;

        if (read < k && k - read < 64)
            *versions |= UINT64_C(1) << (k - read);
    }
}

int simulation_versions_read_after(const struct simulation *simulation, const struct schedule *schedule, int stage,
                                   int k, uint64_t *versions)
{
    const struct stage_order *order = &simulation->stages[stage - 1];
    struct version_tracker *tracker = versions_create(schedule, stage, 0);

    if (tracker == NULL)
        return -1;
    *versions = 0;
    for (const struct op *op = order->ops; op < order->ops + order->op_count; op++) {
        begin_again(simulation, tracker, schedule->microbatches, op);
        if (op->minibatch > k)
            mark_read(tracker, op, k, versions);
        versions_end(tracker, op);
        if (schedule_updates_after(schedule, op))
            versions_update(tracker);
    }
    versions_destroy(tracker);
    return 0;
}

char *simulation_grid_line(const struct simulation *simulation, const struct schedule *schedule, int stage, int slots)
{
    const struct stage_order *order = &simulation->stages[stage - 1];
    char *line = NULL, text[OP_TEXT_SIZE];
    size_t size;
    FILE *stream = open_memstream(&line, &size);

    if (stream == NULL)
        return NULL;
    fprintf(stream, "stage %d:", stage);
    for (int slot = 0, k = 0; slot < min_int(slots, simulation->slot_count); slot++) {
        const bool busy = k < order->op_count && order->slots[k] == slot;
        if (busy)
            op_format(&order->ops[k++], schedule, text);
        fprintf(stream, " %s", busy ? text : ".");
    }
    if (fclose(stream) != 0) {
        free(line);
        return NULL;
    }
    return line;
}

int version_difference_paper(int stages, int microbatches)
{
    return (stages + microbatches - 2) / microbatches;
}

int version_difference_exact(int stages, int microbatches)
{
    return 1 + (stages - 1) / (microbatches + 1);
}
