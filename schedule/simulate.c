/* The simulator's engine. Time jumps from one end of an op, end of an update or arrival of a message to the next; a
 * stage decides anew when its doorbell has rung, as in the executor. */
#include "schedule/simulate.h"

#include <limits.h>
#include <stdlib.h>

#include "base/numbers.h"
#include "schedule/simulate_internal.h"

int numbers_add(struct numbers *numbers, int64_t value)
{
    if (numbers->count == numbers->capacity) {
        const int capacity = max_int(64, 2 * numbers->capacity);
        int64_t *values = realloc(numbers->values, (size_t)capacity * sizeof(*values));
        if (values == NULL)
            return -1;
        numbers->values = values;
        numbers->capacity = capacity;
    }
    numbers->values[numbers->count++] = value;
    return 0;
}

/* What is kept goes wrong once and is noticed at the end of the round. */
static void note(struct simulator *simulator, struct numbers *numbers, int64_t value)
{
    if (numbers_add(numbers, value) != 0)
        simulator->out_of_memory = true;
}

static const struct part_times *times_of(const struct simulator *simulator, int part)
{
    return &simulator->timing->parts[simulator->timing->same_parts ? 0 : part - 1];
}

/* In the last mini-batch, which may be smaller, things take less time; and so they do with fewer micro-batches. */
int64_t simulator_scaled(const struct simulator *simulator, const struct op *op, int64_t time)
{
    const struct schedule *schedule = &simulator->schedule;
    const int usual = op->kind != OP_FORWARD && schedule->order.whole_backward ? schedule->microbatches : 1;
    const int64_t counted = op->count == usual ? time : time * op->count / usual;

    return op->minibatch == schedule->minibatches ? (int64_t)((double)counted * simulator->timing->last_minibatch + 0.5)
                                                  : counted;
}

/* --- What a stage does next. --- */

/* Asks its parts, the one nearest to the loss first. */
static struct next ask_parts(struct simulator *simulator, int s)
{
    const struct schedule *schedule = &simulator->schedule;
    struct next next = {.kind = NEXT_DONE};

    for (int index = schedule->parts - 1; index >= 0 && next.kind != NEXT_RUN; index--) {
        const int part = placement_part(schedule->placement, schedule->stages, s + 1, index);
        struct next of_part;
        simulator_look_around(simulator, part);
        of_part = schedule_next(schedule, part, &part_of(simulator, part)->progress);
        if (of_part.kind == NEXT_RUN || next.kind == NEXT_DONE)
            next = of_part;
    }
    return next;
}

static struct next next_op(struct simulator *simulator, int s)
{
    const struct running_stage *stage = &simulator->stages[s];
    struct op op;

    if (simulator->replayed != NULL) {
        if (stage->begun == simulation_op_count(simulator->replayed, s + 1))
            return (struct next){.kind = NEXT_DONE};
        op = simulation_op(simulator->replayed, s + 1, stage->begun).op;
    } else if (simulator->lists != NULL) {
        const struct op_list *list = &simulator->lists[s];

        if (stage->begun == list_count(list) || list_op(list, stage->begun).minibatch > simulator->schedule.minibatches)
            return (struct next){.kind = NEXT_DONE};
        op = list_op(list, stage->begun);
    } else {
        return ask_parts(simulator, s);
    }
    simulator_look_around(simulator, op.part);
    return schedule_can_run(&simulator->schedule, op.part, &part_of(simulator, op.part)->progress, &op);
}

/* --- Ops. --- */

static void note_in_flight(struct simulator *simulator, int s, const struct op *op)
{
    const struct schedule *schedule = &simulator->schedule;
    const struct progress *progress = &part_of(simulator, op->part)->progress;
    struct simulated_stage *stage = &simulator->simulation->stages[s];
    struct simulated_part *part = &simulator->simulation->parts[op->part - 1];
    const int done = simulator_let_go(simulator, op->part), size = schedule_slot_size(schedule);
    const int begun = progress->forwards + op->count;

    simulator->stages[s].in_flight += op->count;
    stage->microbatches_in_flight = max_int(stage->microbatches_in_flight, simulator->stages[s].in_flight);
    part->minibatches_in_flight = max_int(part->minibatches_in_flight, op->minibatch - done / schedule->microbatches);
    part->microbatches_in_flight = max_int(part->microbatches_in_flight, begun - done);
    part->slots_in_flight = max_int(part->slots_in_flight, (begun + size - 1) / size - done / size);
    stage->minibatches_in_flight = max_int(stage->minibatches_in_flight, part->minibatches_in_flight);
    if (op->part < schedule_part_count(schedule))
        part->link.activations = max_int(
            part->link.activations, (begun + size - 1) / size - simulator_let_go_on_link(simulator, op->part) / size);
}

static void note_gradient_slots(struct simulator *simulator, const struct op *op)
{
    const int size = schedule_slot_size(&simulator->schedule);
    const struct running_part *part = part_of(simulator, op->part);
    struct simulated_part *before = &simulator->simulation->parts[op->part - 2];
    const int begun = part->progress.backwards + op->count;

    before->link.gradients =
        max_int(before->link.gradients, (begun + size - 1) / size - part[-1].progress.weight_backwards / size);
}

/* Part 1's live version, counted since the phase began: what it has applied. */
static int live_version(const struct simulator *simulator)
{
    return simulator->update_times.count;
}

static void note_version(struct simulator *simulator, const struct op *op)
{
    const bool back = op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT;

    if (op->kind == OP_FORWARD && op->part == 1)
        note(simulator, &simulator->pins, live_version(simulator));
    if (back && op->part == schedule_part_count(&simulator->schedule) && op->first == 1)
        note(simulator, &simulator->committed,
             simulator->replayed ? simulation_committed(simulator->replayed, op->minibatch) : live_version(simulator));
}

static void begin_op(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s];
    const struct op *op = &stage->next.op;

    stage->state = COMPUTING;
    stage->until = simulator->now + simulator_scaled(simulator, op, times_of(simulator, op->part)->op[op->kind]);
    stage->current = (struct timed_op){.op = *op, .start = simulator->now};
    if (stage->begun++ == 0)
        simulator->simulation->stages[s].first_start = simulator->now;
    simulator_push(simulator, stage->until, s);
    note_version(simulator, op);
    if (op->kind == OP_FORWARD)
        note_in_flight(simulator, s, op);
    else if (op->kind != OP_BACKWARD_WEIGHTS && op->part > 1)
        note_gradient_slots(simulator, op);
}

/* Asks what is next. The time since it last asked went into waiting for what it was told then. */
static void decide(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s];

    simulator->simulation->stages[s].waits[stage->next.cause] += simulator->now - stage->since;
    stage->since = simulator->now;
    stage->next = next_op(simulator, s);
    if (stage->next.kind == NEXT_RUN)
        begin_op(simulator, s);
}

/* The op's results are there; its update, if it has one, follows. */
static void end_op(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s];
    const struct op *op = &stage->current.op;
    struct running_part *part = part_of(simulator, op->part);
    const int released = simulator_let_go(simulator, op->part);

    stage->state = UPDATING;
    progress_advance(&part->progress, op);
    stage->in_flight -= simulator_let_go(simulator, op->part) - released;
    simulator_send(simulator, op);
    if (schedule_updates_after(&simulator->schedule, op) && times_of(simulator, op->part)->update > 0) {
        stage->until += times_of(simulator, op->part)->update;
        simulator_push(simulator, stage->until, s);
    }
    if (op->part > 1)
        simulator_ring(simulator, stage_of(simulator, op->part - 1));
    if (op->part < schedule_part_count(&simulator->schedule))
        simulator_ring(simulator, stage_of(simulator, op->part + 1));
}

static int make_room(struct simulator *simulator, int s)
{
    struct simulated_stage *kept = &simulator->simulation->stages[s];
    const size_t capacity = (size_t)max_int(64, 2 * simulator->stages[s].capacity);
    struct packed_op *ops = realloc(kept->ops, capacity * sizeof(*ops));

    if (ops == NULL)
        return -1;
    kept->ops = ops;
    if (simulator->keep_ops) {
        struct op_time *times = realloc(kept->times, capacity * sizeof(*times));
        if (times == NULL)
            return -1;
        kept->times = times;
    }
    simulator->stages[s].capacity = (int)capacity;
    return 0;
}

static void keep_op(struct simulator *simulator, int s)
{
    const struct timed_op *timed = &simulator->stages[s].current;
    const struct op *op = &timed->op;
    struct simulated_stage *kept = &simulator->simulation->stages[s];

    if (kept->stored == simulator->stages[s].capacity && make_room(simulator, s) != 0) {
        simulator->out_of_memory = true;
        return;
    }
    kept->ops[kept->stored] = (struct packed_op){op->minibatch, (uint16_t)op->first, (uint16_t)op->count,
                                                 (uint16_t)op->part, (uint8_t)op->kind};
    if (simulator->keep_ops)
        kept->times[kept->stored] = (struct op_time){timed->start, timed->end};
    kept->stored++;
}

static void end_update(struct simulator *simulator, int s)
{
    struct running_stage *stage = &simulator->stages[s];

    stage->state = WAITING;
    stage->since = stage->current.end = simulator->now;
    simulator->simulation->stages[s].busy += stage->current.end - stage->current.start;
    keep_op(simulator, s);
    if (stage->current.op.part == 1 && schedule_updates_after(&simulator->schedule, &stage->current.op)) {
        note(simulator, &simulator->update_times, simulator->now);
        simulator->updated = true;
    }
    simulator_ring(simulator, s);
}

/* All that ends now ends before anybody decides. */
static void handle_events(struct simulator *simulator)
{
    simulator->now = simulator->events[0].time;
    while (simulator->event_count > 0 && simulator->events[0].time == simulator->now) {
        const int s = simulator_pop(simulator).stage;
        struct running_stage *stage = &simulator->stages[s];
        if (stage->state == COMPUTING && stage->until == simulator->now)
            end_op(simulator, s);
        if (stage->state == UPDATING && stage->until == simulator->now)
            end_update(simulator, s);
        else if (stage->state == WAITING)
            simulator_ring(simulator, s); /* a message has come */
    }
    for (int k = 0; k < simulator->changed_count; k++) {
        const int s = simulator->changed[k];
        simulator->stages[s].doorbell = false;
        if (simulator->stages[s].state == WAITING)
            decide(simulator, s);
    }
    simulator->changed_count = 0;
}

/* Nothing more happens: 0 if all is done, else -1 and the first stage that waits. */
static int check_done(const struct simulator *simulator, struct error *error)
{
    for (int s = 0; s < simulator->schedule.stages; s++) {
        const struct next *next = &simulator->stages[s].next;
        char text[OP_TEXT_SIZE];
        if (next->kind == NEXT_DONE)
            continue;
        op_format(&next->op, &simulator->schedule, text);
        return error_set(error,
                         "order %s deadlocks with %d stages and %d micro-batches: after %lld units of time nothing can "
                         "run and stage %d waits for the %s of %s",
                         simulator->schedule.order.name, simulator->schedule.stages, simulator->schedule.microbatches,
                         (long long)simulator->now, s + 1, wait_cause_name(next->cause), text);
    }
    return 0;
}

/* --- Begin and end. --- */

static struct simulation *simulation_create(const struct schedule *schedule)
{
    struct simulation *simulation = calloc(1, sizeof(*simulation));

    if (simulation == NULL)
        return NULL;
    simulation->stage_count = schedule->stages;
    simulation->part_count = schedule_part_count(schedule);
    simulation->minibatch_count = schedule->minibatches;
    simulation->microbatches = schedule->microbatches;
    simulation->minibatches.turns = simulation->entries.turns = 1;
    simulation->stages = calloc((size_t)simulation->stage_count, sizeof(*simulation->stages));
    simulation->parts = calloc((size_t)simulation->part_count, sizeof(*simulation->parts));
    if (simulation->stages == NULL || simulation->parts == NULL) {
        simulation_destroy(simulation);
        return NULL;
    }
    for (int s = 0; s < simulation->stage_count; s++)
        simulation->stages[s].cycle.turns = 1;
    for (int k = 0; k < simulation->part_count; k++)
        simulation->parts[k].weight_versions = 1;
    return simulation;
}

static void simulator_release(struct simulator *simulator)
{
    for (int k = 0; simulator->parts != NULL && k < schedule_part_count(&simulator->schedule); k++) {
        free(simulator->parts[k].activations.queue);
        free(simulator->parts[k].gradients.queue);
    }
    for (int s = 0; simulator->lists != NULL && s < simulator->schedule.stages; s++)
        free(simulator->lists[s].ops);
    free(simulator->lists);
    free(simulator->parts);
    free(simulator->stages);
    free(simulator->events);
    free(simulator->changed);
    free(simulator->committed.values);
    free(simulator->pins.values);
    free(simulator->update_times.values);
    cycle_release(simulator);
    simulation_destroy(simulator->simulation);
}

static int prepare_stages(struct simulator *simulator)
{
    const struct schedule *schedule = &simulator->schedule;

    for (int s = 0; s < schedule->stages; s++)
        simulator_ring(simulator, s);
    if (simulator->replayed != NULL || !schedule_is_list(schedule) || schedule->forward_only)
        return 0;
    simulator->lists = calloc((size_t)schedule->stages, sizeof(*simulator->lists));
    return simulator->lists != NULL ? lists_create(simulator->lists, schedule) : -1;
}

static int simulator_prepare(struct simulator *simulator)
{
    const size_t stages = (size_t)simulator->schedule.stages;

    simulator->simulation = simulation_create(&simulator->schedule);
    simulator->stages = calloc(stages, sizeof(*simulator->stages));
    simulator->parts = calloc((size_t)schedule_part_count(&simulator->schedule), sizeof(*simulator->parts));
    simulator->changed = calloc(stages, sizeof(*simulator->changed));
    simulator->event_capacity = (int)stages + 1;
    simulator->events = calloc(stages + 1, sizeof(*simulator->events));
    if (simulator->simulation == NULL || simulator->stages == NULL || simulator->parts == NULL ||
        simulator->changed == NULL || simulator->events == NULL)
        return -1;
    if (prepare_stages(simulator) != 0 || cycle_prepare(simulator) != 0)
        return -1;
    simulator_push(simulator, 0, 0);
    return 0;
}

static int play(struct simulator *simulator)
{
    while (simulator->event_count > 0) {
        handle_events(simulator);
        if (simulator->out_of_memory || (simulator->updated && cycle_look(simulator) != 0))
            return -1;
        simulator->updated = false;
    }
    return 0;
}

int simulate_timed(const struct schedule *schedule, const struct timing *timing, const struct simulation *replayed,
                   bool keep_ops, struct simulation **out, struct error *error)
{
    struct simulator simulator = {.schedule = *schedule,
                                  .minibatches = schedule->minibatches,
                                  .timing = timing,
                                  .replayed = replayed,
                                  .keep_ops = keep_ops};
    int result = -1;

    for (int k = 0; timing->machines && k < schedule_part_count(schedule); k++)
        simulator.cable_count = max_int(simulator.cable_count, timing->machines[k] + 1);

    *out = NULL;
    if (simulator_prepare(&simulator) != 0 || play(&simulator) != 0) {
        error_set(error, "out of memory for the simulation of %d mini-batches on %d stages", schedule->minibatches,
                  schedule->stages);
        goto out;
    }
    if (check_done(&simulator, error) != 0)
        goto out;
    if (simulation_summarize(simulator.simulation, &simulator) != 0) {
        error_set(error, "out of memory for the simulation's results");
        goto out;
    }
    *out = simulator.simulation;
    simulator.simulation = NULL;
    result = 0;
out:
    simulator_release(&simulator);
    return result;
}

int simulate_unit(const struct schedule *schedule, struct link_slots slots, bool keep_ops, struct simulation **out,
                  struct error *error)
{
    const struct part_times times = {.op = {1, 1, 1, 1}};
    const struct link_times link = {.slots = slots};
    const struct timing timing = {&times, &link, true, true, NULL, 1.0};

    return simulate_timed(schedule, &timing, NULL, keep_ops, out, error);
}

struct part_times nominal_times(const struct schedule *schedule)
{
    const int backwards = schedule->order.whole_backward ? schedule->microbatches : 1;

    return (struct part_times){.op = {
                                   [OP_FORWARD] = 1,
                                   [OP_BACKWARD] = 2 * backwards,
                                   [OP_BACKWARD_INPUT] = backwards,
                                   [OP_BACKWARD_WEIGHTS] = backwards,
                               }};
}

int simulate_nominal(const struct schedule *schedule, struct link_slots slots, bool keep_ops, struct simulation **out,
                     struct error *error)
{
    const struct part_times times = nominal_times(schedule);
    const struct link_times link = {.slots = slots};
    const struct timing timing = {&times, &link, true, true, NULL, 1.0};

    return simulate_timed(schedule, &timing, NULL, keep_ops, out, error);
}
