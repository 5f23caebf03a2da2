#include "plan/replay.h"

#include <math.h>
#include <stdlib.h>

#include "plan/predict.h"

bool plan_replays(const struct plan *plan)
{
    return plan->config.pipeline.order == RUN_STATIC || schedule_is_list(&plan->schedule);
}

static struct config_reals *times_key(struct config *config, enum op_kind kind)
{
    struct config_reals *const keys[OP_KINDS] = {
        [OP_FORWARD] = &config->simulation.forward_ms,
        [OP_BACKWARD] = &config->simulation.backward_ms,
        [OP_BACKWARD_INPUT] = &config->simulation.backward_input_ms,
        [OP_BACKWARD_WEIGHTS] = &config->simulation.backward_weights_ms,
    };

    return keys[kind];
}

static bool same_reals(const struct config_reals *one, const struct config_reals *other)
{
    for (int k = 0; k < one->count && one->count == other->count; k++)
        if (one->values[k] != other->values[k])
            return false;
    return one->count == other->count;
}

bool replay_same_times(const struct config *one, const struct config *other)
{
    return same_reals(&one->simulation.forward_ms, &other->simulation.forward_ms) &&
           same_reals(&one->simulation.backward_ms, &other->simulation.backward_ms) &&
           same_reals(&one->simulation.backward_input_ms, &other->simulation.backward_input_ms) &&
           same_reals(&one->simulation.backward_weights_ms, &other->simulation.backward_weights_ms) &&
           same_reals(&one->simulation.update_ms, &other->simulation.update_ms);
}

void replay_take_times(struct config *config, const struct config *from)
{
    if (config->simulation.forward_ms.count > 0)
        return;
    config->simulation.forward_ms = from->simulation.forward_ms;
    config->simulation.backward_ms = from->simulation.backward_ms;
    config->simulation.backward_input_ms = from->simulation.backward_input_ms;
    config->simulation.backward_weights_ms = from->simulation.backward_weights_ms;
    config->simulation.update_ms = from->simulation.update_ms;
}

/* A list for times that differ in their last digits repeats itself late, and is as good as one for round ones: parts of
 * a shortest forward. */
enum { ROUND_PARTS = 16 };

static int64_t rounded(int64_t time, int64_t unit)
{
    return (time + unit / 2) / unit * unit;
}

static int64_t rounding_unit(const struct plan *plan)
{
    int64_t least = plan_part(plan, 1)->times.op[OP_FORWARD];

    for (int k = 1; k < plan->part_count; k++)
        if (plan_part(plan, k + 1)->times.op[OP_FORWARD] < least)
            least = plan_part(plan, k + 1)->times.op[OP_FORWARD];
    return least / ROUND_PARTS > 0 ? least / ROUND_PARTS : 1;
}

int replay_keep_times(struct plan *plan, struct error *error)
{
    const int64_t unit = rounding_unit(plan);
    const int whole = plan->schedule.order.whole_backward ? plan->schedule.microbatches : 1;
    struct config_reals *update = &plan->config.simulation.update_ms;

    for (int kind = 0; kind < OP_KINDS; kind++) {
        struct config_reals *key = times_key(&plan->config, (enum op_kind)kind);

        if (!predict_has(&plan->schedule, (enum op_kind)kind) || key->count > 0)
            continue;
        key->count = plan->part_count;
        for (int k = 0; k < plan->part_count; k++) {
            const int64_t time = rounded(plan_part(plan, k + 1)->times.op[kind], unit);
            if (time <= 0)
                return error_set(error, "how long a %s of %s %d takes is neither measured nor given",
                                 op_kind_name((enum op_kind)kind), plan_parts_word(plan), k + 1);
            key->values[k] = 1e-6 * (double)(kind == OP_BACKWARD ? time / whole : time);
        }
    }
    if (update->count > 0)
        return 0;
    update->count = plan->part_count;
    for (int k = 0; k < plan->part_count; k++)
        update->values[k] = 1e-6 * (double)rounded(plan_part(plan, k + 1)->times.update, unit);
    return 0;
}

static int simulate_given(const struct plan *plan, const struct schedule *schedule, struct link_slots slots,
                          bool keep_ops, struct simulation **out, struct error *error)
{
    const struct config *config = &plan->config;
    struct part_times *times = calloc((size_t)plan->part_count, sizeof(*times));
    const struct link_times link = {.slots = slots};
    const struct timing timing = {.parts = times, .links = &link, .same_links = true, .last_minibatch = 1.0};
    int result;

    if (!times)
        return error_set(error, "out of memory for the schedule");
    for (int k = 0; k < plan->part_count; k++) {
        const struct config_reals *update = &config->simulation.update_ms;

        for (int kind = 0; kind < OP_KINDS; kind++) {
            if (predict_is_given(config, (enum op_kind)kind))
                times[k].op[kind] = predict_time(config, schedule, (enum op_kind)kind, k);
        }
        times[k].update = update->count > 0 ? llround(1e6 * update->values[update->count > 1 ? k : 0]) : 0;
    }
    result = simulate_timed(schedule, &timing, NULL, keep_ops, out, error);
    free(times);
    return result;
}

int plan_simulate(const struct plan *plan, const struct schedule *schedule, bool keep_ops, struct simulation **out,
                  struct error *error)
{
    /* What a list needs is found by giving it as much as it wants. */
    const struct link_slots slots = {
        .gradients = schedule_is_list(schedule) ? 0 : schedule_gradient_slots(schedule),
    };

    switch ((enum static_times)plan->config.pipeline.static_times) {
    case STATIC_UNIT:
        break;
    case STATIC_MEASURED:
        /* Before anything is measured, and with order = dynamic, the plan shows the nominal schedule. */
        if (plan->config.simulation.forward_ms.count > 0)
            return simulate_given(plan, schedule, slots, keep_ops, out, error);
        return simulate_nominal(schedule, slots, keep_ops, out, error);
    case STATIC_NOMINAL:
        return simulate_nominal(schedule, slots, keep_ops, out, error);
    }
    return simulate_unit(schedule, slots, keep_ops, out, error);
}

int replay_figures(const struct plan *plan, enum static_times times, struct replay_figures *figures,
                   struct error *error)
{
    const struct schedule schedule = plan_training(plan);
    const struct link_slots slots = {.gradients = schedule_gradient_slots(&schedule)};
    const struct part_times nominal = nominal_times(&schedule);
    const struct link_times link = {.slots = slots};
    const struct timing timing = {&nominal, &link, true, true, NULL, 1.0};
    struct simulation *list, *played;

    if (times == STATIC_UNIT ? simulate_unit(&schedule, slots, true, &list, error)
                             : simulate_nominal(&schedule, slots, true, &list, error))
        return -1;
    if (simulate_timed(&schedule, &timing, list, false, &played, error)) {
        simulation_destroy(list);
        return -1;
    }
    *figures = (struct replay_figures){list->version_difference_max, played->bubble_fraction};
    simulation_destroy(list);
    simulation_destroy(played);
    return 0;
}
