/* What a stage tells of the moment, and what the controls of an interactive run do to it: they change when an op runs,
 * never what comes out. */
#include <check.h>
#include <limits.h>
#include <stdlib.h>

#include "base/random.h"
#include "schedule/simulate.h"
#include "telemetry/controls.h"
#include "tests/support/compare.h"
#include "tests/support/pipeline.h"
#include "tests/support/suite.h"
#include "transport/rings.h"

enum { SEED = 20260501, STAGES = 4 };

static const char *const settings[] = {
    "pipeline.stages=4", "pipeline.order=static", "pipeline.microbatches=3", "model.arch=resnet8",
    "data.batch=6",      "data.limit=30",         "model.classes=4",         NULL};

static uint64_t drawn;

static int draw(int low, int high)
{
    return low + (int)random_below(SEED, RANDOM_TEST, 0, drawn++, (uint32_t)(high - low + 1));
}

static void check_round_trip(struct activity activity)
{
    struct activity back = activity_unpack(activity_pack(&activity));

    ck_assert_int_eq(back.kind, activity.kind);
    ck_assert_int_eq(back.cause, activity.cause);
    ck_assert_int_eq(back.phase, activity.phase);
    ck_assert_int_eq(back.op.kind, activity.op.kind);
    ck_assert_int_eq(back.op.minibatch, activity.op.minibatch);
    ck_assert_int_eq(back.op.first, activity.op.first);
    ck_assert_int_eq(back.op.count, activity.op.count);
}

START_TEST(an_activity_fits_one_word)
{
    static const int minibatches[] = {1, 2, 255, 256, 65536, INT_MAX};

    for (int kind = 0; kind < ACTIVITIES; kind++)
        for (int cause = 0; cause < WAIT_CAUSES; cause++)
            for (int phase = 0; phase < PHASES; phase++)
                for (int op = 0; op < OP_KINDS; op++)
                    for (int i = 0; i < 6; i++)
                        for (int j = 1; j <= MAX_MICROBATCHES; j += 21)
                            check_round_trip(
                                (struct activity){(enum activity_kind)kind,
                                                  (enum wait_cause)cause,
                                                  (enum phase)phase,
                                                  {(enum op_kind)op, minibatches[i], j, MAX_MICROBATCHES + 1 - j, 0}});
}
END_TEST

/* Every value of the enums' bits with random others. */
START_TEST(any_word_is_an_activity)
{
    for (uint32_t n = 0; n < 200000; n++) {
        uint32_t bits[4];

        random_block(SEED, RANDOM_TEST, 1, n, bits);
        struct activity activity = activity_unpack((uint64_t)bits[0] << 32 | bits[1]);

        ck_assert(activity.kind >= ACTIVITY_NONE && activity.kind < ACTIVITIES);
        ck_assert(activity.cause >= WAIT_NONE && activity.cause < WAIT_CAUSES);
        ck_assert(activity.phase == PHASE_TRAIN || activity.phase == PHASE_EVALUATE);
        ck_assert((int)activity.op.kind >= 0 && (int)activity.op.kind < OP_KINDS);
        if (activity.kind != ACTIVITY_NONE)
            ck_assert(activity.op.minibatch >= 1 && activity.op.first >= 1 && activity.op.count >= 1);
    }
}
END_TEST

/* A pipeline whose stages obey the controls, paused before they begin; and the weights of one that nobody disturbed. */
static struct pipeline pipeline;
static float *undisturbed;
static struct snapshot snapshot;

static void set_up(void)
{
    pipeline_run(&pipeline, settings);
    undisturbed = pipeline_weights(&pipeline);
    pipeline_destroy(&pipeline);
    pipeline_create(&pipeline, settings);
    pipeline.segment.header->interactive = true;
    controls_pause(segment_controls(&pipeline.segment));
    pipeline_start(&pipeline);
}

static void tear_down(void)
{
    free(undisturbed);
    pipeline_destroy(&pipeline);
}

static void check_undisturbed(void)
{
    pipeline_wait(&pipeline, 0);
    float *weights = pipeline_weights(&pipeline);
    ck_assert_same("weights", weights, undisturbed, pipeline.network->parameters);
    free(weights);
}

static uint64_t ops_in_all(void)
{
    struct schedule training = plan_training(&pipeline.plan), evaluation = plan_evaluation(&pipeline.plan);

    return (uint64_t)(schedule_op_count(&training) + schedule_op_count(&evaluation));
}

static bool all_done(void)
{
    snapshot_take(&snapshot, &pipeline.segment);
    for (int s = 1; s <= STAGES; s++)
        if (snapshot.stages[s - 1].counters.ops < ops_in_all())
            return false;
    return true;
}

static bool is_held(int stage)
{
    return snapshot.stages[stage - 1].activity.kind == ACTIVITY_HELD && !snapshot.stages[stage - 1].allowed;
}

/* To its end in single steps, in any order. */
START_TEST(a_run_in_single_steps_is_the_same_run)
{
    uint64_t steps = 0;

    while (!all_done()) {
        int stage = draw(1, STAGES);
        bool held = is_held(stage);

        ck_assert(controls_step(segment_controls(&pipeline.segment), &snapshot, stage) == held);
        steps += held;
    }
    ck_assert_uint_eq(steps, STAGES * ops_in_all());
    check_undisturbed();
}
END_TEST

/* Paused, stepped, slowed and let run at any point. */
START_TEST(a_run_disturbed_at_any_point_is_the_same_run)
{
    struct controls *controls = segment_controls(&pipeline.segment);
    int paused = 0, stepped = 0, slowed = 0;

    while (!all_done()) {
        switch (draw(0, 9)) {
        case 0:
            controls_resume(controls);
            break;
        case 1:
            slowed += controls_slow_down(controls) > 1;
            break;
        case 2:
        case 3:
            controls_speed_up(controls);
            break;
        case 4:
        case 5:
            controls_pause(controls);
            paused++;
            break;
        default:
            stepped += controls_step(controls, &snapshot, draw(1, STAGES));
        }
    }
    ck_assert_int_gt(paused, 10);
    ck_assert_int_gt(stepped, 10);
    ck_assert_int_gt(slowed, 10);
    check_undisturbed();
}
END_TEST

/* The op that the unit-time schedule runs at a stage in a slot, if any. */
static bool op_in_slot(const struct simulation *simulation, int stage, int slot, struct op *op)
{
    for (int k = 0; k < simulation_op_count(simulation, stage); k++) {
        const struct timed_op timed = simulation_op(simulation, stage, k);
        *op = timed.op;
        if (timed.start == slot)
            return true;
    }
    return false;
}

/* Whether exactly the slot's ops are held, and everything else waits. */
static bool slot_is_next(const struct simulation *simulation, int slot)
{
    snapshot_take(&snapshot, &pipeline.segment);
    for (int s = 1; s <= STAGES; s++) {
        struct op op;
        const bool any = op_in_slot(simulation, s, slot, &op);
        const struct activity *now = &snapshot.stages[s - 1].activity;

        if (any ? !is_held(s) || now->op.kind != op.kind || now->op.minibatch != op.minibatch ||
                      now->op.first != op.first
                : now->kind == ACTIVITY_HELD || now->kind == ACTIVITY_RUN || now->kind == ACTIVITY_UPDATE)
            return false;
    }
    return true;
}

START_TEST(slots_step_through_the_unit_time_grid)
{
    struct schedule schedule = plan_training(&pipeline.plan);
    struct simulation *simulation;
    struct error error;
    int granted, expected;

    ck_assert_int_eq(simulate_unit(&schedule, (struct link_slots){.gradients = pipeline.plan.parts[0].gradient_slots},
                                   true, &simulation, &error),
                     0);
    /* To the slot in which stage 1 is through: then it goes on to the test set. */
    for (int slot = 0; slot < simulation->duration; slot++) {
        while (!slot_is_next(simulation, slot))
            ;
        while ((granted = controls_tick(segment_controls(&pipeline.segment), &snapshot)) < 0)
            snapshot_take(&snapshot, &pipeline.segment);
        expected = 0;
        for (int s = 1; s <= STAGES; s++)
            expected += op_in_slot(simulation, s, slot, &(struct op){0});
        ck_assert_msg(granted == expected, "slot %d runs %d ops, not %d", slot, granted, expected);
    }
    simulation_destroy(simulation);
    controls_resume(segment_controls(&pipeline.segment));
    check_undisturbed();
}
END_TEST

/* Two monitors of a run, each with the segment open as another process would have it. */
START_TEST(a_pause_lasts_as_long_as_one_of_its_monitors)
{
    struct segment run, monitors[2];
    struct controls *controls;
    struct error error;

    ck_assert_msg(!segment_create(&run, &pipeline.plan, rings_bytes, "", &error), "%s", error.text);
    segment_seal(&run);
    ck_assert_msg(!segment_publish(&run, &error), "%s", error.text);
    controls = segment_controls(&run);
    for (int m = 0; m < 2; m++)
        ck_assert_msg(!segment_open(&monitors[m], run.name, rings_bytes, &error), "%s", error.text);
    segment_unlink(run.name);
    ck_assert(!controls_free(&run)); /* it runs freely */
    for (int m = 0; m < 2; m++)
        ck_assert_int_eq(controls_hold(&monitors[m]), 0);
    controls_pause(controls);
    ck_assert(!controls_free(&run));
    segment_close(&monitors[0]);
    ck_assert(!controls_free(&run));
    ck_assert(controls_are_paused(controls));
    segment_close(&monitors[1]);
    ck_assert(controls_free(&run));
    ck_assert(!controls_are_paused(controls));
    ck_assert(!controls_free(&run));
    segment_close(&run);
}
END_TEST

/* A run that began paused has had no monitor yet: one that only looks and leaves changes nothing. */
START_TEST(a_run_that_begins_paused_waits_for_a_monitor)
{
    static const struct {
        const char *name;
        void (*act)(struct controls *controls);
    } acts[] = {{"pause", controls_pause}, {"resume", controls_resume}};
    struct segment run, monitor;
    struct error error;

    for (size_t k = 0; k < sizeof(acts) / sizeof(acts[0]); k++) {
        ck_assert_msg(!segment_create(&run, &pipeline.plan, rings_bytes, "", &error), "%s", error.text);
        struct controls *controls = segment_controls(&run);
        controls_await(controls);
        segment_seal(&run);
        ck_assert_msg(!segment_publish(&run, &error), "%s", error.text);
        for (int looks = 0; looks < 2; looks++) {
            ck_assert(!controls_free(&run));
            ck_assert(controls_are_paused(controls) && controls_are_awaited(controls));
            ck_assert_msg(!segment_open(&monitor, run.name, rings_bytes, &error), "%s", error.text);
            if (looks == 0)
                segment_close(&monitor);
        }
        segment_unlink(run.name);
        ck_assert_int_eq(controls_hold(&monitor), 0);
        acts[k].act(controls);
        ck_assert(!controls_are_awaited(controls));
        segment_close(&monitor);
        controls_free(&run);
        ck_assert_msg(!controls_are_paused(controls), "%s", acts[k].name);
        segment_close(&run);
    }
}
END_TEST

/* As a monitor leaves them that dies anywhere in what it does. */
START_TEST(whatever_a_dead_monitor_left_is_freed)
{
    struct controls *controls;
    struct segment run;
    struct error error;

    ck_assert_msg(!segment_create(&run, &pipeline.plan, rings_bytes, "", &error), "%s", error.text);
    segment_unlink(run.name);
    controls = segment_controls(&run);
    controls_slow_down(controls);
    ck_assert(controls_free(&run));
    ck_assert_uint_eq(atomic_load(&controls->slow_motion), 1);
    for (int s = 1; s <= STAGES; s++) {
        atomic_store(&controls->ops_allowed[s - 1], 7);
        ck_assert(controls_free(&run));
        ck_assert_uint_eq(atomic_load(&controls->ops_allowed[s - 1]), UINT64_MAX);
    }
    segment_close(&run);
}
END_TEST

static void set_up_plan(void)
{
    pipeline_create(&pipeline, settings);
}

static void tear_down_plan(void)
{
    pipeline_destroy(&pipeline);
}

int main(void)
{
    Suite *suite = suite_create("controls");
    TCase *words = tcase_create("words"), *runs = tcase_create("runs"), *holds = tcase_create("holds");

    tcase_set_timeout(words, 60);
    tcase_add_test(words, an_activity_fits_one_word);
    tcase_add_test(words, any_word_is_an_activity);
    suite_add_tcase(suite, words);
    tcase_add_checked_fixture(holds, set_up_plan, tear_down_plan);
    tcase_add_test(holds, a_pause_lasts_as_long_as_one_of_its_monitors);
    tcase_add_test(holds, a_run_that_begins_paused_waits_for_a_monitor);
    tcase_add_test(holds, whatever_a_dead_monitor_left_is_freed);
    suite_add_tcase(suite, holds);
    tcase_set_timeout(runs, 120);
    tcase_add_checked_fixture(runs, set_up, tear_down);
    tcase_add_test(runs, a_run_in_single_steps_is_the_same_run);
    tcase_add_test(runs, a_run_disturbed_at_any_point_is_the_same_run);
    tcase_add_test(runs, slots_step_through_the_unit_time_grid);
    suite_add_tcase(suite, runs);

    return run_suite(suite);
}
