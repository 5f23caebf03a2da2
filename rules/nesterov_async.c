/* Nesterov's method for asynchronous pipelines (arXiv 2505.01099): a momentum so long that the newest gradient, which is
 * stale, hardly turns the way; with NAdamW the look-ahead makes up for the staleness. Its code has beta1 = 0.99 at every
 * stage, or, by stage, beta1 + tau (0.99 - beta1) / W. */
#include "rules/update_rule.h"

static void settle(const struct update_facts *facts, struct optimizer_settings *step)
{
    step->beta1 = facts->settings->momentum;
}

static void settle_by_stage(const struct update_facts *facts, struct optimizer_settings *step)
{
    step->beta1 += facts->nominal * (facts->settings->momentum - step->beta1) / facts->stages;
}

const struct update_rule update_rule_nesterov_async = {
    .name = "nesterov-async",
    .formula = "beta1 = staleness.momentum",
    .summary = "a longer momentum at every stage",
    .needs_moments = true,
    .settle = settle,
};

const struct update_rule update_rule_nesterov_by_stage = {
    .name = "nesterov-by-stage",
    .formula = "beta1 + tau (staleness.momentum - beta1) / W",
    .summary = "the staler the stage, the longer its momentum",
    .needs_moments = true,
    .settle = settle_by_stage,
};
