/* Which machine each stage is on, where a run has more than one. */
#include <string.h>

#include "plan/plan_internal.h"

/* -1 and the first that has none. */
static int add_stages(const struct plan_machine *machines, int count, int *stages, struct error *error)
{
    *stages = 0;
    for (int m = 0; m < count; m++) {
        if (machines[m].stages < 1 || machines[m].stages > MAX_STAGES)
            return error_set(error, "%s has %d stages; each machine needs 1 to %d", machines[m].host,
                             machines[m].stages, (int)MAX_STAGES);
        *stages += machines[m].stages;
    }
    return 0;
}

int plan_spread(struct plan *plan, const struct plan_machine *machines, int count, struct error *error)
{
    int stages;

    if (count > MAX_STAGES)
        return error_set(error, "%d machines; a run takes at most %d", count, (int)MAX_STAGES);
    if (add_stages(machines, count, &stages, error))
        return -1;
    if (stages != plan->stage_count)
        return error_set(error, "the machines have %d stages, but pipeline.stages is %d", stages, plan->stage_count);
    plan->machine_count = count;
    memcpy(plan->machines, machines, (size_t)count * sizeof(machines[0]));
    return 0;
}

int plan_machines(const struct plan *plan)
{
    return plan->machine_count > 1 ? plan->machine_count : 1;
}

int plan_first_stage(const struct plan *plan, int machine)
{
    int first = 1;

    for (int m = 0; m < machine; m++)
        first += plan->machines[m].stages;
    return first;
}

int plan_machine_stages(const struct plan *plan, int machine)
{
    return plan->machine_count > 1 ? plan->machines[machine].stages : plan->stage_count;
}

int plan_machine_of(const struct plan *plan, int stage)
{
    int machine = 0;

    while (machine + 1 < plan->machine_count && stage >= plan_first_stage(plan, machine + 1))
        machine++;
    return machine;
}

int plan_machine_of_part(const struct plan *plan, int part)
{
    return plan_machine_of(plan, plan_stage_of(plan, part));
}

bool plan_link_leaves(const struct plan *plan, int link)
{
    return plan_machine_of_part(plan, link) != plan_machine_of_part(plan, link + 1);
}

int plan_cables(const struct plan *plan)
{
    return plan->machine_count > 2 ? plan->machine_count : plan->machine_count - 1;
}

/* A link joins machines that follow one another: its cable is that of the one before. */
int plan_cable_of(const struct plan *plan, int link)
{
    const int from = plan_machine_of_part(plan, link);
    const int to = plan_machine_of_part(plan, link + 1);

    return plan->machine_count == 2 ? 0 : (from + 1) % plan->machine_count == to ? from : to;
}

bool machines_are_sound(const struct plan *plan)
{
    struct error ignored;
    int stages;

    if (plan->machine_count == 0)
        return true;
    if (plan->machine_count < 0 || plan->machine_count > MAX_STAGES)
        return false;
    for (int m = 0; m < plan->machine_count; m++)
        if (!memchr(plan->machines[m].host, '\0', sizeof(plan->machines[m].host)))
            return false;
    return add_stages(plan->machines, plan->machine_count, &stages, &ignored) == 0 && stages == plan->stage_count;
}
