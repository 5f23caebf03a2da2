#include "monitor/planned.h"

#include <math.h>

#include "base/numbers.h"
#include "monitor/facts.h"
#include "plan/replay.h"

/* Ops that a drawing may simulate, and how wide a tick is before there is a time for it. */
enum { OPS_MAX = 40000, TICK_COLUMNS = 3 };

static bool is_training(const struct op_record *op)
{
    return op->phase == PHASE_TRAIN && op->end_ns > op->start_ns;
}

/* Where reality and plan are pinned together: two updates of the last part, or an op alone. */
struct anchors {
    const struct op_record *first, *last;
    int part;
};

/* The last part's updates on the screen, of the newest epoch there. */
static struct anchors find_updates(const struct moment *moment, const struct time_axis *axis)
{
    int part = moment->snapshot->stage_count;
    const struct stage_history *history = &moment->history->stages[part - 1];
    struct anchors anchors = {.part = part};

    for (int k = history->count - 1; k >= 0 && history->ops[k].end_ns > axis->left; k--) {
        const struct op_record *op = &history->ops[k];

        if (!is_training(op) || !op->updated || op->start_ns >= axis_right(axis))
            continue;
        if (anchors.last && op->epoch != anchors.last->epoch)
            break;
        anchors.first = op;
        if (!anchors.last)
            anchors.last = op;
    }
    return anchors;
}

/* The first op of training on the screen. */
static struct anchors find_op(const struct moment *moment, const struct time_axis *axis)
{
    struct anchors anchors = {0};

    for (int s = 1; s <= moment->snapshot->stage_count; s++) {
        const struct stage_history *history = &moment->history->stages[s - 1];

        for (int k = history->count - 1; k >= 0 && history->ops[k].end_ns > axis->left; k--)
            if (is_training(&history->ops[k]) && history->ops[k].start_ns < axis_right(axis) &&
                (!anchors.last || history->ops[k].start_ns < anchors.last->start_ns))
                anchors = (struct anchors){&history->ops[k], &history->ops[k], s};
    }
    return anchors;
}

/* When the part's op ends in the simulation, in ticks, and how many updates of the part came before; -1 if it is not
 * there. */
static int64_t find_end(const struct planned *planned, const struct plan *plan, int part,
                        const struct op_record *record, int *updates)
{
    const struct schedule schedule = plan_training(plan);
    const int stage = plan_stage_of(plan, part);

    *updates = 0;

    for (int k = 0; k < simulation_op_count(planned->simulation, stage); k++) {
        const struct timed_op timed = simulation_op(planned->simulation, stage, k);

        if (timed.op.part == part && timed.op.minibatch + planned->shift == record->minibatch &&
            timed.op.kind == (enum op_kind)record->kind && timed.op.first == record->first)
            return timed.end;
        *updates += timed.op.part == part && schedule_updates_after(&schedule, &timed.op);
    }
    return -1;
}

static int64_t end_of(const struct planned *planned, const struct plan *plan, int part, const struct op_record *record)
{
    int unused;

    return find_end(planned, plan, part, record, &unused);
}

/* The simulation's versions are the run's, but for where they are counted from: both had the same at the op. */
static void follow_versions(struct planned *planned, const struct plan *plan, int part, const struct op_record *record)
{
    int updates;

    if (find_end(planned, plan, part, record, &updates) < 0)
        return;
    planned->version = record->version_live - updates;
    planned->follower = follower_create(&planned->schedule, planned->simulation);
}

/* What an op of training took on the average, updates apart; 0 if there was none. */
static double usual_op(const struct snapshot *snapshot)
{
    double count = 0, ns = 0;

    for (int s = 0; s < snapshot->stage_count; s++)
        for (int kind = 0; kind < OP_KINDS; kind++) {
            count += (double)snapshot->stages[s].counters.op_count[kind];
            ns += (double)snapshot->stages[s].counters.op_ns[kind];
        }
    return count > 0 ? facts_stretch(snapshot) * ns / count : 0;
}

/* Ticks that an op of the stage takes on the average. */
static double usual_ticks(const struct simulation *simulation, int stage)
{
    return fmax(1.0, (double)simulation->stages[stage - 1].busy / simulation_op_count(simulation, stage));
}

/* The plan's list, or where there is none its order, with one tick for each op, or nominal times. */
static int simulate_costs(const struct plan *plan, const struct schedule *schedule, bool costs, struct simulation **out,
                          struct error *error)
{
    const struct link_slots slots = {.gradients = schedule_is_list(schedule) ? 0 : schedule_gradient_slots(schedule)};
    const struct part_times ones = {.op = {1, 1, 1, 1}}, nominal = nominal_times(schedule);
    const struct link_times link = {.slots = slots};
    const struct timing timing = {costs ? &nominal : &ones, &link, true, true, NULL, 1.0};
    struct simulation *list;
    int result;

    if (!plan_replays(plan))
        return simulate_timed(schedule, &timing, NULL, true, out, error);
    if (plan_simulate(plan, schedule, true, &list, error))
        return -1;
    result = simulate_timed(schedule, &timing, list, true, out, error);
    simulation_destroy(list);
    return result;
}

/* Every order is periodic once the pipeline is full: each mini-batch repeats the one before. So any stretch in the
 * middle of an epoch is the middle of a phase of a few mini-batches, and its begin and end are that phase's. */
static void simulate_around(struct planned *planned, const struct plan *plan, int first, int last, bool by_costs,
                            bool costs)
{
    struct schedule schedule = plan_training(plan);
    int all = schedule.minibatches, lead = 2 * schedule.stages + 2;
    struct error error;

    first = max_int(1, min_int(first, all));
    last = max_int(first, min_int(last, all));
    schedule.minibatches = min_int(all, last - first + 1 + 2 * lead);
    planned->shift = max_int(0, min_int(first - 1 - lead, all - schedule.minibatches));
    if (schedule_op_count(&schedule) > OPS_MAX / schedule.stages)
        return;
    if (by_costs ? simulate_costs(plan, &schedule, costs, &planned->simulation, &error)
                 : plan_simulate(plan, &schedule, true, &planned->simulation, &error))
        planned->simulation = NULL;
    planned->schedule = schedule;
}

/* Mini-batches on the screen are at most so many. */
static int minibatches_shown(double op_ns, const struct plan *plan, const struct time_axis *axis)
{
    const struct schedule schedule = plan_training(plan);
    double ops = (double)schedule_op_count(&schedule) / schedule.minibatches;
    double shown = (double)(axis_right(axis) - axis->left) / (op_ns * ops);

    return shown < OPS_MAX ? (int)shown + 2 * schedule.stages : OPS_MAX;
}

/* The last part's newest update in sight, or the newest op of training's. */
static const struct tick_op *find_tick(const struct ticks *ticks, int parts, const struct time_axis *axis, int *part)
{
    const struct tick_op *newest = NULL;

    for (*part = parts; *part >= 1; --*part) {
        const struct tick_op *ops = &ticks->ops[ticks->first[*part - 1]];

        for (int k = ticks->count[*part - 1] - 1; k >= 0; k--) {
            if (!is_training(ops[k].record) || (uint64_t)ops[k].start * TICK_UNITS >= axis_right(axis))
                continue;
            if (ops[k].record->updated && *part == parts)
                return &ops[k];
            if (!newest)
                newest = &ops[k];
        }
        if (newest)
            return newest;
    }
    return NULL;
}

static void begin_in_ticks(struct planned *planned, const struct moment *moment, const struct time_axis *axis,
                           const struct ticks *ticks, bool costs)
{
    const struct plan *plan = moment->snapshot->plan;
    int part;
    const struct tick_op *anchor = find_tick(ticks, moment->snapshot->stage_count, axis, &part);
    int64_t tick;

    if (!anchor)
        return;
    planned->epoch = anchor->record->epoch;
    const int shown = minibatches_shown(TICK_UNITS, plan, axis);
    simulate_around(planned, plan, anchor->record->minibatch - shown, anchor->record->minibatch + shown, true, costs);
    if (!planned->simulation)
        return;
    tick = end_of(planned, plan, part, anchor->record);
    planned->tick_ns = TICK_UNITS;
    planned->zero_ns = (double)TICK_UNITS * (double)(anchor->end - tick);
    if (tick < 0)
        planned_end(planned);
    else
        follow_versions(planned, plan, part, anchor->record);
}

static bool has_begun(const struct moment *moment)
{
    for (int s = 0; s < moment->snapshot->stage_count; s++)
        if (moment->history->stages[s].count > 0)
            return true;
    return false;
}

/* There is no time yet to lay it over: a tick is as wide as a name. */
static void begin_ahead(struct planned *planned, const struct plan *plan, const struct time_axis *axis, bool costs)
{
    planned->ahead = true;
    planned->epoch = 1;
    planned->tick_ns = TICK_COLUMNS * (double)axis->ns_per_column;
    planned->zero_ns = (double)axis->left;
    simulate_around(planned, plan, 1, minibatches_shown(planned->tick_ns, plan, axis), true, costs);
    if (planned->simulation)
        planned->follower = follower_create(&planned->schedule, planned->simulation);
}

static void begin_in_time(struct planned *planned, const struct moment *moment, const struct time_axis *axis,
                          bool costs)
{
    const struct plan *plan = moment->snapshot->plan;
    struct anchors anchors = find_updates(moment, axis);
    double op_ns = usual_op(moment->snapshot);
    int64_t tick;

    if (!anchors.last)
        anchors = find_op(moment, axis);
    if (!anchors.last && facts_paused(moment) && !has_begun(moment))
        begin_ahead(planned, plan, axis, costs);
    if (!anchors.last)
        return;
    if (op_ns <= 0)
        op_ns = (double)(anchors.last->end_ns - anchors.last->start_ns);
    planned->epoch = anchors.last->epoch;
    const int shown = minibatches_shown(op_ns, plan, axis);
    simulate_around(planned, plan, anchors.first->minibatch - shown, anchors.last->minibatch + shown, costs, costs);
    if (!planned->simulation)
        return;
    tick = end_of(planned, plan, anchors.part, anchors.last);
    if (tick < 0) {
        planned_end(planned);
        return;
    }
    double end = (double)(anchors.last->end_ns - anchors.last->update_ns);
    int64_t first_tick = end_of(planned, plan, anchors.part, anchors.first);
    planned->tick_ns = op_ns / usual_ticks(planned->simulation, plan_stage_of(plan, anchors.part));
    if (first_tick >= 0 && first_tick < tick)
        planned->tick_ns =
            (end - (double)(anchors.first->end_ns - anchors.first->update_ns)) / (double)(tick - first_tick);
    planned->zero_ns = end - planned->tick_ns * (double)tick;
    follow_versions(planned, plan, anchors.part, anchors.last);
}

void planned_begin(struct planned *planned, const struct moment *moment, const struct time_axis *axis,
                   const struct ticks *ticks, bool costs)
{
    *planned = (struct planned){.simulation = NULL};
    if (ticks)
        begin_in_ticks(planned, moment, axis, ticks, costs);
    else
        begin_in_time(planned, moment, axis, costs);
}

void planned_end(struct planned *planned)
{
    follower_destroy(planned->follower);
    simulation_destroy(planned->simulation);
    planned->follower = NULL;
    planned->simulation = NULL;
}

double planned_end_ns(const struct planned *planned)
{
    return planned->zero_ns + planned->tick_ns * (double)planned->simulation->duration;
}

static struct span span_of(const struct planned *planned, const struct plan *plan, const struct timed_op *timed,
                           const struct op_versions *versions)
{
    double start = planned->zero_ns + planned->tick_ns * (double)timed->start;
    double end = planned->zero_ns + planned->tick_ns * (double)timed->end;
    struct span span = {.start = (uint64_t)llround(fmax(start, 0)),
                        .end = (uint64_t)llround(fmax(end, 0)),
                        .kind = SPAN_OP,
                        .op = timed->op,
                        .version = versions->read_first >= 0 ? planned->version + versions->read_first : -1,
                        .made = versions->made > 0 ? planned->version + versions->made : 0};

    span.op.minibatch += planned->shift;
    span.op.part = 0; /* the row says it */
    span.number = timeline_number(plan, planned->epoch, span.op.minibatch);
    return span;
}

void planned_visit(const struct planned *planned, const struct plan *plan, int part, const struct time_axis *axis,
                   span_visitor *visit, void *context)
{
    const int stage = plan_stage_of(plan, part);

    for (int k = 0; k < simulation_op_count(planned->simulation, stage); k++) {
        const struct timed_op timed = simulation_op(planned->simulation, stage, k);
        struct op_versions versions = {.read_first = VERSION_UNKNOWN, .made = VERSION_UNKNOWN};

        if (timed.op.part != part)
            continue;
        if (planned->follower) {
            versions = follower_begin(planned->follower, &timed.op);
            follower_end(planned->follower, &timed.op);
        }
        const struct span span = span_of(planned, plan, &timed, &versions);
        if (span.end > axis->left && span.start < axis_right(axis) && span.end > span.start)
            visit(context, &span);
    }
}
