/* Adam with decoupled weight decay (arXiv 1711.05101, algorithm 2), as PyTorch has it. With t the update's number:
 * w -= rate weight_decay w; m += (1 - beta1) (g - m); s = beta2 s + (1 - beta2) g^2;
 * w -= rate m / (1 - beta1^t) / (sqrt(s / (1 - beta2^t)) + epsilon). */
#include <math.h>

#include "optimizers/optimizer.h"

static void prepare(const struct optimizer_settings *settings, const struct optimizer_course *course,
                    struct update *update)
{
    const int t = course->updates + 1;

    update->decay = (float)(settings->rate * settings->weight_decay);
    update->take = (float)(1.0 - settings->beta1);
    update->keep_square = (float)settings->beta2;
    update->take_square = (float)(1.0 - settings->beta2);
    update->along = (float)(settings->rate / (1.0 - pow(settings->beta1, t)));
    update->across = 0.0f;
    update->root = (float)sqrt(1.0 - pow(settings->beta2, t));
    update->epsilon = (float)settings->epsilon;
}

static struct term direction(const struct optimizer_settings *settings, const struct optimizer_course *course, int j)
{
    const int t = course->updates + j;

    return (struct term){
        .coefficient = pow(settings->beta1, j) / (1.0 - pow(settings->beta1, t)),
        .plus = VECTOR_MOMENTUM,
        .square = VECTOR_SQUARES,
        .root = sqrt(1.0 - pow(settings->beta2, t)),
        .epsilon = settings->epsilon,
    };
}

const struct optimizer optimizer_adamw = {
    .name = "adamw",
    .summary = "Adam with decoupled weight decay",
    .source = "arXiv 1711.05101",
    .kind = UPDATE_MOMENTS,
    .slots = {{VECTOR_MOMENTUM, "exp_avg"}, {VECTOR_SQUARES, "exp_avg_sq"}},
    .prepare = prepare,
    .direction = direction,
};
