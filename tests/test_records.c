/* Goal of this test: what a stage of any system writes down can have happened, and a sum is never taken for a version. */
#include <check.h>
#include <string.h>

#include "board/records.h"
#include "tests/support/fabricate.h"
#include "tests/support/suite.h"

static int microbatches_of(const struct system *system)
{
    return orders[system->order].microbatches > 0 ? orders[system->order].microbatches : 4;
}

START_TEST(ops_of_every_system_can_have_happened)
{
    const struct system *system = &systems[_i];
    const struct fabrication what = {system->name, 4, microbatches_of(system), 20, 2, 1.5};
    struct fabricated *run = fabricate(&what);
    int ops = 0;

    for (int s = 0; s < run->plan.stage_count; s++)
        for (int k = 0; k < run->history.stages[s].count; k++, ops++)
            ck_assert_msg(!record_check(&run->history.stages[s].ops[k], &run->plan), "%s: %s", system->name,
                          record_check(&run->history.stages[s].ops[k], &run->plan));
    ck_assert_int_gt(ops, 4 * 20);
    fabricated_destroy(run);
}
END_TEST

static const struct {
    const char *system;
    uint8_t kind, phase;
    bool sum;
} summed[] = {
    {"spectrain", OP_FORWARD, PHASE_TRAIN, true},     {"spectrain", OP_BACKWARD, PHASE_TRAIN, true},
    {"spectrain", OP_FORWARD, PHASE_EVALUATE, false}, {"msnag", OP_FORWARD, PHASE_TRAIN, true},
    {"msnag", OP_BACKWARD, PHASE_TRAIN, false},       {"pipemare", OP_FORWARD, PHASE_TRAIN, false},
    {"pipemare", OP_BACKWARD, PHASE_TRAIN, true},     {"pipedream", OP_BACKWARD, PHASE_TRAIN, false},
};

START_TEST(a_sum_is_no_version)
{
    const struct fabrication what = {summed[_i].system, 4, 1, 20, 2, 0.5};
    struct fabricated *run = fabricate(&what);
    struct op_record record = {
        .epoch = 1, .minibatch = 3, .first = 1, .count = 1, .kind = summed[_i].kind, .phase = summed[_i].phase};

    record.version_read = -1;
    ck_assert_int_eq(record_check(&record, &run->plan) == NULL, summed[_i].sum);
    record.version_read = 2;
    ck_assert_int_eq(record_check(&record, &run->plan) == NULL, !summed[_i].sum);
    record.version_read = -2;
    ck_assert_str_eq(record_check(&record, &run->plan), "weight version");
    fabricated_destroy(run);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("records");
    TCase *tcase = tcase_create("records");

    tcase_add_loop_test(tcase, ops_of_every_system_can_have_happened, 0, asking_system_count);
    tcase_add_loop_test(tcase, a_sum_is_no_version, 0, COUNT(summed));
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
