/* Stochastic gradient descent with momentum, as PyTorch has it: d = g + weight_decay w; m = momentum m + d;
 * w -= rate m, or with Nesterov's form w -= rate (d + momentum m). */
#include <math.h>

#include "optimizers/optimizer.h"

static void prepare(const struct optimizer_settings *settings, const struct optimizer_course *course,
                    struct update *update)
{
    (void)course;
    update->decay = (float)settings->weight_decay;
    update->keep = (float)settings->momentum;
    update->along = settings->nesterov ? (float)settings->momentum : 1.0f;
    update->across = settings->nesterov ? 1.0f : 0.0f;
}

static struct term direction(const struct optimizer_settings *settings, const struct optimizer_course *course, int j)
{
    (void)course;
    return (struct term){.coefficient = pow(settings->momentum, settings->nesterov ? j + 1 : j),
                         .plus = VECTOR_MOMENTUM};
}

const struct optimizer optimizer_sgd = {
    .name = "sgd",
    .summary = "stochastic gradient descent, with momentum",
    .source = "Polyak 1964; Sutskever et al. 2013",
    .kind = UPDATE_MOMENTUM,
    .slots = {{VECTOR_MOMENTUM, "momentum_buffer"}},
    .decays_all = true,
    .prepare = prepare,
    .direction = direction,
};
