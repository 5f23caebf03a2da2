/* What a plan says of optimizer and rules, in their own words (optimizers/, rules/). */
#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/learning_rate.h"
#include "plan/plan.h"

const struct optimizer *config_optimizer(const struct config *config)
{
    const struct system *system = system_find(config->pipeline.system);
    const struct optimizer *own = optimizer_find(config->train.optimizer);

    if (own)
        return own;
    return system && system->optimizer ? optimizer_find(system->optimizer) : &optimizer_sgd;
}

const struct optimizer *plan_optimizer(const struct plan *plan)
{
    return config_optimizer(&plan->config);
}

void plan_check_rules(const struct plan *plan, struct config_mistakes *mistakes)
{
    const struct config *config = &plan->config;
    const struct optimizer *optimizer = plan_optimizer(plan);
    const struct reading *forward = forward_reading(plan->schedule.forward);
    const struct reading *backward = backward_reading(plan->schedule.backward);
    const struct update_rule *update = update_rule(plan->schedule.update);
    const bool moments = optimizer->kind == UPDATE_MOMENTS, momentum = !moments && config->train.momentum > 0.0;

    if (config->train.nesterov && moments)
        config_mistake(mistakes, "train.nesterov", "yes is a form of sgd's momentum, but train.optimizer is %s; use no",
                       optimizer->name);
    else if (config->train.nesterov && !momentum)
        config_mistake(mistakes, "train.nesterov",
                       "yes is a form of momentum, of which there is none; use no, or "
                       "train.momentum above 0");
    else if (config->train.nesterov && update->needs_momentum && update->adjust)
        config_mistake(mistakes, "train.nesterov", "yes, but the update rule %s has a form of its own; use no",
                       update->name);
    if (update->needs_moments && !moments)
        config_mistake(mistakes, "train.optimizer",
                       "%s has no beta1, which the update rule %s sets; use adamw or nadamw", optimizer->name,
                       update->name);
    if (update->needs_momentum && moments)
        config_mistake(mistakes, "train.optimizer",
                       "%s, but the update rule %s is made of sgd's momentum; use sgd, or staleness.update = plain",
                       optimizer->name, update->name);
    else if (update->needs_momentum && !momentum)
        config_mistake(mistakes, "train.momentum",
                       "0, but the update rule %s is made of the momentum; use more, or staleness.update = plain",
                       update->name);
    if ((forward->needs_momentum || backward->needs_momentum) && !moments && !momentum)
        config_mistake(mistakes, "train.momentum", "0, but %s %s predict by the momentum; use more than 0",
                       forward->needs_momentum ? forward->name : backward->name,
                       forward->needs_momentum ? "forwards" : "backwards");
}

struct optimizer_settings plan_optimizer_settings(const struct plan *plan)
{
    const struct config *config = &plan->config;

    return (struct optimizer_settings){
        .momentum = config->train.momentum,
        .nesterov = config->train.nesterov,
        .beta1 = config->train.beta1,
        .beta2 = config->train.beta2,
        .epsilon = config->train.epsilon,
        .momentum_decay = config->train.momentum_decay,
        .weight_decay = config->train.weight_decay,
        .gradient_scale = 1.0,
    };
}

struct rule_settings plan_rule_settings(const struct plan *plan)
{
    const struct config *config = &plan->config;

    return (struct rule_settings){
        .significance = (enum significance)config->staleness.significance,
        .decay = config->staleness.decay,
        .further = config->staleness.further,
        .discrepancy = config->staleness.discrepancy,
        .anneal = max_int(1, (int)lround(config->staleness.anneal * plan->minibatches_per_epoch)),
        .momentum = config->staleness.momentum,
        .strength = config->staleness.strength,
    };
}

static const char *slot_name(enum vector vector)
{
    static const char *const names[VECTORS] = {
        [VECTOR_GRADIENT] = "last_gradient",
        [VECTOR_DIFFERENCES] = "average_difference",
        [VECTOR_SQUARED_MOMENTUM] = "average_squared_momentum",
    };
    return names[vector];
}

/* Unless it is NONE, or there already. */
static int add_slot(struct slot *slots, int count, enum vector vector)
{
    for (int k = 0; k < count; k++)
        if (slots[k].vector == vector)
            return count;
    if (vector != VECTOR_NONE)
        slots[count++] = (struct slot){vector, slot_name(vector)};
    return count;
}

int plan_slots(const struct plan *plan, struct slot slots[PLAN_SLOTS_MAX])
{
    const struct optimizer *optimizer = plan_optimizer(plan);
    const struct optimizer_settings settings = plan_optimizer_settings(plan);
    int count = optimizer_slot_count(optimizer, &settings);

    memcpy(slots, optimizer->slots, (size_t)count * sizeof(slots[0]));
    count = add_slot(slots, count, reading_keeps(forward_reading(plan->schedule.forward), optimizer));
    count = add_slot(slots, count, reading_keeps(backward_reading(plan->schedule.backward), optimizer));
    return add_slot(slots, count, update_rule(plan->schedule.update)->keeps);
}

bool plan_combines(const struct plan *plan)
{
    return forward_reading(plan->schedule.forward)->terms || backward_reading(plan->schedule.backward)->terms;
}

bool plan_decays_norms(const struct plan *plan)
{
    return plan->config.train.decay_norms == DECAY_AS_OPTIMIZER ? plan_optimizer(plan)->decays_all
                                                                : plan->config.train.decay_norms == DECAY_YES;
}

bool plan_clips_together(const struct plan *plan)
{
    return plan->config.train.clip_norm > 0.0 && plan->schedule.order.flush;
}

static bool computes_on_cores(const struct plan *plan)
{
    for (int s = 1; s <= plan->stage_count; s++)
        if (plan_place_of(plan, s) == PLACE_CPU)
            return true;
    return false;
}

bool plan_waits_for(const struct plan *plan, enum wait_cause cause)
{
    switch (cause) {
    case WAIT_NONE:
        return false;
    case WAIT_NORM:
        return plan_clips_together(plan);
    case WAIT_CORE:
        return computes_on_cores(plan);
    default:
        return true;
    }
}

int plan_staleness(const struct plan *plan, int part)
{
    return max_int(0, plan_part(plan, part)->minibatches_in_flight - 1);
}

int plan_staleness_ahead(const struct plan *plan, int epoch, int minibatch, int live)
{
    return max_int(0, (epoch - 1) * plan->minibatches_per_epoch + minibatch - 1 - live);
}

/* What rules go by: the staleness that was measured, or the full pipeline's. */
static int staleness_by(const struct plan *plan, bool measures, int part, int measured)
{
    return measures || plan->config.staleness.measure == STALENESS_MEASURED ? measured : plan_staleness(plan, part);
}

struct update_facts plan_update_facts(const struct plan *plan, const struct rule_settings *settings, int part,
                                      int staleness, int updates)
{
    return (struct update_facts){
        .settings = settings,
        .stages = plan->stage_count,
        .staleness = staleness_by(plan, false, part, staleness),
        .nominal = plan_staleness(plan, part),
        .updates = updates,
        .peak_rate = plan->config.train.lr,
    };
}

struct optimizer_settings plan_next_step(const struct plan *plan, const struct update_facts *facts,
                                         struct optimizer_course *course)
{
    const struct update_rule *rule = update_rule(plan->schedule.update);
    struct optimizer_settings step = plan_optimizer_settings(plan);

    step.rate = learning_rate(&plan->config, plan->minibatches_per_epoch, facts->updates);
    if (rule->settle)
        rule->settle(facts, &step);
    optimizer_catch_up(plan_optimizer(plan), &step, facts->updates, course);
    return step;
}

int plan_tau(const struct plan *plan, const struct reading *reading, int part, int staleness)
{
    return staleness_by(plan, reading->measures, part, staleness);
}

int plan_terms(const struct plan *plan, const struct reading *reading, int part, int staleness, int updates,
               struct optimizer_course *course, struct term terms[READING_TERMS_MAX])
{
    const struct rule_settings settings = plan_rule_settings(plan);
    const struct update_facts facts = plan_update_facts(plan, &settings, part, staleness, updates);
    const struct optimizer_settings step = plan_next_step(plan, &facts, course);
    const struct reading_facts read = {
        .settings = &settings,
        .part = part,
        .staleness = plan_tau(plan, reading, part, staleness),
        .optimizer = plan_optimizer(plan),
        .step = &step,
        .course = course,
    };

    return reading->terms(&read, terms);
}

double plan_staleness_of(const struct plan *plan, const struct backward_versions *versions)
{
    const struct reading *reading = backward_reading(plan->schedule.backward);
    const struct rule_settings settings = plan_rule_settings(plan);
    const int age = versions->live - versions->forward;

    if (versions->read >= 0)
        return versions->live - versions->read;
    return reading->staleness ? reading->staleness(&settings, age) : 0.0;
}
