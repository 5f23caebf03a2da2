/* The rules of order: what may run, what it waits for, and how much can be in flight. */
#include "schedule/schedule.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/numbers.h"

/* Micro-batch letters have at most three places: 26 + 26^2 + 26^3. */
enum { MICROBATCHES_MAX = 18278 };

static int check_numbers(const struct schedule *schedule, struct error *error)
{
    const int needed = schedule->order.microbatches;

    if (schedule->stages < 1)
        return error_set(error, "%d stages: at least 1 is needed", schedule->stages);
    if (schedule->parts < 1)
        return error_set(error, "%d parts per stage: at least 1 is needed", schedule->parts);
    if (!schedule_is_list(schedule) && schedule->parts > 1)
        return error_set(error, "order %s has one part per stage, not %d: use pipeline.parts = 1", schedule->order.name,
                         schedule->parts);
    if (schedule->microbatches < 1 || schedule->microbatches > MICROBATCHES_MAX)
        return error_set(error, "%d micro-batches per mini-batch: 1 to %d are possible", schedule->microbatches,
                         MICROBATCHES_MAX);
    if (schedule->minibatches < 1 || (long long)schedule->minibatches * schedule->microbatches > INT_MAX / 4)
        return error_set(error, "%d mini-batches of %d micro-batches: 1 to %d are possible", schedule->minibatches,
                         schedule->microbatches, INT_MAX / 4 / schedule->microbatches);
    if (needed > 0 && schedule->microbatches != needed)
        return error_set(error,
                         "order %s takes whole mini-batches, not %d micro-batches: use pipeline.microbatches = %d",
                         schedule->order.name, schedule->microbatches, needed);
    return 0;
}

int schedule_part_count(const struct schedule *schedule)
{
    return schedule->stages * schedule->parts;
}

int schedule_stage_of(const struct schedule *schedule, int part)
{
    return placement_stage(schedule->placement, schedule->stages, part);
}

bool schedule_is_list(const struct schedule *schedule)
{
    return schedule->text != NULL || schedule->order.generate != NULL;
}

bool schedule_keeps_forward(const struct schedule *schedule)
{
    return !schedule->forward_only &&
           (backward_reading(schedule->backward)->keeps_forward || update_rule(schedule->update)->keeps_forward);
}

static int check_double_buffered(const struct schedule *schedule, struct error *error)
{
    const struct order *order = &schedule->order;

    /* Mini-batch i reads version i - 2, so i - 2 must be finished everywhere when i starts. A limit of W micro-batches
     * in flight says so when N >= W; a limit of W mini-batches when W <= 2. */
    const int in_flight = order->limit == LIMIT_LIST ? schedule->in_flight : schedule->stages;

    if (order->limit != LIMIT_MICROBATCHES && in_flight > 2)
        return error_set(error,
                         "double-buffered forwards need at most two mini-batches in flight, order %s has up to %d: use "
                         "pipeline.system = pipedream-2bw or other pipeline.forward_weights",
                         order->name, in_flight);
    if (order->limit == LIMIT_MICROBATCHES && schedule->microbatches < schedule->stages)
        return error_set(error,
                         "double-buffered forwards need as many micro-batches as stages, not %d for %d: use "
                         "pipeline.microbatches = %d or more",
                         schedule->microbatches, schedule->stages, schedule->stages);
    if (!backward_reading(schedule->backward)->keeps_forward)
        return error_set(error,
                         "double-buffered forwards keep the older version for the backward, which would read the %s "
                         "one: use pipeline.backward_weights = %s",
                         backward_rule_name(schedule->backward), backward_rule_name(BACKWARD_FORWARD));
    return 0;
}

/* Nothing keeps what a forward has predicted, for whoever comes back to it. */
static int check_predicted(const struct schedule *schedule, struct error *error)
{
    const struct reading *backward = backward_reading(schedule->backward);

    if (backward->keeps_forward)
        return error_set(error,
                         "forwards read predicted weights (%s), which are not kept, but backwards (%s) come back to "
                         "them: use pipeline.backward_weights = live, or pipeline.forward_weights = live",
                         forward_rule_name(schedule->forward), backward->name);
    return error_set(error,
                     "forwards read predicted weights (%s), which are not kept, but the update rule %s comes back to "
                     "them: use staleness.update = plain, or pipeline.forward_weights = live",
                     forward_rule_name(schedule->forward), update_rule(schedule->update)->name);
}

int schedule_check(const struct schedule *schedule, struct error *error)
{
    const struct order *order = &schedule->order;

    if (check_numbers(schedule, error) != 0 || (order->check != NULL && order->check(schedule, error) != 0))
        return -1;
    if (order->flush && (schedule->forward != FORWARD_LIVE || schedule->backward != BACKWARD_LIVE))
        return error_set(error,
                         "order %s finishes a mini-batch before the next one starts, so there is one weight "
                         "version to read, not %s forwards and %s backwards: use pipeline.forward_weights = live and "
                         "pipeline.backward_weights = live",
                         order->name, forward_rule_name(schedule->forward), backward_rule_name(schedule->backward));
    if (order->flush && schedule->update != UPDATE_PLAIN)
        return error_set(error,
                         "order %s finishes a mini-batch before the next one starts, so that nothing is stale for the "
                         "update rule %s: use staleness.update = plain",
                         order->name, update_rule(schedule->update)->name);
    if (schedule_keeps_forward(schedule) && forward_reading(schedule->forward)->terms)
        return check_predicted(schedule, error);
    if (schedule->forward == FORWARD_DOUBLE_BUFFERED)
        return check_double_buffered(schedule, error);
    if (schedule->forward == FORWARD_PINNED && order->split_backward)
        return error_set(error,
                         "order %s puts weight halves off and has no flush, so that a pinned version need not exist "
                         "everywhere yet: use pipeline.forward_weights = live",
                         order->name);
    if (schedule->backward == BACKWARD_COMMITTED && !order->whole_backward)
        return error_set(error,
                         "committed backwards agree on one version for a whole mini-batch, order %s goes back "
                         "micro-batch by micro-batch: use pipeline.backward_weights = %s or a system of order %s",
                         order->name, backward_rule_name(BACKWARD_FORWARD), orders[ORDER_NF1B].name);
    return 0;
}

const char *op_kind_name(enum op_kind kind)
{
    static const char *const names[OP_KINDS] = {
        [OP_FORWARD] = "forward",
        [OP_BACKWARD] = "backward",
        [OP_BACKWARD_INPUT] = "backward_input",
        [OP_BACKWARD_WEIGHTS] = "backward_weights",
    };
    return names[kind];
}

const char *wait_cause_name(enum wait_cause cause)
{
    static const char *const names[WAIT_CAUSES] = {
        [WAIT_NONE] = "nothing",      [WAIT_ACTIVATION] = "activation",
        [WAIT_GRADIENT] = "gradient", [WAIT_SLOT] = "slot",
        [WAIT_NORM] = "norm",         [WAIT_DATA] = "data",
        [WAIT_CORE] = "core",
    };
    return names[cause];
}

static int total_microbatches(const struct schedule *schedule)
{
    return schedule->minibatches * schedule->microbatches;
}

/* The number, in micro-batches since the phase began, of the op's first micro-batch. */
static int op_number(const struct schedule *schedule, const struct op *op)
{
    return (op->minibatch - 1) * schedule->microbatches + op->first - 1;
}

/* How far forwards may run ahead of backwards at a part, in units of the limit. */
static int depth_of(const struct schedule *schedule, int part)
{
    const int behind = schedule_part_count(schedule) - part;

    if (schedule->order.limit == LIMIT_LIST)
        return schedule->in_flight;
    return (schedule->order.limit == LIMIT_MICROBATCHES_TWICE ? 2 * behind : behind) + 1;
}

/* Micro-batches whose backward must have ended before forward number `forward` begins at a part that may be `depth`
 * ahead. */
static int backwards_before(const struct schedule *schedule, int forward, int depth)
{
    const int n = schedule->microbatches;

    switch (schedule->order.limit) {
    case LIMIT_MINIBATCHES:
    case LIMIT_LIST:
        return max_int(0, forward / n + 1 - depth) * n;
    case LIMIT_MICROBATCHES:
    case LIMIT_MICROBATCHES_TWICE:
        return max_int(0, forward + 1 - depth);
    case LIMIT_NONE:
        break;
    }
    return 0;
}

/* Micro-batches whose backward must have ended, weight half and all, before forward number `forward` begins at any
 * stage.
 *
 * For ZB-H1 the limit says how many weight halves a stage puts off. The bubble is smallest, W - 1 ticks, when all
 * stages end together: then the last gradient's way from stage W to stage 1 hides behind W weight halves put off at
 * stage W, W - 1 at the one before, and so on. So the limit is W at every stage. W - s + 1 would hold at each stage
 * what 1F1B holds there, but let stage W put off nothing, and the bubble be 2 (W - 1). As it is, no stage has more
 * micro-batches in flight than the first one of 1F1B (but what waits for weight halves comes on top of what these
 * hold), and N < W micro-batches, with fewer halves to put off, cost W - N ticks more. */
static int weight_backwards_before(const struct schedule *schedule, int forward)
{
    const int flushed = schedule->order.flush ? forward / schedule->microbatches * schedule->microbatches : 0;

    return max_int(flushed, backwards_before(schedule, forward, depth_of(schedule, 1)));
}

int schedule_updates_before(const struct schedule *schedule, int forward)
{
    return weight_backwards_before(schedule, forward) / schedule->microbatches;
}

static enum wait_cause forward_waits_for(const struct schedule *schedule, int part, const struct progress *progress,
                                         const struct op *op)
{
    const int number = op_number(schedule, op);
    const int depth = depth_of(schedule, part);

    if (!schedule->forward_only && (progress->backwards < backwards_before(schedule, number, depth) ||
                                    progress->weight_backwards < weight_backwards_before(schedule, number)))
        return WAIT_GRADIENT;
    if (progress->activations_arrived <= number)
        return WAIT_ACTIVATION;
    if (progress->forward_room <= number)
        return WAIT_SLOT;
    return WAIT_NONE;
}

/* The number of forwards that must be done at the stage before the backward may begin.
 *
 * The input half of a split backward lets its partner go first: the forward that the limit allows once the backward
 * before it is done, with the weight half that makes room for it. That is ZB-H1's one forward, one backward. Were the
 * input half to go first, the forward would leave late and stage W run out of work. */
static int forwards_before(const struct schedule *schedule, int part, const struct op *op)
{
    const int minibatch_end = op->minibatch * schedule->microbatches;
    const int number = op_number(schedule, op);

    if (schedule->order.fill_first)
        return minibatch_end;
    if (schedule->order.split_backward && !schedule_is_list(schedule))
        return min_int(minibatch_end, number + depth_of(schedule, part));
    return number + op->count;
}

static enum wait_cause backward_waits_for(const struct schedule *schedule, int part, const struct progress *progress,
                                          const struct op *op)
{
    const int end = op_number(schedule, op) + op->count;

    if (progress->forwards < forwards_before(schedule, part, op))
        return WAIT_ACTIVATION;
    if (part < schedule_part_count(schedule) && progress->gradients_arrived < end)
        return WAIT_GRADIENT;
    if (progress->backward_room < end)
        return WAIT_SLOT;
    return WAIT_NONE;
}

struct next schedule_can_run(const struct schedule *schedule, int part, const struct progress *progress,
                             const struct op *op)
{
    struct next next = {.op = *op, .cause = WAIT_NONE};

    switch (op->kind) {
    case OP_FORWARD:
        next.cause = forward_waits_for(schedule, part, progress, op);
        break;
    case OP_BACKWARD:
    case OP_BACKWARD_INPUT:
        next.cause = backward_waits_for(schedule, part, progress, op);
        break;
    case OP_BACKWARD_WEIGHTS:
        if (progress->backwards < op_number(schedule, op) + op->count)
            next.cause = WAIT_GRADIENT;
        break;
    }
    next.kind = next.cause == WAIT_NONE ? NEXT_RUN : NEXT_WAIT;
    return next;
}

/* The op of this kind that begins with micro-batch `number` of the phase. */
static struct op op_at(const struct schedule *schedule, enum op_kind kind, int part, int number)
{
    const int n = schedule->microbatches;
    const bool whole = kind != OP_FORWARD && schedule->order.whole_backward;

    return (struct op){kind, number / n + 1, whole ? 1 : number % n + 1, whole ? n : 1, part};
}

struct next schedule_next(const struct schedule *schedule, int part, const struct progress *progress)
{
    const int total = total_microbatches(schedule);
    const bool split = schedule->order.split_backward;
    struct next backward = {.kind = NEXT_DONE}, forward = {.kind = NEXT_DONE};

    if (!schedule->forward_only && progress->backwards < total) {
        struct op op = op_at(schedule, split ? OP_BACKWARD_INPUT : OP_BACKWARD, part, progress->backwards);
        backward = schedule_can_run(schedule, part, progress, &op);
        if (backward.kind == NEXT_RUN)
            return backward;
    }
    if (progress->forwards < total) {
        struct op op = op_at(schedule, OP_FORWARD, part, progress->forwards);
        forward = schedule_can_run(schedule, part, progress, &op);
        if (forward.kind == NEXT_RUN)
            return forward;
    }
    if (split && progress->weight_backwards < progress->backwards)
        return (struct next){NEXT_RUN, op_at(schedule, OP_BACKWARD_WEIGHTS, part, progress->weight_backwards),
                             WAIT_NONE};

    /* A gradient that has come and finds no room is nearest to running; then a forward that only its input or its
     * slot is missing for; a forward held back by the limit waits, like the backward itself, for a gradient. */
    if (forward.kind == NEXT_DONE || backward.cause == WAIT_SLOT)
        return backward;
    if (backward.kind == NEXT_DONE || forward.cause != WAIT_GRADIENT)
        return forward;
    return backward;
}

void progress_advance(struct progress *progress, const struct op *op)
{
    if (op->kind == OP_FORWARD) {
        progress->forwards += op->count;
        return;
    }
    if (op->kind != OP_BACKWARD_WEIGHTS)
        progress->backwards += op->count;
    if (op->kind != OP_BACKWARD_INPUT)
        progress->weight_backwards += op->count;
}

bool schedule_updates_after(const struct schedule *schedule, const struct op *op)
{
    const bool weights = op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_WEIGHTS;

    return weights && op->first + op->count - 1 == schedule->microbatches;
}

int schedule_op_count(const struct schedule *schedule)
{
    const int forwards = total_microbatches(schedule);
    const int backwards = schedule->order.whole_backward ? schedule->minibatches : forwards;

    if (schedule->forward_only)
        return schedule->parts * forwards;
    if (schedule_is_list(schedule))
        return schedule->parts * 3 * forwards;
    return forwards + (schedule->order.split_backward ? 2 : 1) * backwards;
}

/* Mini-batches that are touched by the most micro-batches that may be in flight at a stage that may be `depth`
 * ahead. */
static int minibatches_within(const struct schedule *schedule, int depth)
{
    const int n = schedule->microbatches;

    if (schedule->forward_only || schedule->order.flush)
        return 1;
    switch (schedule->order.limit) {
    case LIMIT_MINIBATCHES:
    case LIMIT_LIST:
        return min_int(depth, schedule->minibatches);
    case LIMIT_MICROBATCHES:
    case LIMIT_MICROBATCHES_TWICE:
        /* The last micro-batch of one mini-batch, then depth - 1 more. */
        return min_int(1 + (depth - 1 + n - 1) / n, schedule->minibatches);
    case LIMIT_NONE:
        break;
    }
    return schedule->minibatches;
}

int schedule_in_flight_limit(const struct schedule *schedule, int part)
{
    return minibatches_within(schedule, depth_of(schedule, part));
}

int schedule_slot_size(const struct schedule *schedule)
{
    return schedule->order.whole_backward ? schedule->microbatches : 1;
}

static int total_slots(const struct schedule *schedule)
{
    return total_microbatches(schedule) / schedule_slot_size(schedule);
}

int schedule_slots_limit(const struct schedule *schedule, int part)
{
    const struct order *order = &schedule->order;
    /* A split backward holds its slot until the weight half: weight_backwards_before. */
    const int depth = depth_of(schedule, order->split_backward ? 1 : part);
    const int flushed = order->flush ? schedule->microbatches : total_slots(schedule);

    if (schedule->forward_only)
        return 1;
    if (order->whole_backward)
        return schedule_in_flight_limit(schedule, part);
    if (order->limit == LIMIT_LIST)
        return min_int(depth * schedule->microbatches, flushed);
    return min_int(order->limit == LIMIT_NONE ? flushed : depth, flushed);
}

/* Where every stage runs a list, whatever the flush allows is a bound; what it needs is measured on the list
 * (schedule/simulate.h): one run of it that has enough room shows that every run of it has. */
int schedule_activation_slots(const struct schedule *schedule, int part)
{
    const int slots = schedule_slots_limit(schedule, part);
    int late = 0;

    /* The later stage may be so far behind: with a split backward it has done the input half of whatever has come back
     * here, but may owe W weight halves; without backward, one slot's forwards. */
    if (schedule->forward_only)
        late = 1;
    else if (schedule->order.split_backward)
        late = schedule_is_list(schedule) ? slots : depth_of(schedule, 1);
    return min_int(slots + late, total_slots(schedule));
}

int schedule_gradient_slots(const struct schedule *schedule)
{
    if (schedule_is_list(schedule))
        return min_int(2 * schedule_slots_limit(schedule, 1), total_slots(schedule));
    return min_int(schedule->order.split_backward ? depth_of(schedule, 1) + 1 : 2, total_slots(schedule));
}

int schedule_versions_limit(const struct schedule *schedule, int part)
{
    const bool old_forwards = schedule->forward == FORWARD_PINNED && part > 1;

    /* The oldest version that can be asked for is that of the oldest micro-batch not yet backwarded here. Pinned and
     * committed versions are counted at stage 1, when the micro-batch entered: at most W ahead of its backward, at any
     * stage. A stash holds what this stage had when the micro-batch passed. */
    if (schedule->forward_only)
        return 1;
    if (schedule->forward == FORWARD_DOUBLE_BUFFERED)
        return min_int(2, schedule->minibatches);
    if (old_forwards || schedule->backward == BACKWARD_COMMITTED)
        return minibatches_within(schedule, depth_of(schedule, 1));
    return schedule_keeps_forward(schedule) ? schedule_in_flight_limit(schedule, part) : 1;
}

/* 26^7 is more than any int. */
enum { LETTERS_SIZE = 7 + 1, PASS_SIZE = 8 };

/* Micro-batch 1.. as A..Z, AA, AB, ..., or in lower case. */
static void letters_format(int microbatch, char first, char text[LETTERS_SIZE])
{
    int length = 0;

    for (int rest = microbatch; rest > 0; rest = (rest - 1) / 26)
        length++;
    text[length] = '\0';
    for (int rest = microbatch; rest > 0; rest = (rest - 1) / 26)
        text[--length] = (char)(first + (rest - 1) % 26);
}

/* Of the passes through the pipeline that a micro-batch's forward makes, the second has a mark, the third a '2'. */
static void pass_format(const struct schedule *schedule, int part, char text[PASS_SIZE])
{
    const int pass = schedule->parts > 1 && part > 0 ? (part - 1) / schedule->stages : 0;

    text[0] = '\0';
    if (pass == 1)
        strcpy(text, "'");
    else if (pass > 1)
        snprintf(text, PASS_SIZE, "'%d", pass % 1000);
}

void part_format(const struct schedule *schedule, int part, char text[PART_TEXT_SIZE])
{
    char pass[PASS_SIZE];

    pass_format(schedule, part, pass);
    snprintf(text, PART_TEXT_SIZE, "%d%s", schedule_stage_of(schedule, part), pass);
}

void op_format(const struct op *op, const struct schedule *schedule, char text[OP_TEXT_SIZE])
{
    static const char *const marks[] = {
        [OP_FORWARD] = "",
        [OP_BACKWARD] = "",
        [OP_BACKWARD_INPUT] = "<",
        [OP_BACKWARD_WEIGHTS] = "+",
    };
    char letters[LETTERS_SIZE] = "", pass[PASS_SIZE];

    pass_format(schedule, op->part, pass);
    if (op->kind == OP_FORWARD || !schedule->order.whole_backward)
        letters_format(op->first, op->kind == OP_FORWARD ? 'A' : 'a', letters);
    snprintf(text, OP_TEXT_SIZE, "%d%s%s%s", op->minibatch, letters, marks[op->kind], pass);
}
