#include "tests/support/fabricate.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/plan.h"

enum { BATCH = 128, TEST_MINIBATCHES = 6 };
#define BEGIN_NS UINT64_C(5000000000000)

/* While one stage is being fabricated. */
struct stage_making {
    const struct fabrication *what;
    struct fabricated *run;
    struct stage_snapshot *stage;
    struct version_tracker *tracker;
    struct op_record *ops;
    int s, base; /* versions before the epoch */
    const struct simulation *events;
    uint64_t at_ns, last_end;
};

static void fill_plan(struct plan *plan, const struct fabrication *what)
{
    static struct config_mistakes mistakes;
    const struct system *system = system_find(what->system);
    struct error error;

    ck_assert_msg(system != NULL, "no system %s", what->system);
    ck_assert_int_eq(config_load(&plan->config, "/dev/null", NULL, 0, &mistakes), 0);
    snprintf(plan->config.pipeline.system, CONFIG_NAME_MAX, "%s", what->system);
    snprintf(plan->config.model.arch, CONFIG_NAME_MAX, "resnet20");
    snprintf(plan->config.data.set, CONFIG_NAME_MAX, "fashion-mnist");
    plan->config.run.epochs = 10;
    plan->config.data.batch = BATCH;
    plan->config.pipeline.order = RUN_DYNAMIC;
    plan->config.train.lr = 0.05;
    plan->schedule = (struct schedule){.order = orders[system->order],
                                       .forward = system->forward,
                                       .backward = system->backward,
                                       .update = system->rule,
                                       .stages = what->stages,
                                       .parts = 1,
                                       .microbatches = what->microbatches,
                                       .minibatches = what->minibatches};
    ck_assert_msg(schedule_check(&plan->schedule, &error) == 0, "%s", error.text);
    plan->data = (struct data_facts){
        .train_count = what->minibatches * BATCH, .test_count = TEST_MINIBATCHES * BATCH, .shape = {28, 28, 1}};
    plan->minibatches_per_epoch = what->minibatches;
    plan->test_minibatches = TEST_MINIBATCHES;
    plan->last_minibatch_rows = plan->last_test_minibatch_rows = BATCH;
    plan->stage_count = plan->part_count = what->stages;
    for (int s = 0; s < what->stages; s++)
        plan->parts[s].gradient_slots = schedule_gradient_slots(&plan->schedule);
}

static void finish_plan(struct plan *plan, const struct simulation *events)
{
    const struct schedule *schedule = &plan->schedule;
    struct simulation *unit = NULL;
    struct error error;

    ck_assert_int_eq(
        simulate_unit(schedule, (struct link_slots){.gradients = plan->parts[0].gradient_slots}, false, &unit, &error),
        0);
    if (schedule->order.whole_backward && !schedule->order.flush) {
        plan->version_difference_paper = version_difference_paper(schedule->stages, schedule->microbatches);
        plan->version_difference_exact = version_difference_exact(schedule->stages, schedule->microbatches);
    }
    plan->version_difference_simulated = unit->version_difference_max;
    simulation_destroy(unit);
    plan->bubble_fraction = events->bubble_fraction;
    for (int s = 1; s <= schedule->stages; s++) {
        struct plan_part *stage = &plan->parts[s - 1];
        size_t weights = (size_t)(300 + 90 * (s % 3)) << 10;

        stage->weight_versions = stage->weight_version_buffers = events->parts[s - 1].weight_versions;
        stage->slots_in_flight = stage->activation_sets = events->parts[s - 1].slots_in_flight;
        stage->minibatches_in_flight = events->stages[s - 1].minibatches_in_flight;
        stage->memory[MEMORY_WEIGHTS] = stage->memory[MEMORY_GRADIENTS] = stage->memory[MEMORY_OPTIMIZER] = weights;
        stage->memory[MEMORY_STASH] = weights * (size_t)(stage->weight_versions - 1);
        stage->memory[MEMORY_ACTIVATIONS] = ((size_t)900 << 10) * (size_t)stage->minibatches_in_flight;
        stage->memory[MEMORY_LINKS] = s > 1 ? (size_t)700 << 10 : (size_t)350 << 10;
        stage->memory[MEMORY_WORKSPACE] = (size_t)500 << 10;
        memcpy(plan->stages[s - 1].memory, stage->memory, sizeof(stage->memory));
    }
}

static struct part_times times_of(const struct fabrication *what, int s)
{
    int64_t forward = 1000000 + 70000 * ((s * 5) % 4), whole = system_find(what->system)->order == ORDER_NF1B;

    return (struct part_times){
        .op = {[OP_FORWARD] = forward,
               [OP_BACKWARD] =
                   2 * forward * (orders[system_find(what->system)->order].whole_backward ? what->microbatches : 1),
               [OP_BACKWARD_INPUT] = forward,
               [OP_BACKWARD_WEIGHTS] = forward},
        .update = 150000 + 10000 * whole,
    };
}

static struct simulation *simulate(const struct fabrication *what, const struct plan *plan)
{
    static struct part_times times[MAX_STAGES];
    static struct link_times links[MAX_STAGES];
    const struct timing timing = {.parts = times, .links = links, .last_minibatch = 1.0};
    struct simulation *events = NULL;
    struct error error;

    for (int s = 1; s <= what->stages; s++) {
        times[s - 1] = times_of(what, s);
        links[s - 1] = (struct link_times){.latency = 20000, .slots = {.gradients = plan->parts[0].gradient_slots}};
    }
    ck_assert_msg(simulate_timed(&plan->schedule, &timing, NULL, true, &events, &error) == 0, "%s", error.text);
    return events;
}

/* Where another process had the core that one of the stages runs on. */
enum { WITHOUT_CORE = 4 };

/* What an op that does not follow the one before at once has waited for, as schedule_next would say in most cases. */
static enum wait_cause cause_of(const struct stage_making *it, const struct op *op)
{
    if (it->s == 1)
        return WAIT_GRADIENT;
    return op->kind == OP_FORWARD || it->s == it->what->stages ? WAIT_ACTIVATION : WAIT_GRADIENT;
}

static void count_staleness(const struct plan *plan, struct stage_counters *counters,
                            const struct backward_versions *versions)
{
    const double read = plan_staleness_of(plan, versions);

    counters->staleness_forward[min_int(versions->live - versions->forward, STALENESS_BUCKETS - 1)]++;
    counters->staleness_backward[min_int((int)ceil(read), STALENESS_BUCKETS - 1)]++;
    counters->staleness_forward_sum += (uint64_t)(versions->live - versions->forward);
    counters->staleness_millionths += (uint64_t)llround(1e6 * read);
}

/* The op begins: fills the record's versions. */
static void begin_op(struct stage_making *it, const struct op *op, int *pins, struct op_record *record)
{
    record->version_live = versions_live(it->tracker);
    if (op->kind == OP_FORWARD) {
        int *pin = &pins[(op->minibatch - 1) * it->what->microbatches + op->first - 1];

        record->version_forward = versions_begin_forward(it->tracker, op, *pin);
        record->version_read = forward_reading(it->run->plan.schedule.forward)->terms ? -1 : record->version_forward;
        if (it->s == 1)
            *pin = record->version_forward;
        return;
    }
    if (op->kind != OP_BACKWARD_WEIGHTS)
        versions_begin_backward(it->tracker, op, it->base + simulation_committed(it->events, op->minibatch));
    const struct backward_versions versions = versions_of_backward(it->tracker, op->minibatch, op->first);
    record->version_read = versions.read;
    record->version_forward = versions.forward;
    record->loss = it->s == it->what->stages ? 2.0f * expf(-0.02f * (float)(it->base + op->minibatch)) + 0.3f : 0;
}

static void count_op(struct stage_making *it, const struct op *op, const struct op_record *record)
{
    struct stage_counters *counters = &it->stage->counters;

    counters->ops++;
    counters->busy_ns += record->end_ns - record->start_ns - record->core_ns;
    counters->update_ns += record->update_ns;
    counters->op_count[op->kind]++;
    counters->op_ns[op->kind] += record->end_ns - record->start_ns - record->core_ns - record->update_ns;
    counters->wait_ns[record->wait_cause] += record->wait_ns - record->wait_core_ns;
    counters->wait_ns[WAIT_CORE] += record->wait_core_ns + record->core_ns;
    counters->epoch = record->epoch;
    counters->minibatch = record->minibatch;
    if (op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT) {
        const struct backward_versions versions = versions_of_backward(it->tracker, op->minibatch, op->first);

        count_staleness(&it->run->plan, counters, &versions);
        if (it->s == it->what->stages && op->first == 1)
            counters->version_difference[min_int(op->minibatch - simulation_committed(it->events, op->minibatch),
                                                 DIFFERENCE_BUCKETS - 1)]++;
    }
}

static void set_activity(struct stage_making *it, enum activity_kind kind, const struct op *op, uint64_t since)
{
    it->stage->activity = (struct activity){.kind = kind, .op = *op, .cause = WAIT_NONE};
    if (kind == ACTIVITY_WAIT)
        it->stage->activity.cause = cause_of(it, op);
    it->stage->activity_since_ns = since;
}

/* Runs ops until the moment. */
static void run_ops(struct stage_making *it, const struct simulation *events, int *pins)
{
    for (int k = 0; k < simulation_op_count(events, it->s); k++) {
        const struct timed_op timed = simulation_op(events, it->s, k);
        const struct op *op = &timed.op;
        uint64_t start = BEGIN_NS + (uint64_t)timed.start, end = BEGIN_NS + (uint64_t)timed.end;
        struct op_record record = {.start_ns = start,
                                   .end_ns = end,
                                   .wait_ns = start - it->last_end,
                                   .bytes_sent = 401408,
                                   .epoch = it->what->epoch,
                                   .minibatch = op->minibatch,
                                   .first = (int16_t)op->first,
                                   .count = (int16_t)op->count,
                                   .kind = (uint8_t)op->kind,
                                   .rows = (uint32_t)(BATCH * op->count / it->what->microbatches)};

        if (start > it->at_ns) {
            set_activity(it, ACTIVITY_WAIT, op, it->last_end);
            return;
        }
        if (record.wait_ns > 0)
            record.wait_cause = (uint8_t)cause_of(it, op);
        if (it->s == WITHOUT_CORE) {
            record.wait_core_ns = record.wait_ns / 3;
            record.core_ns = (end - start) / 10;
        }
        begin_op(it, op, pins, &record);
        if (end > it->at_ns) {
            set_activity(it, ACTIVITY_RUN, op, start);
            return;
        }
        count_op(it, op, &record);
        versions_end(it->tracker, op);
        if (schedule_updates_after(&it->run->plan.schedule, op)) {
            versions_update(it->tracker);
            record.updated = 1;
            record.update_ns = (uint64_t)times_of(it->what, it->s).update;
        }
        it->last_end = end;
        it->ops[it->run->history.stages[it->s - 1].count++] = record;
    }
}

/* The test set's forwards, one after the other, in slots. */
static void run_evaluation(struct stage_making *it, uint64_t begin, const struct simulation *slots)
{
    uint64_t slot = (uint64_t)times_of(it->what, 1).op[OP_FORWARD];

    for (int k = 0; k < simulation_op_count(slots, it->s); k++) {
        const struct timed_op timed = simulation_op(slots, it->s, k);
        uint64_t start = begin + slot * (uint64_t)timed.start;
        struct op_record record = {.start_ns = start,
                                   .end_ns = start + slot,
                                   .wait_ns = start - it->last_end,
                                   .wait_cause = start > it->last_end ? WAIT_ACTIVATION : WAIT_NONE,
                                   .epoch = it->what->epoch,
                                   .minibatch = timed.op.minibatch,
                                   .first = (int16_t)timed.op.first,
                                   .count = 1,
                                   .phase = PHASE_EVALUATE,
                                   .version_read = versions_live(it->tracker),
                                   .version_live = versions_live(it->tracker),
                                   .rows = BATCH / (uint32_t)it->what->microbatches};

        if (record.end_ns > it->at_ns) {
            set_activity(it, start > it->at_ns ? ACTIVITY_WAIT : ACTIVITY_RUN, &timed.op,
                         start > it->at_ns ? it->last_end : start);
            it->stage->activity.phase = PHASE_EVALUATE;
            return;
        }
        it->stage->counters.phase = PHASE_EVALUATE;
        it->stage->counters.minibatch = record.minibatch;
        it->last_end = record.end_ns;
        it->ops[it->run->history.stages[it->s - 1].count++] = record;
    }
    it->stage->activity = (struct activity){0};
    it->stage->state = STAGE_DONE;
}

static void account(struct stage_making *it)
{
    const struct plan_part *plan = &it->run->plan.parts[it->s - 1];
    struct stage_counters *counters = &it->stage->counters;
    int versions = versions_count_needed(it->tracker);

    it->stage->version_live = versions_live(it->tracker);
    it->stage->version_count = versions_uses(it->tracker, it->stage->versions);
    counters->versions = versions;
    counters->versions_peak = plan->weight_version_buffers;
    counters->slots_peak = plan->activation_sets;
    counters->slots = plan->activation_sets - plan->activation_sets / 3;
    for (int c = 0; c < MEMORY_CATEGORIES; c++)
        counters->memory[c] = counters->memory_peak[c] = plan->memory[c];
    counters->memory[MEMORY_STASH] = plan->memory[MEMORY_WEIGHTS] * (size_t)(versions - 1);
    counters->memory[MEMORY_ACTIVATIONS] -= counters->memory[MEMORY_ACTIVATIONS] / 3;
}

static void fill_learning(struct fabricated *run, const struct fabrication *what, uint64_t at_ns)
{
    int done = min_int(what->epoch - 1, 16),
        updates = (what->epoch - 1) * what->minibatches + (int)(fmin(what->at, 1) * what->minibatches);

    run->curve = (struct curve){.loss = run->loss, .minibatches_per_point = 1 + updates / 256};
    for (; run->curve.count < updates / run->curve.minibatches_per_point; run->curve.count++)
        run->loss[run->curve.count] =
            2.0f * expf(-0.01f * (float)(run->curve.count * run->curve.minibatches_per_point)) + 0.3f +
            0.1f * sinf((float)run->curve.count);
    for (int e = 0; e < done; e++)
        run->epochs[e] = (struct epoch_result){
            .train_loss = 1.2 * exp(-0.4 * e) + 0.25,
            .test_loss = 1.2 * exp(-0.35 * e) + 0.3,
            .test_top1 = 0.91 - 0.3 * exp(-0.5 * e),
            .test_top5 = 0.998 - 0.05 * exp(-0.5 * e),
            .start_ns = at_ns - (uint64_t)(done - e) * UINT64_C(9000000000),
            .trained_ns = at_ns - (uint64_t)(done - e) * UINT64_C(9000000000) + UINT64_C(8000000000),
            .end_ns = at_ns - (uint64_t)(done - e - 1) * UINT64_C(9000000000),
            .trained_samples = what->minibatches * BATCH,
            .tested_samples = TEST_MINIBATCHES * BATCH,
        };
    run->snapshot.epochs = run->epochs;
    run->snapshot.epochs_done = done;
}

static void fill_stage(struct stage_making *it, const struct simulation *events, const struct simulation *slots,
                       int *pins)
{
    const int ops = simulation_op_count(events, it->s);

    it->last_end = BEGIN_NS;
    it->stage->state = STAGE_RUNNING;
    it->stage->pid = 4000 + it->s;
    it->stage->allowed = true;
    it->ops = calloc((size_t)(ops + simulation_op_count(slots, it->s)), sizeof(*it->ops));
    it->tracker = versions_create(&it->run->plan.schedule, it->s, it->base);
    ck_assert(it->ops != NULL && it->tracker != NULL);
    run_ops(it, events, pins);
    if (it->run->history.stages[it->s - 1].count == ops)
        run_evaluation(it, BEGIN_NS + (uint64_t)events->duration, slots);
    account(it);
    it->run->history.stages[it->s - 1].ops = it->ops;
    versions_destroy(it->tracker);
}

struct fabricated *fabricate(const struct fabrication *what)
{
    struct fabricated *run = calloc(1, sizeof(*run));
    int *pins = calloc((size_t)(what->minibatches * what->microbatches), sizeof(int));
    struct simulation *slots = NULL;
    struct error error;

    ck_assert(run != NULL && pins != NULL);
    fill_plan(&run->plan, what);
    struct simulation *events = simulate(what, &run->plan);
    const struct schedule evaluation = plan_evaluation(&run->plan);
    ck_assert_int_eq(simulate_unit(&evaluation, (struct link_slots){2, 2}, true, &slots, &error), 0);
    finish_plan(&run->plan, events);
    uint64_t at_ns = BEGIN_NS + (uint64_t)(what->at * (double)events->duration);
    for (int s = 1; s <= what->stages; s++) {
        struct stage_making it = {.what = what,
                                  .run = run,
                                  .stage = &run->snapshot.stages[s - 1],
                                  .s = s,
                                  .base = (what->epoch - 1) * what->minibatches,
                                  .events = events,
                                  .at_ns = at_ns};

        fill_stage(&it, events, slots, pins);
    }
    run->snapshot.plan = &run->plan;
    snprintf(run->snapshot.name, sizeof(run->snapshot.name), "/tp-1000-4711-ab12");
    run->snapshot.run_folder = "runs/resnet-lecture";
    run->snapshot.state = RUN_TRAINING;
    run->snapshot.coordinator_alive = true;
    run->snapshot.start_ns = BEGIN_NS - (uint64_t)(what->epoch - 1) * UINT64_C(9000000000);
    run->snapshot.now_ns = at_ns;
    run->snapshot.slow_motion = 1;
    run->snapshot.stage_count = what->stages;
    fill_learning(run, what, at_ns);
    run->moment = (struct moment){.snapshot = &run->snapshot,
                                  .history = &run->history,
                                  .curve = &run->curve,
                                  .speed = 1,
                                  .source = "resnet-lecture",
                                  .message = ""};
    free(pins);
    simulation_destroy(slots);
    simulation_destroy(events);
    return run;
}

void fabricated_destroy(struct fabricated *run)
{
    for (int s = 0; s < run->plan.stage_count; s++)
        free((void *)(uintptr_t)run->history.stages[s].ops);
    free(run);
}
