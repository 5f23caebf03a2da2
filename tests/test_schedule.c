/* Goal of this test: the tables of systems and orders, the checks on what can be combined, and what a stage does next
 * in every kind of situation. */
#include <check.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "schedule/schedule.h"
#include "tests/support/schedules.h"
#include "tests/support/suite.h"

START_TEST(test_systems)
{
    static const char *const names[] = {"timeprest",
                                        "v-timeprest",
                                        "i-timeprest",
                                        "pipedream",
                                        "stale",
                                        "spectrain",
                                        "pipeoptim",
                                        "msnag",
                                        "pipemare",
                                        "nesterov-async",
                                        "spike-compensation",
                                        "gap-aware",
                                        "dc-asgd",
                                        "pipedream-2bw",
                                        "gpipe",
                                        "1f1b",
                                        "zb-h1",
                                        "zb-h2",
                                        "naive",
                                        "interleaved-1f1b",
                                        "breadth-first",
                                        "zb-v",
                                        "dualpipe-v"};

    ck_assert_int_eq(system_count, COUNT(names));
    for (int k = 0; k < system_count; k++) {
        const struct order *order = &orders[systems[k].order];
        const struct schedule schedule = schedule_named(names[k], 2, order->microbatches ? 1 : 2, 3);
        struct error error = {""};
        ck_assert_str_eq(systems[k].name, names[k]);
        ck_assert((order->generate != NULL) == (k >= asking_system_count));
        if (order->generate == NULL)
            ck_assert_msg(schedule_check(&schedule, &error) == 0, "%s: %s", names[k], error.text);
    }
    for (int k = 0; k < ORDERS; k++) {
        ck_assert_ptr_nonnull(orders[k].name);
        ck_assert(orders[k].flush || !orders[k].split_backward);
    }
    ck_assert_ptr_null(system_find("gpipe2"));
    ck_assert_ptr_null(system_find(""));
}
END_TEST

/* The papers that the rows are of: what passes read, and how updates mind that they are stale. */
START_TEST(test_systems_against_staleness)
{
    static const struct {
        const char *name;
        enum forward_rule forward;
        enum backward_rule backward;
        enum update_rule_name update;
        const char *optimizer;
        bool keeps_forward;
    } rows[] = {
        {"pipedream", FORWARD_LIVE, BACKWARD_FORWARD, UPDATE_PLAIN, NULL, true},
        {"stale", FORWARD_LIVE, BACKWARD_LIVE, UPDATE_PLAIN, NULL, false},
        {"spectrain", FORWARD_SPECTRAIN, BACKWARD_SPECTRAIN, UPDATE_PLAIN, NULL, false},
        {"pipeoptim", FORWARD_PIPEOPTIM, BACKWARD_LIVE, UPDATE_PLAIN, NULL, false},
        {"msnag", FORWARD_MSNAG, BACKWARD_LIVE, UPDATE_PLAIN, NULL, false},
        {"pipemare", FORWARD_LIVE, BACKWARD_PIPEMARE, UPDATE_PIPEMARE, NULL, false},
        {"nesterov-async", FORWARD_LIVE, BACKWARD_FORWARD, UPDATE_NESTEROV_ASYNC, "nadamw", true},
        {"spike-compensation", FORWARD_LIVE, BACKWARD_LIVE, UPDATE_SPIKE_COMPENSATION, NULL, false},
        {"gap-aware", FORWARD_LIVE, BACKWARD_FORWARD, UPDATE_GAP_AWARE, NULL, true},
        {"dc-asgd", FORWARD_LIVE, BACKWARD_FORWARD, UPDATE_DC_ASGD, NULL, true},
    };

    for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++) {
        const struct system *system = system_find(rows[k].name);
        struct schedule schedule = schedule_named(rows[k].name, 4, 1, 9);

        ck_assert_msg(system->order == ORDER_1F1B && system->forward == rows[k].forward &&
                          system->backward == rows[k].backward && system->rule == rows[k].update,
                      "%s", rows[k].name);
        ck_assert_pstr_eq(system->optimizer, rows[k].optimizer);
        ck_assert_msg(schedule_keeps_forward(&schedule) == rows[k].keeps_forward, "%s", rows[k].name);
        for (int part = 1; part <= 4; part++)
            ck_assert_int_eq(schedule_versions_limit(&schedule, part), rows[k].keeps_forward ? 5 - part : 1);
        schedule.forward_only = true;
        ck_assert(!schedule_keeps_forward(&schedule));
    }
}
END_TEST

/* What a schedule can be asked for beside its system's own rules, and what is said if it makes no sense. */
struct check {
    const char *system;
    int stages, microbatches, minibatches;
    int forward, backward; /* -1: the system's */
    const char *says;      /* NULL: the schedule is sound */
};

static const struct check checks[] = {
    {"timeprest", 3, 2, 4, -1, BACKWARD_FORWARD, NULL},               /* the papers' variant 1 */
    {"pipedream", 3, 1, 4, FORWARD_PINNED, BACKWARD_COMMITTED, NULL}, /* the papers' variant 2 */
    {"pipedream", 3, 1, 4, FORWARD_PINNED, -1, NULL},                 /* vertical synchronisation */
    {"pipedream", 3, 1, 4, -1, BACKWARD_INTERMEDIATE, NULL},
    {"v-timeprest", 3, 2, 4, -1, BACKWARD_COMMITTED, NULL},
    {"timeprest", 3, 2, 4, -1, BACKWARD_LIVE, NULL},
    {"timeprest", 1, 1, 1, -1, -1, NULL},
    {"pipedream-2bw", 3, 2, 4, FORWARD_LIVE, -1, NULL}, /* PipeDream with micro-batches: no N >= W needed */
    {"pipedream-2bw", 3, 3, 4, FORWARD_PINNED, BACKWARD_LIVE, NULL},
    {"pipedream-2bw", 3, 3, 4, -1, BACKWARD_INTERMEDIATE, NULL},
    {"pipedream", 2, 2, 4, -1, -1,
     "order 1F1B takes whole mini-batches, not 2 micro-batches: use pipeline.microbatches"
     " = 1"},
    {"naive", 2, 3, 4, -1, -1, "use pipeline.microbatches = 1"},
    {"pipedream-2bw", 4, 3, 4, -1, -1, "use pipeline.microbatches = 4 or more"},
    {"pipedream-2bw", 3, 3, 4, -1, BACKWARD_LIVE, "use pipeline.backward_weights = forward"},
    {"pipedream-2bw", 3, 3, 4, -1, BACKWARD_COMMITTED, "use pipeline.backward_weights = forward"},
    {"pipedream-2bw", 3, 3, 4, FORWARD_PINNED, BACKWARD_COMMITTED,
     "use pipeline.backward_weights = forward or a system of order nF1B"},
    {"timeprest", 1, 3, 4, FORWARD_DOUBLE_BUFFERED, BACKWARD_FORWARD, NULL},
    {"timeprest", 2, 1, 4, FORWARD_DOUBLE_BUFFERED, BACKWARD_FORWARD,
     NULL}, /* two mini-batches in flight, whatever N */
    {"pipedream", 2, 1, 4, FORWARD_DOUBLE_BUFFERED, BACKWARD_FORWARD, NULL},
    {"timeprest", 3, 3, 4, FORWARD_DOUBLE_BUFFERED, BACKWARD_FORWARD,
     "use pipeline.system = pipedream-2bw or other pipeline.forward_weights"},
    {"gpipe", 3, 3, 4, FORWARD_PINNED, -1, "use pipeline.forward_weights = live and pipeline.backward_weights = live"},
    {"gpipe", 3, 3, 4, FORWARD_DOUBLE_BUFFERED, BACKWARD_FORWARD, "use pipeline.forward_weights = live"},
    {"1f1b", 3, 3, 4, -1, BACKWARD_FORWARD, "pipeline.backward_weights = live"},
    {"zb-h1", 3, 3, 4, -1, BACKWARD_INTERMEDIATE, "pipeline.backward_weights = live"},
    {"naive", 3, 1, 4, -1, BACKWARD_COMMITTED, "pipeline.backward_weights = live"},
    {"1f1b", 3, 3, 4, FORWARD_MSNAG, -1,
     "order 1F1B-flush finishes a mini-batch before the next one starts, so there is one weight version to read, not "
     "msnag "
     "forwards and live backwards: use pipeline.forward_weights = live"},
    {"naive", 3, 1, 4, -1, BACKWARD_PIPEMARE, "not live forwards and pipemare backwards"},
    {"pipeoptim", 3, 1, 4, -1, BACKWARD_COMMITTED, NULL},
    {"pipedream-2bw", 3, 3, 4, FORWARD_MSNAG, BACKWARD_LIVE, NULL},
    {"pipedream-2bw", 3, 3, 4, -1, BACKWARD_SPECTRAIN, "use pipeline.backward_weights = forward"},
    {"msnag", 3, 1, 4, -1, BACKWARD_FORWARD,
     "forwards read predicted weights (msnag), which are not kept, but backwards (forward) come back to them: use "
     "pipeline.backward_weights = live"},
    {"spectrain", 3, 1, 4, -1, BACKWARD_INTERMEDIATE,
     "(spectrain), which are not kept, but backwards (intermediate) come back to them: use pipeline.backward_weights = "
     "live"},
    {"timeprest", 0, 2, 4, -1, -1, "0 stages: at least 1"},
    {"timeprest", 2, 0, 4, -1, -1, "0 micro-batches"},
    {"timeprest", 2, 18279, 4, -1, -1, "1 to 18278 are possible"},
    {"timeprest", 2, 2, 0, -1, -1, "0 mini-batches"},
    {"timeprest", 2, 2, INT_MAX / 4, -1, -1, "mini-batches of 2 micro-batches: 1 to 268435455 are possible"},
};

/* The same with other update rules. */
static const struct {
    struct check check;
    enum update_rule_name update;
} update_checks[] = {
    {{"1f1b", 3, 3, 4, -1, -1,
      "order 1F1B-flush finishes a mini-batch before the next one starts, so that nothing is stale for the update rule "
      "dc-asgd: use staleness.update = plain"},
     UPDATE_DC_ASGD},
    {{"zb-h1", 3, 3, 4, -1, -1, "for the update rule nesterov-by-stage: use staleness.update = plain"},
     UPDATE_NESTEROV_BY_STAGE},
    {{"spectrain", 3, 1, 4, -1, BACKWARD_LIVE, NULL}, UPDATE_SPIKE_COMPENSATION},
    {{"pipeoptim", 3, 1, 4, -1, BACKWARD_PIPEMARE, NULL}, UPDATE_NESTEROV_ASYNC},
    {{"v-timeprest", 3, 2, 4, -1, -1, NULL}, UPDATE_DC_ASGD},
    {{"timeprest", 3, 2, 4, -1, -1, NULL}, UPDATE_GAP_AWARE},
    {{"pipedream-2bw", 3, 3, 4, -1, -1, NULL}, UPDATE_GAP_AWARE},
    {{"pipemare", 3, 1, 4, FORWARD_PINNED, -1, NULL}, UPDATE_DC_ASGD},
    {{"pipeoptim", 3, 1, 4, -1, -1,
      "forwards read predicted weights (pipeoptim), which are not kept, but the update rule gap-aware comes back to "
      "them: use staleness.update = plain"},
     UPDATE_GAP_AWARE},
    {{"dc-asgd", 3, 1, 4, FORWARD_SPECTRAIN, BACKWARD_PIPEMARE, "the update rule dc-asgd comes back to them"},
     UPDATE_DC_ASGD},
    {{"pipedream", 3, 1, 4, FORWARD_SPECTRAIN, -1, "backwards (forward) come back to them"}, UPDATE_DC_ASGD},
};

static struct schedule schedule_to_check(const struct check *check)
{
    struct schedule schedule = schedule_named(check->system, check->stages, check->microbatches, check->minibatches);

    if (check->forward >= 0)
        schedule.forward = (enum forward_rule)check->forward;
    if (check->backward >= 0)
        schedule.backward = (enum backward_rule)check->backward;
    return schedule;
}

static void assert_says(const struct schedule *schedule, const char *says)
{
    struct error error = {""};

    if (says == NULL) {
        ck_assert_msg(schedule_check(schedule, &error) == 0, "%s", error.text);
    } else {
        ck_assert_int_eq(schedule_check(schedule, &error), -1);
        ck_assert_msg(strstr(error.text, says) != NULL, "\"%s\" is not in \"%s\"", says, error.text);
    }
}

START_TEST(test_check)
{
    const struct schedule schedule = schedule_to_check(&checks[_i]);

    assert_says(&schedule, checks[_i].says);
}
END_TEST

START_TEST(test_check_of_updates)
{
    struct schedule schedule = schedule_to_check(&update_checks[_i].check);

    schedule.update = update_checks[_i].update;
    assert_says(&schedule, update_checks[_i].check.says);
}
END_TEST

/* What a stage does next, given what it has done and what has come. */
struct decision {
    const char *system;
    int stage; /* of 3, with N = 2 */
    struct progress progress;
    enum next_kind kind;
    const char *op;
    enum wait_cause cause;
};

static const struct decision decisions[] = {
    /* stage, {forwards, backwards, weight halves, activations, gradients, forward room, backward room} */
    {"timeprest", 2, {0, 0, 0, 0, 0, 4, 4}, NEXT_WAIT, "1A", WAIT_ACTIVATION},
    {"timeprest", 2, {0, 0, 0, 1, 0, 4, 4}, NEXT_RUN, "1A", WAIT_NONE},
    {"timeprest", 2, {3, 0, 0, 4, 1, 4, 4}, NEXT_RUN, "2B", WAIT_NONE},     /* half a gradient is none */
    {"timeprest", 2, {3, 0, 0, 4, 2, 4, 4}, NEXT_RUN, "1", WAIT_NONE},      /* backward first */
    {"timeprest", 2, {3, 0, 0, 4, 2, 4, 0}, NEXT_RUN, "2B", WAIT_NONE},     /* no room for its gradient */
    {"timeprest", 2, {3, 0, 0, 3, 2, 4, 0}, NEXT_WAIT, "1", WAIT_SLOT},     /* and no forward either */
    {"timeprest", 2, {3, 0, 0, 4, 0, 3, 4}, NEXT_WAIT, "2B", WAIT_SLOT},    /* no room for its output */
    {"timeprest", 2, {4, 0, 0, 8, 0, 8, 4}, NEXT_WAIT, "1", WAIT_GRADIENT}, /* two mini-batches in flight: enough */
    {"timeprest", 3, {2, 0, 0, 4, 0, 8, 8}, NEXT_RUN, "1", WAIT_NONE},      /* the last stage's own gradient */
    {"timeprest", 3, {1, 0, 0, 1, 0, 8, 8}, NEXT_WAIT, "1B", WAIT_ACTIVATION},
    {"timeprest", 1, {8, 4, 4, 8, 4, 8, 8}, NEXT_WAIT, "3", WAIT_GRADIENT},
    {"timeprest", 1, {8, 8, 8, 8, 8, 8, 8}, NEXT_DONE, NULL, WAIT_NONE},
    {"gpipe", 3, {1, 0, 0, 1, 0, 8, 8}, NEXT_WAIT, "1B", WAIT_ACTIVATION}, /* fill first */
    {"gpipe", 3, {2, 0, 0, 4, 0, 8, 8}, NEXT_RUN, "1a", WAIT_NONE},
    {"gpipe", 1, {2, 1, 1, 8, 1, 8, 8}, NEXT_WAIT, "1b", WAIT_GRADIENT}, /* the flush */
    {"gpipe", 1, {2, 2, 2, 8, 2, 8, 8}, NEXT_RUN, "2A", WAIT_NONE},
    {"1f1b", 2, {2, 1, 1, 8, 1, 8, 8}, NEXT_WAIT, "1b", WAIT_GRADIENT},
    {"zb-h1", 3, {1, 0, 0, 1, 0, 8, 8}, NEXT_RUN, "1a<", WAIT_NONE},
    {"zb-h1", 3, {1, 1, 0, 1, 0, 8, 8}, NEXT_RUN, "1a+", WAIT_NONE}, /* nothing better to do */
    {"zb-h1", 3, {1, 1, 0, 2, 0, 8, 8}, NEXT_RUN, "1B", WAIT_NONE},
    {"zb-h1", 3, {2, 2, 1, 4, 0, 8, 8}, NEXT_RUN, "1b+", WAIT_NONE},       /* the flush waits for weight halves */
    {"zb-h1", 2, {1, 0, 0, 1, 1, 8, 8}, NEXT_WAIT, "1B", WAIT_ACTIVATION}, /* an input half's partner goes first */
    {"zb-h1", 2, {2, 0, 0, 2, 1, 8, 8}, NEXT_RUN, "1a<", WAIT_NONE},
};

START_TEST(test_next)
{
    const struct decision *decision = &decisions[_i];
    const struct schedule schedule = schedule_named(decision->system, 3, 2, 4);
    const struct next next = schedule_next(&schedule, decision->stage, &decision->progress);
    char text[OP_TEXT_SIZE];

    ck_assert_int_eq(next.kind, decision->kind);
    if (next.kind == NEXT_DONE)
        return;
    op_format(&next.op, &schedule, text);
    ck_assert_str_eq(text, decision->op);
    ck_assert_str_eq(wait_cause_name(next.cause), wait_cause_name(decision->cause));
    if (next.op.kind != OP_BACKWARD_WEIGHTS) {
        const struct next same = schedule_can_run(&schedule, decision->stage, &decision->progress, &next.op);
        ck_assert_int_eq(same.kind, next.kind);
        ck_assert_int_eq(same.cause, next.cause);
    }
}
END_TEST

START_TEST(test_marks)
{
    static const struct {
        const char *system;
        struct op op;
        const char *text;
    } marks[] = {
        {"timeprest", {OP_FORWARD, 1, 1, 1, 1}, "1A"},
        {"timeprest", {OP_FORWARD, 12, 26, 1, 1}, "12Z"},
        {"timeprest", {OP_FORWARD, 3, 27, 1, 1}, "3AA"},
        {"timeprest", {OP_FORWARD, 3, 52, 1, 1}, "3AZ"},
        {"timeprest", {OP_FORWARD, 3, 53, 1, 1}, "3BA"},
        {"timeprest", {OP_FORWARD, 3, 702, 1, 1}, "3ZZ"},
        {"timeprest", {OP_FORWARD, 3, 703, 1, 1}, "3AAA"},
        {"timeprest", {OP_BACKWARD, 7, 1, 3, 1}, "7"},
        {"gpipe", {OP_BACKWARD, 7, 2, 1, 1}, "7b"},
        {"zb-h1", {OP_BACKWARD_INPUT, 7, 28, 1, 1}, "7ab<"},
        {"zb-h1", {OP_BACKWARD_WEIGHTS, INT_MAX, 18278, 1, 1}, "2147483647zzz+"},
    };

    for (size_t k = 0; k < sizeof(marks) / sizeof(marks[0]); k++) {
        const struct schedule schedule = schedule_named(marks[k].system, 2, 3, 1);
        char text[OP_TEXT_SIZE];
        op_format(&marks[k].op, &schedule, text);
        ck_assert_str_eq(text, marks[k].text);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("schedule");
    TCase *tcase = tcase_create("schedule");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, test_systems);
    tcase_add_test(tcase, test_systems_against_staleness);
    tcase_add_loop_test(tcase, test_check, 0, COUNT(checks));
    tcase_add_loop_test(tcase, test_check_of_updates, 0, COUNT(update_checks));
    tcase_add_loop_test(tcase, test_next, 0, COUNT(decisions));
    tcase_add_test(tcase, test_marks);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
