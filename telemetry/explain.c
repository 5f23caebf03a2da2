#include "telemetry/explain.h"

#include <stdarg.h>
#include <stdio.h>

/* Text that grows up to its size. */
struct sentence {
    char *text;
    size_t size, used;
};

enum { NAME_SIZE = 32, OP_WORDS_SIZE = 80 };

__attribute__((format(printf, 2, 3))) static void add(struct sentence *sentence, const char *format, ...)
{
    va_list arguments;
    int length;

    if (sentence->used >= sentence->size)
        return;
    va_start(arguments, format);
    length = vsnprintf(sentence->text + sentence->used, sentence->size - sentence->used, format, arguments);
    va_end(arguments);
    sentence->used += length > 0 ? (size_t)length : 0;
}

/* "3", "3.2"; where the run has several machines, "3 on b". */
enum { PLACE_SIZE = PART_TEXT_SIZE + CONFIG_NAME_MAX + 4 };
static void name_place(const struct snapshot *snapshot, const struct schedule *schedule, int part,
                       char name[PLACE_SIZE])
{
    const struct plan *plan = snapshot->plan;
    char number[PART_TEXT_SIZE];

    part_format(schedule, part, number);
    if (plan->machine_count > 1)
        snprintf(name, PLACE_SIZE, "%s on %s", number, plan->machines[plan_machine_of_part(plan, part)].host);
    else
        snprintf(name, PLACE_SIZE, "%s", number);
}

/* "mini-batch 7", "8A", "7a". */
static void name_op(const struct op *op, const struct schedule *schedule, char name[NAME_SIZE])
{
    const bool forward = op->kind == OP_FORWARD;
    const struct op plain = {forward ? OP_FORWARD : OP_BACKWARD, op->minibatch, op->first, op->count, op->part};

    if (!forward && schedule->order.whole_backward)
        snprintf(name, NAME_SIZE, "mini-batch %d", op->minibatch);
    else
        op_format(&plain, schedule, name);
}

/* "the backward of mini-batch 7". */
static void name_work(const struct activity *activity, const struct schedule *schedule, char words[OP_WORDS_SIZE])
{
    static const char *const work[OP_KINDS] = {
        [OP_FORWARD] = "forward",
        [OP_BACKWARD] = "backward",
        [OP_BACKWARD_INPUT] = "input half of the backward",
        [OP_BACKWARD_WEIGHTS] = "weight half of the backward",
    };
    char name[NAME_SIZE];

    name_op(&activity->op, schedule, name);
    snprintf(words, OP_WORDS_SIZE, "the %s%s of %s", activity->phase == PHASE_EVALUATE ? "test's " : "",
             work[activity->op.kind], name);
}

/* "the activation of 8A", "the gradient of mini-batch 7", "a slot for 8A". */
static void name_cause(const struct activity *activity, const struct schedule *schedule, char words[OP_WORDS_SIZE])
{
    static const char *const causes[WAIT_CAUSES] = {
        [WAIT_NONE] = "its turn to run", [WAIT_ACTIVATION] = "the activation of", [WAIT_GRADIENT] = "the gradient of",
        [WAIT_SLOT] = "a slot for",      [WAIT_NORM] = "the gradient norm of",    [WAIT_DATA] = "the data of",
        [WAIT_CORE] = "a core for",
    };
    char name[NAME_SIZE];

    if (activity->cause == WAIT_NORM)
        snprintf(name, NAME_SIZE, "mini-batch %d", activity->op.minibatch);
    else
        name_op(&activity->op, schedule, name);
    snprintf(words, OP_WORDS_SIZE, "%s %s", causes[activity->cause], name);
}

void explain_activity(const struct activity *activity, const struct schedule *schedule, char *text, size_t size)
{
    static const char *const verbs[ACTIVITIES] = {
        [ACTIVITY_NONE] = "between two phases",
        [ACTIVITY_WAIT] = "waiting for",
        [ACTIVITY_HELD] = "held before",
        [ACTIVITY_RUN] = "running",
        [ACTIVITY_UPDATE] = "applying the update after",
        [ACTIVITY_SAVE] = "writing a checkpoint",
    };
    char object[OP_WORDS_SIZE] = "";

    if (activity->kind == ACTIVITY_WAIT)
        name_cause(activity, schedule, object);
    else if (activity->kind != ACTIVITY_NONE && activity->kind != ACTIVITY_SAVE)
        name_work(activity, schedule, object);
    snprintf(text, size, "%s%s%s", verbs[activity->kind], object[0] ? " " : "", object);
}

/* Since the run began. */
static uint64_t weight_gradients_done(const struct stage_snapshot *stage)
{
    return stage->counters.op_count[OP_BACKWARD] + stage->counters.op_count[OP_BACKWARD_WEIGHTS];
}

/* The first stage that has not done all backwards of the mini-batch that `stage` has done; 0 if all have. */
static int behind(const struct snapshot *snapshot, int stage)
{
    const struct stage_snapshot *own = &snapshot->stages[stage - 1];

    for (int s = 1; s <= snapshot->stage_count; s++)
        if (plan_stage_of(snapshot->plan, s) != plan_stage_of(snapshot->plan, stage) &&
            weight_gradients_done(&snapshot->stages[s - 1]) < weight_gradients_done(own))
            return s;
    return 0;
}

/* The stage from which must come what `stage` waits for; 0 if there is none. Where a stage hosts several parts, "stage"
 * stands for one of them here and below. */
static int neighbour(const struct snapshot *snapshot, int stage, const struct activity *activity)
{
    if (activity->cause == WAIT_NORM)
        return behind(snapshot, stage);
    const bool forward = activity->op.kind == OP_FORWARD;
    const bool later = activity->cause == WAIT_GRADIENT || (activity->cause == WAIT_SLOT && forward);
    const int other = later ? stage + 1 : stage - 1;

    return activity->cause != WAIT_NONE && other >= 1 && other <= snapshot->stage_count ? other : 0;
}

/* Since the run began. */
static uint64_t backwards_done(const struct stage_counters *counters)
{
    return counters->op_count[OP_BACKWARD] + counters->op_count[OP_BACKWARD_INPUT];
}

/* A test's are counted among the ops alone. */
static uint64_t forwards_done(const struct stage_counters *counters)
{
    return counters->ops - backwards_done(counters) - counters->op_count[OP_BACKWARD_WEIGHTS];
}

static bool runs(const struct stage_snapshot *stage, bool forward)
{
    return stage->activity.kind == ACTIVITY_RUN && stage->activity.op.kind != OP_BACKWARD_WEIGHTS &&
           (stage->activity.op.kind == OP_FORWARD) == forward;
}

static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t activations_left(const struct snapshot *snapshot, int link)
{
    const struct stage_snapshot *consumer = &snapshot->stages[link];

    return above(snapshot->down[link - 1].published, forwards_done(&consumer->counters) + runs(consumer, true));
}

static uint64_t gradients_left(const struct snapshot *snapshot, int link)
{
    const struct stage_snapshot *consumer = &snapshot->stages[link - 1];

    return above(snapshot->up[link - 1].published, backwards_done(&consumer->counters) + runs(consumer, false));
}

/* Slots that hold something: a message of activations fills one micro-batch of its slot, one of gradients all of it. */
static uint64_t activation_slots_used(const struct snapshot *snapshot, int link)
{
    const struct link_snapshot *down = &snapshot->down[link - 1];
    const uint64_t size = (uint64_t)schedule_slot_size(&snapshot->plan->schedule);

    return above((down->published + size - 1) / size, down->released);
}

static uint64_t gradient_slots_used(const struct snapshot *snapshot, int link)
{
    return above(snapshot->up[link - 1].published, snapshot->up[link - 1].released);
}

/* What the stage waits for has come while it was looked at, or it has not noticed yet. */
static bool has_come(const struct snapshot *snapshot, int stage, const struct activity *activity)
{
    const uint64_t size = (uint64_t)schedule_slot_size(&snapshot->plan->schedule);
    const struct link_snapshot *down;

    switch (activity->cause) {
    case WAIT_ACTIVATION:
        return activations_left(snapshot, stage - 1) > 0;
    case WAIT_GRADIENT:
        return gradients_left(snapshot, stage) > 0;
    case WAIT_SLOT:
        if (activity->op.kind != OP_FORWARD)
            return gradient_slots_used(snapshot, stage - 1) < snapshot->up[stage - 2].slots;
        /* A slot that has been begun has room for the rest of its micro-batches. */
        down = &snapshot->down[stage - 1];
        return above(down->published / size, down->released) < down->slots;
    case WAIT_NORM:
        return behind(snapshot, stage) == 0;
    case WAIT_DATA: /* nobody else's, as add_wait says */
    case WAIT_CORE: /* nobody can tell while it lasts */
    case WAIT_NONE:
    case WAIT_CAUSES:
        break;
    }
    return false;
}

/* The mini-batch or micro-batch whose slot the op would get: the one so many slots before it. */
static void name_holder(const struct schedule *schedule, const struct op *op, uint64_t slots, char name[NAME_SIZE])
{
    const int size = schedule_slot_size(schedule), n = schedule->microbatches;
    const long long wanted = ((op->minibatch - 1LL) * n + op->first - 1) / size;
    const long long first = (wanted - (long long)slots) * size;
    const struct op holder = {OP_BACKWARD, (int)(first / n) + 1, (int)(first % n) + 1, size, op->part};

    if (first < 0)
        snprintf(name, NAME_SIZE, "the phase before");
    else
        name_op(&holder, schedule, name);
}

static void add_slot(struct sentence *sentence, const struct snapshot *snapshot, const struct schedule *schedule,
                     int stage)
{
    char other[PLACE_SIZE];
    const struct op *op = &snapshot->stages[stage - 1].activity.op;
    const bool forward = op->kind == OP_FORWARD;
    const struct link_snapshot *link = forward ? &snapshot->down[stage - 1] : &snapshot->up[stage - 2];
    char holder[NAME_SIZE];

    name_holder(schedule, op, link->slots, holder);
    name_place(snapshot, schedule, forward ? stage + 1 : stage - 1, other);
    add(sentence, "waits for the %s slot that %s still has at stage %s", forward ? "activation" : "gradient", holder,
        other);
}

static void add_in_flight(struct sentence *sentence, const struct stage_snapshot *stage,
                          const struct schedule *schedule)
{
    const bool whole = schedule->order.whole_backward;
    const int count = stage->counters.slots;

    if (stage->activity.phase == PHASE_TRAIN && count > 0)
        add(sentence, "has %d %s-batch%s in flight and ", count, whole ? "mini" : "micro", count == 1 ? "" : "es");
}

/* Returns the stage whose turn it is; 0: the chain ends here. */
static int add_wait(struct sentence *sentence, const struct snapshot *snapshot, const struct schedule *schedule, int s)
{
    const struct stage_snapshot *stage = &snapshot->stages[s - 1];
    const struct activity *activity = &stage->activity;
    const int other = neighbour(snapshot, s, activity);
    char cause[OP_WORDS_SIZE], from[PLACE_SIZE];

    name_cause(activity, schedule, cause);
    if (other == 0 && activity->cause != WAIT_NORM) {
        add(sentence, "waits for %s", cause);
        return 0;
    }
    if (has_come(snapshot, s, activity)) {
        add(sentence, "waited for %s, which is there now", cause);
        return 0;
    }
    if (activity->cause == WAIT_SLOT) {
        add_slot(sentence, snapshot, schedule, s);
        return other;
    }
    if (activity->cause == WAIT_GRADIENT)
        add_in_flight(sentence, stage, schedule);
    name_place(snapshot, schedule, other, from);
    add(sentence, "waits for %s from stage %s", cause, from);
    return other;
}

static void add_activity(struct sentence *sentence, const struct snapshot *snapshot, const struct schedule *schedule,
                         const struct stage_snapshot *stage)
{
    const double seconds = 1e-9 * (double)above(snapshot->now_ns, stage->activity_since_ns);
    char doing[2 * OP_WORDS_SIZE];

    explain_activity(&stage->activity, schedule, doing, sizeof(doing));
    add(sentence, "has been %s for %.1f s%s", doing, seconds,
        stage->blocked ? " and is blocked in the kernel, on a disk perhaps" : "");
}

/* The part of the same stage whose turn it is; 0 if there is none, or it is the part's own. */
static int part_on_turn(const struct snapshot *snapshot, const struct schedule *schedule, int part)
{
    const int stage = schedule_stage_of(schedule, part);

    if (snapshot->stages[part - 1].activity.kind != ACTIVITY_NONE)
        return 0;
    for (int k = 1; k <= snapshot->stage_count; k++)
        if (schedule_stage_of(schedule, k) == stage && snapshot->stages[k - 1].activity.kind != ACTIVITY_NONE)
            return k;
    return 0;
}

/* What a stage does, as the rest of a sentence about it. */
static int add_stage(struct sentence *sentence, const struct snapshot *snapshot, const struct schedule *schedule, int s)
{
    static const char *const states[] = {
        [STAGE_STARTING] = "is still starting", [STAGE_MEETING] = "waits for its neighbours to start",
        [STAGE_READY] = "is ready to start",    [STAGE_DONE] = "has ended",
        [STAGE_FAILED] = "has failed",
    };
    const struct stage_snapshot *stage = &snapshot->stages[s - 1];
    const int before = part_on_turn(snapshot, schedule, s);
    char text[PART_TEXT_SIZE];

    if (stage->dead)
        add(sentence, "has died");
    else if (stage->stopped)
        add(sentence, "is stopped by a signal");
    else if (stage->state != STAGE_RUNNING)
        add(sentence, "%s", states[stage->state]);
    else if (before > 0) {
        part_format(schedule, before, text);
        add(sentence, "comes after stage %s", text);
        return before;
    } else if (stage->activity.kind == ACTIVITY_WAIT)
        return add_wait(sentence, snapshot, schedule, s);
    else
        add_activity(sentence, snapshot, schedule, stage);
    return 0;
}

void explain_wait(const struct snapshot *snapshot, int stage, char *text, size_t size)
{
    const struct schedule schedule = plan_training(snapshot->plan);
    struct sentence sentence = {text, size, 0};
    bool seen[MAX_STAGES + 1] = {false};
    char name[PLACE_SIZE];

    name_place(snapshot, &schedule, stage, name);
    add(&sentence, "stage %s ", name);
    for (;;) {
        seen[stage] = true;
        stage = add_stage(&sentence, snapshot, &schedule, stage);
        if (stage == 0)
            return;
        if (seen[stage])
            break;
        add(&sentence, ", which ");
    }
    add(&sentence, ": a deadlock");
}

void explain_link(const struct snapshot *snapshot, int link, char *text, size_t size)
{
    const uint64_t activations = activations_left(snapshot, link), gradients = gradients_left(snapshot, link);
    const struct schedule schedule = plan_training(snapshot->plan);
    char from[PLACE_SIZE], to[PLACE_SIZE];

    name_place(snapshot, &schedule, link, from);
    name_place(snapshot, &schedule, link + 1, to);
    snprintf(
        text, size,
        "link %s%s%s: %llu of %llu activation slots in use, %llu message%s not taken; %llu of %llu gradient slots, "
        "%llu not taken",
        from, snapshot->plan->machine_count > 1 ? " to " : "-", to,
        (unsigned long long)activation_slots_used(snapshot, link), (unsigned long long)snapshot->down[link - 1].slots,
        (unsigned long long)activations, activations == 1 ? "" : "s",
        (unsigned long long)gradient_slots_used(snapshot, link), (unsigned long long)snapshot->up[link - 1].slots,
        (unsigned long long)gradients);
}
