/* Gap-aware (arXiv 1909.10802), as FTPipe's code has it: each element of the gradient is divided by how many steps of usual
 * size lie between the weights at which it was taken and the newest. The usual size is the peak rate times the root of an
 * average of the momentum's squares, which keeps 0.999 of itself and is corrected for its start. The peak rate is the
 * schedule's, where the code takes the largest so far. */
#include <math.h>

#include "rules/update_rule.h"

static const double average_kept = 0.999, smallest_step = 1e-8;

static struct correction correction(const struct update_facts *facts, const struct optimizer_settings *step)
{
    return (struct correction){
        .kind = CORRECTION_GAP,
        .gradient_scale = (float)step->gradient_scale,
        .decay = (float)step->weight_decay,
        .rate = (float)facts->peak_rate,
        .keep = (float)average_kept,
        .take = (float)(1.0 - average_kept),
        .weight = (float)(1.0 - pow(average_kept, facts->updates + 1)),
        .epsilon = (float)smallest_step,
    };
}

const struct update_rule update_rule_gap_aware = {
    .name = "gap-aware",
    .formula = "g / (1 + |w - w_forward| / (peak rate sqrt(average of m^2)))",
    .summary = "the gradient divided by the steps that lie between its weights and the newest",
    .keeps_forward = true,
    .keeps = VECTOR_SQUARED_MOMENTUM,
    .needs_momentum = true,
    .correction = correction,
};
