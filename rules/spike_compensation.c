/* Spike compensation (arXiv 2003.11666). Momentum gives a gradient the weights 1, g, g^2, ... at its own and the later
 * updates; one that is tau updates late has missed the first tau of them. It gets them at once: b = 1 + g + ... +
 * g^(tau - 1), and then goes on at g^tau = a. With tau = 1 that is Nesterov's form. */
#include <math.h>

#include "rules/update_rule.h"

static void adjust(const struct update_facts *facts, const struct optimizer_settings *step, struct update *update)
{
    double missed = 0.0;

    if (facts->staleness == 0)
        return;
    for (int j = 0; j < facts->staleness; j++)
        missed += pow(step->momentum, j);
    update->along = (float)pow(step->momentum, facts->staleness);
    update->across = (float)missed;
}

const struct update_rule update_rule_spike_compensation = {
    .name = "spike-compensation",
    .formula = "w - rate (a m + b g), a = momentum^tau, b = (1 - a) / (1 - momentum)",
    .summary = "a late gradient moves the weights at once by as much as it has missed",
    .needs_momentum = true,
    .adjust = adjust,
};
