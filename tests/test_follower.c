/* Goal of this test: what is said of a simulated op's versions is what the simulation had. For every system: an op reads a
 * version that its part holds, updates make 1, 2, 3, ..., and the most that a part holds at once is what the simulator
 * counted. */
#include <check.h>
#include <stdlib.h>

#include "schedule/follower.h"
#include "tests/support/suite.h"

enum { MINIBATCHES = 40 };

static bool is_held(const struct version_use *uses, int count, int version)
{
    for (int k = 0; k < count; k++)
        if (uses[k].version == version)
            return true;
    return false;
}

static void check_stage(struct follower *follower, const struct schedule *schedule, const struct simulation *simulation,
                        int stage)
{
    int most[64] = {0}, made[64] = {0};

    for (int n = 0; n < simulation_op_count(simulation, stage); n++) {
        const struct timed_op timed = simulation_op(simulation, stage, n);
        const int part = timed.op.part;
        const struct op_versions versions = follower_begin(follower, &timed.op);
        struct version_use uses[VERSION_USES_MAX];
        int count = follower_uses(follower, part, uses);

        ck_assert_int_eq(versions.read_first == VERSION_UNKNOWN, timed.op.kind == OP_BACKWARD_WEIGHTS);
        if (versions.read_first >= 0) {
            ck_assert(is_held(uses, count, versions.read_first));
            ck_assert(is_held(uses, count, versions.read_last));
        }
        most[part - 1] = count > most[part - 1] ? count : most[part - 1];
        follower_end(follower, &timed.op);
        count = follower_uses(follower, part, uses);
        most[part - 1] = count > most[part - 1] ? count : most[part - 1];
        if (versions.made != VERSION_UNKNOWN) {
            ck_assert_int_eq(versions.made, ++made[part - 1]);
            ck_assert_int_eq(uses[count - 1].version, versions.made);
        }
    }
    for (int part = 1; part <= schedule_part_count(schedule); part++)
        if (schedule_stage_of(schedule, part) == stage) {
            ck_assert_int_eq(made[part - 1], MINIBATCHES);
            ck_assert_int_eq(most[part - 1], simulation->parts[part - 1].weight_versions);
        }
}

START_TEST(ops_read_what_is_held)
{
    const struct system *system = &systems[_i];
    const int n = orders[system->order].microbatches;

    for (int w = 1; w <= 8; w += 1 + w / 3) {
        const struct schedule schedule = {.order = orders[system->order],
                                          .forward = system->forward,
                                          .backward = system->backward,
                                          .update = system->rule,
                                          .stages = w,
                                          .parts = 1,
                                          .microbatches = n > 0 ? n : 8,
                                          .minibatches = MINIBATCHES};
        struct simulation *simulation;
        struct error error;

        ck_assert_msg(simulate_unit(&schedule, (struct link_slots){0, 0}, true, &simulation, &error) == 0, "%s",
                      error.text);
        struct follower *follower = follower_create(&schedule, simulation);
        ck_assert_ptr_nonnull(follower);
        for (int s = 1; s <= w; s++)
            check_stage(follower, &schedule, simulation, s);
        follower_destroy(follower);
        simulation_destroy(simulation);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("follower");
    TCase *tcase = tcase_create("follower");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, ops_read_what_is_held, 0, asking_system_count);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
