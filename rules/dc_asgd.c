/* Delay-compensated asynchronous descent (arXiv 1609.08326): the gradient at the newest weights, as its Taylor series from
 * those at which it was taken has it: g + H (w - w_forward), with lambda g g^T's diagonal for the Hessian H. */
#include "rules/update_rule.h"

static struct correction correction(const struct update_facts *facts, const struct optimizer_settings *step)
{
    return (struct correction){
        .kind = CORRECTION_TAYLOR,
        .gradient_scale = (float)step->gradient_scale,
        .strength = (float)facts->settings->strength,
    };
}

const struct update_rule update_rule_dc_asgd = {
    .name = "dc-asgd",
    .formula = "g + lambda g^2 (w - w_forward)",
    .summary = "the gradient carried on to the newest weights, to first order",
    .keeps_forward = true,
    .correction = correction,
};
