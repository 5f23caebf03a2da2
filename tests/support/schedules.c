#include "tests/support/schedules.h"

#include <check.h>

struct schedule schedule_of(const struct system *system, int stages, int microbatches, int minibatches)
{
    return (struct schedule){
        .order = orders[system->order],
        .forward = system->forward,
        .backward = system->backward,
        .update = system->rule,
        .stages = stages,
        .parts = 1,
        .microbatches = microbatches,
        .minibatches = minibatches,
    };
}

struct schedule schedule_named(const char *name, int stages, int microbatches, int minibatches)
{
    const struct system *system = system_find(name);

    ck_assert_msg(system != NULL, "no system %s", name);
    return schedule_of(system, stages, microbatches, minibatches);
}
