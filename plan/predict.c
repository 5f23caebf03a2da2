#include "plan/predict.h"

#include <math.h>

#include "plan/replay.h"

/* The value for item `index` (0..) of a list that has one for all, or one for each. */
static double value_of(const struct config_reals *reals, int index)
{
    return reals->values[reals->count > 1 ? index : 0];
}

static void check_count(const char *key, const struct config_reals *reals, int count, const char *items,
                        struct config_mistakes *mistakes)
{
    if (reals->count > 1 && reals->count != count)
        config_mistake(mistakes, key, "%d numbers, but there are %d %s; give one for all, or one for each",
                       reals->count, count, items);
}

void predict_check(const struct config *config, struct config_mistakes *mistakes)
{
    const int parts = config->pipeline.stages * config->pipeline.parts;
    const char *const each = config->pipeline.parts > 1 ? "parts" : "stages";

    check_count("simulation.forward_ms", &config->simulation.forward_ms, parts, each, mistakes);
    check_count("simulation.backward_ms", &config->simulation.backward_ms, parts, each, mistakes);
    check_count("simulation.backward_input_ms", &config->simulation.backward_input_ms, parts, each, mistakes);
    check_count("simulation.backward_weights_ms", &config->simulation.backward_weights_ms, parts, each, mistakes);
    check_count("simulation.update_ms", &config->simulation.update_ms, parts, each, mistakes);
    check_count("simulation.link_mbit", &config->simulation.link_mbit, parts - 1, "links", mistakes);
    check_count("simulation.link_us", &config->simulation.link_us, parts - 1, "links", mistakes);
}

static const struct config_reals *key_of(const struct config *config, enum op_kind kind)
{
    const struct config_reals *const keys[OP_KINDS] = {
        [OP_FORWARD] = &config->simulation.forward_ms,
        [OP_BACKWARD] = &config->simulation.backward_ms,
        [OP_BACKWARD_INPUT] = &config->simulation.backward_input_ms,
        [OP_BACKWARD_WEIGHTS] = &config->simulation.backward_weights_ms,
    };

    return keys[kind];
}

void predict_check_used(const struct plan *plan, struct config_mistakes *mistakes)
{
    static const char *const keys[OP_KINDS] = {
        [OP_BACKWARD] = "simulation.backward_ms",
        [OP_BACKWARD_INPUT] = "simulation.backward_input_ms",
        [OP_BACKWARD_WEIGHTS] = "simulation.backward_weights_ms",
    };
    const struct config *config = &plan->config;
    const bool whole = config->simulation.backward_ms.count > 0;
    const bool halves =
        config->simulation.backward_input_ms.count > 0 && config->simulation.backward_weights_ms.count > 0;

    for (int kind = OP_BACKWARD; kind < OP_KINDS; kind++) {
        const bool needed =
            predict_has(&plan->schedule, (enum op_kind)kind) || (kind == OP_BACKWARD ? !halves : !whole);

        if (key_of(config, (enum op_kind)kind)->count > 0 && !needed)
            config_mistake(mistakes, keys[kind], "not used: backwards of %s %s; leave it out", config->pipeline.system,
                           kind == OP_BACKWARD ? "are split, and both halves are given"
                                               : "are not split, and take simulation.backward_ms");
    }
    if (plan->part_count > 1)
        return;
    if (config->simulation.link_mbit.values[0] > 0)
        config_mistake(mistakes, "simulation.link_mbit", "not used: a single part has no links; leave it out");
    if (config->simulation.link_us.values[0] > 0)
        config_mistake(mistakes, "simulation.link_us", "not used: a single part has no links; leave it out");
}

bool predict_has(const struct schedule *schedule, enum op_kind kind)
{
    /* A list that splits backwards may have whole ones as well. */
    if (kind == OP_FORWARD || (schedule->order.split_backward && schedule_is_list(schedule)))
        return true;
    return (kind == OP_BACKWARD) != schedule->order.split_backward;
}

bool predict_is_given(const struct config *config, enum op_kind kind)
{
    const bool halves =
        config->simulation.backward_input_ms.count > 0 && config->simulation.backward_weights_ms.count > 0;

    if (key_of(config, kind)->count > 0)
        return true;
    return kind == OP_BACKWARD ? halves : kind != OP_FORWARD && config->simulation.backward_ms.count > 0;
}

/* Of one micro-batch. A backward is its two halves, and a half is one of two equal ones, where nothing else is given. */
static double milliseconds_of(const struct config *config, enum op_kind kind, int index)
{
    if (key_of(config, kind)->count > 0)
        return value_of(key_of(config, kind), index);
    if (kind != OP_BACKWARD)
        return value_of(&config->simulation.backward_ms, index) / 2;
    return value_of(&config->simulation.backward_input_ms, index) +
           value_of(&config->simulation.backward_weights_ms, index);
}

void predict_scale(struct config *config, double factor)
{
    struct config_reals *const keys[] = {&config->simulation.forward_ms, &config->simulation.backward_ms,
                                         &config->simulation.backward_input_ms,
                                         &config->simulation.backward_weights_ms};

    for (size_t key = 0; key < sizeof(keys) / sizeof(keys[0]); key++)
        for (int k = 0; k < keys[key]->count; k++)
            keys[key]->values[k] *= factor;
}

int64_t predict_time(const struct config *config, const struct schedule *schedule, enum op_kind kind, int index)
{
    const int microbatches = kind == OP_BACKWARD && schedule->order.whole_backward ? schedule->microbatches : 1;

    return llround(1e6 * microbatches * milliseconds_of(config, kind, index));
}

bool predict_all_given(const struct plan *plan)
{
    bool all = plan->config.simulation.update_ms.count > 0;

    for (int kind = 0; kind < OP_KINDS; kind++)
        if (predict_has(&plan->schedule, (enum op_kind)kind))
            all = all && predict_is_given(&plan->config, (enum op_kind)kind);
    return all;
}

/* Puts what the config gives in place of what was measured. */
static int choose_times(struct prediction *prediction, const struct plan *plan, struct error *error)
{
    const struct config *config = &plan->config;
    const struct config_reals *update = &config->simulation.update_ms;

    prediction->update_given = update->count > 0;
    for (int kind = 0; kind < OP_KINDS; kind++)
        prediction->given[kind] = predict_is_given(config, (enum op_kind)kind);
    for (int k = 0; k < plan->part_count; k++) {
        struct part_times *times = &prediction->times[k];

        *times = plan_part(plan, k + 1)->times;
        for (int kind = 0; kind < OP_KINDS; kind++) {
            if (prediction->given[kind])
                times->op[kind] = predict_time(config, &plan->schedule, (enum op_kind)kind, k);
            else if (times->op[kind] == 0 && predict_has(&plan->schedule, (enum op_kind)kind))
                return error_set(error, "how long a %s of %s %d takes is neither measured nor given",
                                 op_kind_name((enum op_kind)kind), plan_parts_word(plan), k + 1);
        }
        if (prediction->update_given)
            times->update = llround(1e6 * value_of(update, k));
    }
    return 0;
}

bool predict_wants_cables(const struct plan *plan)
{
    return plan->machine_count > 1 && plan->config.simulation.link_mbit.count == 0;
}

/* One value of a key is that of the links between machines, where the plan has several, and of bandwidths that of each
 * machine's cable, which its links share; else of all links. */
static double link_value(const struct plan *plan, const struct config_reals *reals, double measured, int link)
{
    const bool inside = plan->machine_count > 1 && reals->count <= 1 && !plan_link_leaves(plan, link + 1);

    return inside ? 0.0 : reals->count == 0 ? measured : value_of(reals, link);
}

static void describe_links(struct prediction *prediction, const struct plan *plan)
{
    const struct config *config = &plan->config;
    const int microbatches = plan->schedule.microbatches;
    const int per_gradient = plan->schedule.order.whole_backward ? microbatches : 1;

    prediction->shared_memory = true;
    for (int l = 0; l < plan->part_count - 1; l++) {
        const double rows = (double)plan_minibatch_rows(plan, 1) / microbatches;
        const double bits = 8.0 * sizeof(float) * rows * (double)shape_size(plan_part(plan, l + 1)->output);
        const bool leaves = plan_link_leaves(plan, l + 1);
        const struct plan_cable cable =
            leaves ? plan->machines[plan_cable_of(plan, l + 1)].cable : (struct plan_cable){.mbit = 0.0};
        const double mbit = link_value(plan, &config->simulation.link_mbit, cable.mbit, l);
        const double activation_ns = mbit > 0.0 ? 1e3 * bits / mbit : 0.0;

        prediction->links[l] = (struct link_times){
            .activation = llround(activation_ns),
            .gradient = llround(per_gradient * activation_ns),
            .latency = llround(1e3 * link_value(plan, &config->simulation.link_us, cable.us, l)),
            .slots = {plan_part(plan, l + 1)->activation_slots, plan_part(plan, l + 1)->gradient_slots},
        };
        if (activation_ns > 0.0 || prediction->links[l].latency > 0)
            prediction->shared_memory = false;
    }
}

/* Rows of the last mini-batch that is simulated: a smaller one ends an epoch. */
static int last_rows(const struct prediction *prediction, const struct plan *plan)
{
    return plan_minibatch_rows(plan, prediction->minibatches);
}

static int simulate(struct prediction *prediction, const struct plan *plan, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    int machines[MAX_PARTS];
    const bool shared = plan->machine_count > 1 && plan->config.simulation.link_mbit.count <= 1;
    const struct timing timing = {
        .machines = shared ? machines : NULL,
        .parts = prediction->times,
        .links = prediction->links,
        .last_minibatch = (double)last_rows(prediction, plan) / plan_minibatch_rows(plan, 1),
    };
    struct simulation *replayed = NULL;
    int result;

    for (int k = 1; shared && k <= plan->part_count; k++)
        machines[k - 1] = plan_machine_of_part(plan, k);
    schedule.minibatches = prediction->minibatches;
    if (schedule_check(&schedule, error))
        return -1;
    if (plan_replays(plan) && !schedule_is_list(&schedule) && plan_simulate(plan, &schedule, true, &replayed, error))
        return -1;
    result = simulate_timed(&schedule, &timing, replayed, true, &prediction->events, error);
    simulation_destroy(replayed);
    return result;
}

/* What the epoch has more, or less, than was simulated takes as long as it does between filling and draining. */
static void count_images(struct prediction *prediction, const struct plan *plan)
{
    const struct simulation *events = prediction->events;
    const double batch = plan_minibatch_rows(plan, 1);
    const double images = batch * (prediction->minibatches - 1) + last_rows(prediction, plan);
    const double epoch_images = batch * (plan->minibatches_per_epoch - 1) + plan->last_minibatch_rows;
    const double more_ns = (epoch_images - images) / batch * events->minibatch_duration;

    prediction->epoch_seconds = 1e-9 * ((double)events->duration + more_ns);
    prediction->images_per_second = epoch_images / prediction->epoch_seconds;
}

int predict(struct prediction *prediction, const struct plan *plan, int minibatches, struct error *error)
{
    *prediction = (struct prediction){.minibatches = minibatches > 0 ? minibatches : plan->minibatches_per_epoch};
    if (choose_times(prediction, plan, error))
        return -1;
    describe_links(prediction, plan);
    if (simulate(prediction, plan, error))
        return -1;
    count_images(prediction, plan);
    return 0;
}

void prediction_release(struct prediction *prediction)
{
    simulation_destroy(prediction->events);
}
