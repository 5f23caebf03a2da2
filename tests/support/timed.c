#include "tests/support/timed.h"

#include <check.h>

struct part_times stages[STAGES_MAX];
struct link_times links[STAGES_MAX];
const struct timing timing = {.parts = stages, .links = links, .last_minibatch = 1.0};

struct simulation *simulate_with(const struct schedule *schedule, const struct timing *how,
                                 const struct simulation *replayed)
{
    struct simulation *simulation = NULL;
    struct error error = {""};

    ck_assert_msg(schedule_check(schedule, &error) == 0, "%s", error.text);
    ck_assert_msg(simulate_timed(schedule, how, replayed, true, &simulation, &error) == 0, "%s", error.text);
    return simulation;
}

struct simulation *simulate(const struct schedule *schedule)
{
    return simulate_with(schedule, &timing, NULL);
}

struct timed_op timed_at(const struct simulation *simulation, int s, int k)
{
    return simulation_op(simulation, s + 1, k);
}

int op_count(const struct simulation *simulation, int s)
{
    return simulation_op_count(simulation, s + 1);
}

void check_sums(const struct schedule *schedule, const struct simulation *simulation)
{
    double all_busy = 0.0;

    for (int s = 0; s < schedule->stages; s++) {
        const struct simulated_stage *events = &simulation->stages[s];
        int64_t busy = 0, waits = 0;

        for (int k = 0; k < op_count(simulation, s); k++)
            busy += timed_at(simulation, s, k).end - timed_at(simulation, s, k).start;
        for (int c = 0; c < WAIT_CAUSES; c++) {
            ck_assert_int_ge(events->waits[c], 0);
            waits += events->waits[c];
        }
        all_busy += (double)busy;
        ck_assert_int_eq(events->busy, busy);
        ck_assert_int_eq(busy + waits, simulation->duration);
        ck_assert_int_eq(events->waits[WAIT_NONE],
                         simulation->duration - timed_at(simulation, s, op_count(simulation, s) - 1).end);
        ck_assert_int_le(simulation->parts[s].weight_versions, schedule_versions_limit(schedule, s + 1));
        ck_assert_int_le(events->minibatches_in_flight, schedule_in_flight_limit(schedule, s + 1));
    }
    ck_assert_double_eq_tol(simulation->bubble_fraction,
                            1.0 - all_busy / schedule->stages / (double)simulation->duration, 1e-9);
    ck_assert_int_ge(simulation->version_difference_min, 1);
    ck_assert_int_le(simulation->version_difference_max, schedule->stages);
}
