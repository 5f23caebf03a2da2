#include "plan/idle.h"

#include <math.h>
#include <stdio.h>

#include "base/numbers.h"
#include "plan/replay.h"

/* A part's share is rounded to so many parts of an even one, so that a full pipeline soon repeats itself; and an epoch of so
 * many mini-batches stands for a longer one. */
enum { SHARE_PARTS = 64, MINIBATCHES_MAX = 1000 };

static void cost_times(const struct plan *plan, const struct schedule *schedule, struct part_times times[MAX_PARTS])
{
    const struct part_times nominal = nominal_times(schedule);

    for (int k = 0; k < plan->part_count; k++) {
        const double share = plan_part(plan, k + 1)->compute_share * plan->part_count;
        const int64_t parts = (int64_t)fmax(1, round(SHARE_PARTS * share));

        times[k] = (struct part_times){.update = 0};
        for (int kind = 0; kind < OP_KINDS; kind++)
            times[k].op[kind] = nominal.op[kind] * parts;
    }
}

static int play_costs(const struct plan *plan, const struct schedule *schedule, double *idle, struct error *error)
{
    struct part_times times[MAX_PARTS];
    const struct link_times link = {.slots = {.gradients = schedule_gradient_slots(schedule)}};
    const struct timing timing = {.parts = times, .links = &link, .same_links = true, .last_minibatch = 1.0};
    struct simulation *list = NULL, *played;
    int result = -1;

    cost_times(plan, schedule, times);
    if (plan_replays(plan) && !schedule_is_list(schedule) && plan_simulate(plan, schedule, true, &list, error))
        return -1;
    if (simulate_timed(schedule, &timing, list, false, &played, error) == 0) {
        *idle = played->bubble_fraction;
        simulation_destroy(played);
        result = 0;
    }
    simulation_destroy(list);
    return result;
}

int plan_idle(const struct plan *plan, struct idle_figures *figures)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *unit;
    struct error error;

    if (plan->stage_count > FIGURES_STAGES_MAX || plan->part_count > MAX_PARTS)
        return -1;
    schedule.minibatches = min_int(schedule.minibatches, MINIBATCHES_MAX);
    if (simulate_unit(&schedule, (struct link_slots){.gradients = schedule_gradient_slots(&schedule)}, false, &unit,
                      &error))
        return -1;
    *figures = (struct idle_figures){.unit = unit->bubble_fraction, .measured = plan->costs_measured};
    simulation_destroy(unit);
    return play_costs(plan, &schedule, &figures->costs, &error);
}

void idle_describe(const struct idle_figures *figures, char text[IDLE_TEXT_MAX])
{
    snprintf(text, IDLE_TEXT_MAX, "%.1f%% in unit times, %.1f%% in %s", 100.0 * figures->unit, 100.0 * figures->costs,
             figures->measured ? "measured costs" : "computed costs");
}
