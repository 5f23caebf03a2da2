/* Plain sentences over made-up snapshots: what a stage waits for, through how many stages, and where the chain ends. */
#include <check.h>
#include <string.h>

#include "telemetry/explain.h"
#include "tests/support/suite.h"

static struct plan plan;
static struct snapshot snapshot;
static const uint64_t now = 100 * 1000000000ull;

static void set_up_system(const char *system, int microbatches)
{
    plan = (struct plan){.stage_count = 3, .part_count = 3};
    strcpy(plan.config.pipeline.system, system);
    plan.schedule = (struct schedule){.order = orders[system_find(system)->order],
                                      .stages = 3,
                                      .parts = 1,
                                      .microbatches = microbatches,
                                      .minibatches = 10};
    snapshot = (struct snapshot){.plan = &plan, .stage_count = 3, .now_ns = now};
    for (int s = 0; s < 3; s++)
        snapshot.stages[s] = (struct stage_snapshot){.state = STAGE_RUNNING, .pid = 1 + s};
    for (int l = 0; l < 2; l++) {
        snapshot.down[l].slots = 3;
        snapshot.up[l].slots = 2;
    }
}

static void set_up(void)
{
    set_up_system("timeprest", 3);
}

static void set(int stage, enum activity_kind kind, enum wait_cause cause, struct op op)
{
    snapshot.stages[stage - 1].activity = (struct activity){.kind = kind, .cause = cause, .op = op};
    snapshot.stages[stage - 1].activity_since_ns = now - 3200000000ull;
}

static const struct op backward_7 = {OP_BACKWARD, 7, 1, 3, 1}, forward_8a = {OP_FORWARD, 8, 1, 1, 1};

static void expect_wait(int stage, const char *expected)
{
    char text[EXPLANATION_MAX];

    explain_wait(&snapshot, stage, text, sizeof(text));
    ck_assert_str_eq(text, expected);
}

START_TEST(a_chain_ends_at_the_stage_that_works)
{
    set(1, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(2, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(3, ACTIVITY_RUN, WAIT_NONE, backward_7);
    snapshot.stages[0].counters.slots = 3;
    expect_wait(1,
                "stage 1 has 3 mini-batches in flight and waits for the gradient of mini-batch 7 from stage 2, which "
                "waits for the gradient of mini-batch 7 from stage 3, which has been running the backward of "
                "mini-batch 7 for 3.2 s");
    expect_wait(3, "stage 3 has been running the backward of mini-batch 7 for 3.2 s");
}
END_TEST

START_TEST(a_circle_is_a_deadlock)
{
    set(1, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(2, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(3, ACTIVITY_WAIT, WAIT_ACTIVATION, forward_8a);
    expect_wait(2, "stage 2 waits for the gradient of mini-batch 7 from stage 3, which waits for the activation of 8A "
                   "from stage 2: a deadlock");
    expect_wait(1, "stage 1 waits for the gradient of mini-batch 7 from stage 2, which waits for the gradient of "
                   "mini-batch 7 from stage 3, which waits for the activation of 8A from stage 2: a deadlock");
}
END_TEST

/* Every stage that is behind is waited for; the first is named. */
START_TEST(a_norm_is_waited_for_from_who_has_not_done_the_mini_batch)
{
    const struct op last = {OP_BACKWARD, 7, 4, 1, 1};

    set_up_system("1f1b", 4);
    set(1, ACTIVITY_RUN, WAIT_NONE, (struct op){OP_BACKWARD, 7, 3, 1, 1});
    set(2, ACTIVITY_WAIT, WAIT_NORM, last);
    set(3, ACTIVITY_WAIT, WAIT_NORM, last);
    snapshot.stages[0].counters.op_count[OP_BACKWARD] = 26;
    snapshot.stages[1].counters.op_count[OP_BACKWARD] = snapshot.stages[2].counters.op_count[OP_BACKWARD] = 28;
    expect_wait(3, "stage 3 waits for the gradient norm of mini-batch 7 from stage 1, which has been running the "
                   "backward of 7c for 3.2 s");
    snapshot.stages[0].counters.op_count[OP_BACKWARD] = 28;
    expect_wait(3, "stage 3 waited for the gradient norm of mini-batch 7, which is there now");
}
END_TEST

/* Stage 3 has sent it, and stage 2 is about to wake: no deadlock. */
START_TEST(what_has_come_ends_the_chain)
{
    set(2, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(3, ACTIVITY_WAIT, WAIT_ACTIVATION, forward_8a);
    snapshot.up[1].published = 7;
    snapshot.stages[1].counters.op_count[OP_BACKWARD] = 6;
    snapshot.stages[1].counters.ops = 30;
    snapshot.down[1].published = snapshot.stages[2].counters.ops = 21;
    expect_wait(3,
                "stage 3 waits for the activation of 8A from stage 2, which waited for the gradient of mini-batch 7, "
                "which is there now");
    snapshot.stages[1].counters.op_count[OP_BACKWARD] = 7;
    expect_wait(3, "stage 3 waits for the activation of 8A from stage 2, which waits for the gradient of mini-batch 7 "
                   "from stage 3: a deadlock");
    snapshot.down[1].published = 22;
    expect_wait(3, "stage 3 waited for the activation of 8A, which is there now");
}
END_TEST

START_TEST(a_slot_s_holder_is_named)
{
    set(1, ACTIVITY_WAIT, WAIT_SLOT, forward_8a);
    set(2, ACTIVITY_SAVE, WAIT_NONE, (struct op){0});
    snapshot.down[0] = (struct link_snapshot){.published = 21, .released = 4, .slots = 3};
    expect_wait(1,
                "stage 1 waits for the activation slot that mini-batch 5 still has at stage 2, which has been writing "
                "a checkpoint for 3.2 s");
    set(1, ACTIVITY_WAIT, WAIT_SLOT, (struct op){OP_FORWARD, 2, 1, 1, 1});
    expect_wait(1, "stage 1 waits for the activation slot that the phase before still has at stage 2, which has been "
                   "writing a checkpoint for 3.2 s");
    snapshot.down[0].released = 5;
    expect_wait(1, "stage 1 waited for a slot for 2A, which is there now");

    set(2, ACTIVITY_WAIT, WAIT_SLOT, backward_7);
    snapshot.up[0] = (struct link_snapshot){.published = 6, .released = 4, .slots = 2};
    snapshot.stages[0].stopped = true;
    expect_wait(2, "stage 2 waits for the gradient slot that mini-batch 5 still has at stage 1, which is stopped by a "
                   "signal");
}
END_TEST

START_TEST(micro_batches_are_named_where_they_go_back_alone)
{
    set_up_system("pipedream-2bw", 4);
    set(1, ACTIVITY_WAIT, WAIT_SLOT, (struct op){OP_FORWARD, 3, 2, 1, 1});
    set(2, ACTIVITY_RUN, WAIT_NONE, (struct op){OP_BACKWARD, 2, 3, 1, 1});
    snapshot.down[0] = (struct link_snapshot){.published = 9, .released = 6, .slots = 3};
    expect_wait(1, "stage 1 waits for the activation slot that 2c still has at stage 2, which has been running the "
                   "backward of 2c for 3.2 s");
    set(1, ACTIVITY_WAIT, WAIT_GRADIENT, (struct op){OP_BACKWARD, 2, 3, 1, 1});
    snapshot.stages[0].counters.slots = 1;
    expect_wait(1, "stage 1 has 1 micro-batch in flight and waits for the gradient of 2c from stage 2, which has been "
                   "running the backward of 2c for 3.2 s");
}
END_TEST

START_TEST(whatever_keeps_the_last_stage_is_said)
{
    set(2, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(3, ACTIVITY_HELD, WAIT_NONE, forward_8a);
    expect_wait(2, "stage 2 waits for the gradient of mini-batch 7 from stage 3, which has been held before the "
                   "forward of 8A for 3.2 s");
    set(3, ACTIVITY_UPDATE, WAIT_NONE, backward_7);
    expect_wait(3, "stage 3 has been applying the update after the backward of mini-batch 7 for 3.2 s");
    snapshot.stages[2].blocked = true;
    expect_wait(3,
                "stage 3 has been applying the update after the backward of mini-batch 7 for 3.2 s and is blocked in "
                "the kernel, on a disk perhaps");
    snapshot.stages[2].stopped = true;
    expect_wait(3, "stage 3 is stopped by a signal");
    snapshot.stages[2].dead = true;
    expect_wait(2, "stage 2 waits for the gradient of mini-batch 7 from stage 3, which has died");
    snapshot.stages[2] = (struct stage_snapshot){.state = STAGE_STARTING};
    expect_wait(3, "stage 3 is still starting");
    snapshot.stages[2].state = STAGE_DONE;
    expect_wait(3, "stage 3 has ended");
    snapshot.stages[2].state = STAGE_RUNNING;
    expect_wait(3, "stage 3 has been between two phases for 100.0 s");
}
END_TEST

/* A damaged segment may say that stage 1 waits for a stage before it. */
START_TEST(a_neighbour_that_is_not_there_ends_the_chain)
{
    set(1, ACTIVITY_WAIT, WAIT_ACTIVATION, forward_8a);
    expect_wait(1, "stage 1 waits for the activation of 8A");
    set(3, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    expect_wait(3, "stage 3 waits for the gradient of mini-batch 7");
    set(1, ACTIVITY_WAIT, WAIT_NONE, forward_8a);
    expect_wait(1, "stage 1 waits for its turn to run 8A");
}
END_TEST

START_TEST(a_text_ends_where_its_size_does)
{
    char text[EXPLANATION_MAX];

    set(1, ACTIVITY_WAIT, WAIT_GRADIENT, backward_7);
    set(2, ACTIVITY_WAIT, WAIT_ACTIVATION, forward_8a);
    for (size_t size = 1; size < 150; size++) {
        memset(text, '#', sizeof(text));
        explain_wait(&snapshot, 1, text, size);
        ck_assert_uint_lt(strlen(text), size);
        ck_assert_int_eq(text[size], '#');
    }
}
END_TEST

START_TEST(links_are_told)
{
    char text[EXPLANATION_MAX];

    snapshot.down[0] = (struct link_snapshot){.published = 8, .released = 0, .slots = 3};
    snapshot.up[0] = (struct link_snapshot){.published = 2, .released = 1, .slots = 2};
    snapshot.stages[0].counters.ops = 9;
    snapshot.stages[0].counters.op_count[OP_BACKWARD] = 1;
    snapshot.stages[1].counters.ops = 7;
    snapshot.stages[1].counters.op_count[OP_BACKWARD] = 2;
    explain_link(&snapshot, 1, text, sizeof(text));
    ck_assert_str_eq(text,
                     "link 1-2: 3 of 3 activation slots in use, 3 messages not taken; 1 of 2 gradient slots, 1 not "
                     "taken");
    /* What a stage has begun to run, it has taken. */
    set(2, ACTIVITY_RUN, WAIT_NONE, forward_8a);
    set(1, ACTIVITY_RUN, WAIT_NONE, backward_7);
    explain_link(&snapshot, 1, text, sizeof(text));
    ck_assert_str_eq(text,
                     "link 1-2: 3 of 3 activation slots in use, 2 messages not taken; 1 of 2 gradient slots, 0 not "
                     "taken");
    explain_link(&snapshot, 2, text, sizeof(text));
    ck_assert_str_eq(text,
                     "link 2-3: 0 of 3 activation slots in use, 0 messages not taken; 0 of 2 gradient slots, 0 not "
                     "taken");
}
END_TEST

START_TEST(an_activity_in_words)
{
    static const struct {
        struct activity activity;
        const char *words;
    } cases[] = {
        {{.kind = ACTIVITY_NONE}, "between two phases"},
        {{ACTIVITY_RUN, WAIT_NONE, PHASE_TRAIN, {OP_BACKWARD, 812, 1, 3, 1}}, "running the backward of mini-batch 812"},
        {{ACTIVITY_RUN, WAIT_NONE, PHASE_EVALUATE, {OP_FORWARD, 2, 3, 1, 1}}, "running the test's forward of 2C"},
        {{ACTIVITY_WAIT, WAIT_ACTIVATION, PHASE_TRAIN, {OP_FORWARD, 8, 1, 1, 1}}, "waiting for the activation of 8A"},
        {{ACTIVITY_WAIT, WAIT_SLOT, PHASE_TRAIN, {OP_FORWARD, 8, 2, 1, 1}}, "waiting for a slot for 8B"},
        {{ACTIVITY_WAIT, WAIT_DATA, PHASE_TRAIN, {OP_FORWARD, 8, 2, 1, 1}}, "waiting for the data of 8B"},
        {{ACTIVITY_HELD, WAIT_NONE, PHASE_TRAIN, {OP_FORWARD, 8, 1, 1, 1}}, "held before the forward of 8A"},
        {{.kind = ACTIVITY_SAVE}, "writing a checkpoint"},
    };
    struct schedule schedule = plan.schedule;
    char text[EXPLANATION_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        explain_activity(&cases[i].activity, &schedule, text, sizeof(text));
        ck_assert_str_eq(text, cases[i].words);
    }
    schedule.order = orders[ORDER_ZB_H1];
    explain_activity(&(struct activity){ACTIVITY_RUN, WAIT_NONE, PHASE_TRAIN, {OP_BACKWARD_WEIGHTS, 4, 2, 1, 1}},
                     &schedule, text, sizeof(text));
    ck_assert_str_eq(text, "running the weight half of the backward of 4b");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("explain");
    TCase *tcase = tcase_create("explain");

    tcase_add_checked_fixture(tcase, set_up, NULL);
    tcase_add_test(tcase, a_chain_ends_at_the_stage_that_works);
    tcase_add_test(tcase, a_circle_is_a_deadlock);
    tcase_add_test(tcase, a_norm_is_waited_for_from_who_has_not_done_the_mini_batch);
    tcase_add_test(tcase, what_has_come_ends_the_chain);
    tcase_add_test(tcase, a_slot_s_holder_is_named);
    tcase_add_test(tcase, micro_batches_are_named_where_they_go_back_alone);
    tcase_add_test(tcase, whatever_keeps_the_last_stage_is_said);
    tcase_add_test(tcase, a_neighbour_that_is_not_there_ends_the_chain);
    tcase_add_test(tcase, a_text_ends_where_its_size_does);
    tcase_add_test(tcase, links_are_told);
    tcase_add_test(tcase, an_activity_in_words);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
