#include "coordinator/show_rules.h"

#include <stddef.h>
#include <string.h>

#include "plan/describe.h"
#include "plan/learning_rate.h"

static void print_reads(FILE *out, const struct plan *plan)
{
    const struct reading *forward = forward_reading(plan->schedule.forward);
    const struct reading *backward = backward_reading(plan->schedule.backward);

    fprintf(out, "          forwards read %s weights, backwards %s ones; update %s\n", forward->name, backward->name,
            plan_update_rule(plan));
    if (forward->terms)
        fprintf(out, "          forwards %s: %s\n", forward->name, forward->formula);
    if (backward->terms)
        fprintf(out, "          backwards %s: %s\n", backward->name, backward->formula);
}

static void print_update_rule(FILE *out, const struct plan *plan)
{
    const struct update_rule *rule = update_rule(plan->schedule.update);

    if (plan->schedule.update != UPDATE_PLAIN)
        fprintf(out, "          update rule %s: %s\n", rule->name, rule->formula);
}

/* The optimizer's own, as the update rule leaves them. */
static void print_settings(FILE *out, const struct plan *plan)
{
    const struct config *config = &plan->config;
    const struct optimizer *optimizer = plan_optimizer(plan);
    char beta1[SETTING_TEXT_MAX];

    describe_setting(plan, offsetof(struct optimizer_settings, beta1), 0, beta1);
    if (optimizer->kind != UPDATE_MOMENTS)
        fprintf(out, "%smomentum %g", config->train.nesterov ? "Nesterov " : "", config->train.momentum);
    else
        fprintf(out, "beta1 %s, beta2 %g, epsilon %g", beta1, config->train.beta2, config->train.epsilon);
    if (optimizer->momentum)
        fprintf(out, ", momentum decay %g", config->train.momentum_decay);
}

static void print_rate(FILE *out, const struct plan *plan)
{
    char schedule[LEARNING_RATE_TEXT_MAX], first[SETTING_TEXT_MAX];

    learning_rate_describe(&plan->config, schedule);
    fprintf(out, "          learning rate %s", schedule);
    describe_setting(plan, offsetof(struct optimizer_settings, rate), 0, first);
    if (strstr(first, " to "))
        fprintf(out, ";\n          the update rule makes of the first %s, by stage", first);
    fputc('\n', out);
}

static void print_clipping(FILE *out, const struct plan *plan)
{
    const double most = plan->config.train.clip_norm;

    if (plan_clips_together(plan))
        fprintf(out, "          gradients are clipped at %g by the norm of all stages\n", most);
    else if (most > 0.0)
        fprintf(out,
                "          gradients are clipped at %g by the norm of each %s, as no flush lets stages wait for each "
                "other\n",
                most, plan->schedule.parts > 1 ? "part" : "stage");
}

static void print_optimizer(FILE *out, const struct plan *plan)
{
    const struct config *config = &plan->config;
    char kept[KEPT_TEXT_MAX];

    describe_kept(plan, kept);
    fprintf(out, "optimizer %s: ", plan_optimizer(plan)->name);
    print_settings(out, plan);
    fprintf(out, "; keeps %s\n          weight decay %g", kept, config->train.weight_decay);
    if (config->train.weight_decay > 0.0)
        fprintf(out, " of all weights%s", plan_decays_norms(plan) ? "" : " but norms and biases");
    fputc('\n', out);
    print_clipping(out, plan);
    print_rate(out, plan);
}

void rules_print(FILE *out, const struct plan *plan)
{
    print_reads(out, plan);
    print_update_rule(out, plan);
    print_optimizer(out, plan);
}

json_t *rules_json(const struct plan *plan)
{
    const struct schedule *schedule = &plan->schedule;
    const struct update_rule *rule = update_rule(schedule->update);

    /* clang-format off */
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:s, s:s}}",
                     "order", schedule->order.name,
                     "forward", forward_rule_name(schedule->forward),
                     "backward", backward_rule_name(schedule->backward),
                     "update", plan_update_rule(plan),
                     "update_rule", rule->name,
                     "formulas",
                     "forward", forward_reading(schedule->forward)->formula,
                     "backward", backward_reading(schedule->backward)->formula,
                     "update_rule", rule->formula);
    /* clang-format on */
}

/* "stage", or "all"; null where nothing is clipped. */
static json_t *clips_json(const struct plan *plan)
{
    return plan->config.train.clip_norm > 0.0 ? json_string(plan_clips_together(plan) ? "all" : "stage") : json_null();
}

json_t *optimizer_json(const struct plan *plan)
{
    struct slot slots[PLAN_SLOTS_MAX];
    const int count = plan_slots(plan, slots);
    json_t *names = json_array();

    for (int k = 0; k < count; k++)
        json_array_append_new(names, json_string(slots[k].name));
    return json_pack("{s:s, s:o, s:b, s:o}", "name", plan_optimizer(plan)->name, "keeps", names, "decays_norms",
                     (int)plan_decays_norms(plan), "clips", clips_json(plan));
}

static void print_row(FILE *out, const char *name, const char *formula, const char *summary)
{
    fprintf(out, "%-18s %s\n%-18s   %s\n", name, formula, "", summary);
}

static void print_rules(FILE *out)
{
    fprintf(out, "\nforward reads      w: the newest weights of the stage; tau: updates until the micro-batch's own\n");
    for (int i = 0; i < FORWARD_RULES; i++) {
        const struct reading *row = forward_reading((enum forward_rule)i);

        print_row(out, row->name, row->formula, row->summary);
    }
    fprintf(out, "\nbackward reads     w_forward: what the forward read; tau: updates since then\n");
    for (int i = 0; i < BACKWARD_RULES; i++) {
        const struct reading *row = backward_reading((enum backward_rule)i);

        print_row(out, row->name, row->formula, row->summary);
    }
    fprintf(out, "\nupdate rule        g: the gradient; m: the momentum\n");
    for (int i = 0; i < UPDATE_RULES; i++) {
        const struct update_rule *row = update_rule((enum update_rule_name)i);

        print_row(out, row->name, row->formula, row->summary);
    }
    fprintf(out, "\noptimizer\n");
    for (int i = 0; optimizer_at(i); i++)
        fprintf(out, "%-18s %s\n", optimizer_at(i)->name, optimizer_at(i)->summary);
}

void systems_print(FILE *out)
{
    static const char format[] = "%-18s %-16s %-15s %-12s %-22s %-18s %-9s %s\n";

    fprintf(out, format, "system", "order", "forward reads", "backward", "update", "update rule", "optimizer",
            "source");
    for (int i = 0; i < system_count; i++) {
        const struct system *system = &systems[i];

        fprintf(out, format, system->name, orders[system->order].name, forward_rule_name(system->forward),
                backward_rule_name(system->backward), system->update, update_rule(system->rule)->name,
                system->optimizer ? system->optimizer : optimizer_sgd.name, system->source);
    }
    fputc('\n', out);
    for (int i = 0; i < ORDERS; i++)
        fprintf(out, "%-18s %s\n", orders[i].name, orders[i].summary);
    print_rules(out);
}
