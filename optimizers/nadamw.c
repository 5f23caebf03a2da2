/* Adam with Nesterov's momentum and decoupled weight decay, as PyTorch's NAdam has it. With t the update's number,
 * mu(t) = beta1 (1 - 0.96^(t momentum_decay) / 2), and P(t) the product of mu(1..t):
 * w -= rate weight_decay w; m += (1 - beta1) (g - m); s = beta2 s + (1 - beta2) g^2; w -= rate
 * ((1 - mu(t)) g / (1 - P(t)) + mu(t + 1) m / (1 - P(t + 1))) / (sqrt(s / (1 - beta2^t)) + epsilon). */
#include <math.h>

#include "optimizers/optimizer.h"

static double momentum(const struct optimizer_settings *settings, int update)
{
    return settings->beta1 * (1.0 - 0.5 * pow(0.96, update * settings->momentum_decay));
}

static void prepare(const struct optimizer_settings *settings, const struct optimizer_course *course,
                    struct update *update)
{
    const int t = course->updates + 1;
    const double mu = momentum(settings, t), next = momentum(settings, t + 1), product = course->product * mu;

    update->decay = (float)(settings->rate * settings->weight_decay);
    update->take = (float)(1.0 - settings->beta1);
    update->keep_square = (float)settings->beta2;
    update->take_square = (float)(1.0 - settings->beta2);
    update->along = (float)(settings->rate * next / (1.0 - product * next));
    update->across = (float)(settings->rate * (1.0 - mu) / (1.0 - product));
    update->root = (float)sqrt(1.0 - pow(settings->beta2, t));
    update->epsilon = (float)settings->epsilon;
}

static struct term direction(const struct optimizer_settings *settings, const struct optimizer_course *course, int j)
{
    const int t = course->updates + j;
    const double next = momentum(settings, t + 1);
    double product = course->product;

    for (int u = course->updates + 1; u <= t; u++)
        product *= momentum(settings, u);
    return (struct term){
        .coefficient = pow(settings->beta1, j) * next / (1.0 - product * next),
        .plus = VECTOR_MOMENTUM,
        .square = VECTOR_SQUARES,
        .root = sqrt(1.0 - pow(settings->beta2, t)),
        .epsilon = settings->epsilon,
    };
}

const struct optimizer optimizer_nadamw = {
    .name = "nadamw",
    .summary = "Adam with Nesterov's momentum and decoupled weight decay",
    .source = "Dozat, ICLR 2016 workshop; arXiv 1711.05101",
    .kind = UPDATE_MOMENTS,
    .slots = {{VECTOR_MOMENTUM, "exp_avg"}, {VECTOR_SQUARES, "exp_avg_sq"}},
    .momentum = momentum,
    .prepare = prepare,
    .direction = direction,
};
