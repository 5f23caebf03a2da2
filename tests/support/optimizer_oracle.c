#include "tests/support/optimizer_oracle.h"

#include <check.h>
#include <math.h>
#include <string.h>

struct optimizer_settings random_optimizer_settings(struct dice *dice)
{
    return (struct optimizer_settings){
        .rate = 0.01 * dice_between(dice, 1, 9),
        .momentum = 0.1 * dice_between(dice, 1, 9),
        .nesterov = dice_between(dice, 0, 1),
        .beta1 = 0.1 * dice_between(dice, 5, 9),
        .beta2 = 0.9 + 0.01 * dice_between(dice, 0, 9),
        .epsilon = 0.01 * dice_between(dice, 0, 3),
        .momentum_decay = 0.004 * dice_between(dice, 1, 9),
        .weight_decay = 0.1,
        .gradient_scale = 1.0,
    };
}

static double sgd(const struct optimizer_settings *settings, double gradient, double *m)
{
    *m = settings->momentum * *m + gradient;
    return settings->nesterov ? gradient + settings->momentum * *m : *m;
}

static double divisor(const struct optimizer_settings *settings, int t, double s)
{
    return sqrt(s / (1.0 - pow(settings->beta2, t))) + settings->epsilon;
}

static double adamw(const struct optimizer_settings *settings, int t, double gradient, double *m, double s)
{
    *m = settings->beta1 * *m + (1.0 - settings->beta1) * gradient;
    return *m / (1.0 - pow(settings->beta1, t)) / divisor(settings, t, s);
}

static double nadam_momentum(const struct optimizer_settings *settings, int t)
{
    return settings->beta1 * (1.0 - 0.5 * pow(0.96, t * settings->momentum_decay));
}

double nadam_product(const struct optimizer_settings *settings, int t)
{
    return t > 0 ? nadam_product(settings, t - 1) * nadam_momentum(settings, t) : 1.0;
}

static double nadamw(const struct optimizer_settings *settings, int t, double gradient, double *m, double s)
{
    *m = settings->beta1 * *m + (1.0 - settings->beta1) * gradient;
    return ((1.0 - nadam_momentum(settings, t)) * gradient / (1.0 - nadam_product(settings, t)) +
            nadam_momentum(settings, t + 1) * *m / (1.0 - nadam_product(settings, t + 1))) /
           divisor(settings, t, s);
}

double oracle_step(const char *optimizer, const struct optimizer_settings *settings, int t, double gradient, double *m,
                   double s)
{
    if (strcmp(optimizer, "sgd") == 0)
        return sgd(settings, gradient, m);
    if (strcmp(optimizer, "adamw") == 0)
        return adamw(settings, t, gradient, m, s);
    ck_assert_str_eq(optimizer, "nadamw");
    return nadamw(settings, t, gradient, m, s);
}

void assert_near(const char *what, int n, double actual, double expected)
{
    ck_assert_msg(fabs(actual - expected) <= 1e-12 * (1.0 + fabs(expected)), "%s, %d: %.17g, not %.17g", what, n,
                  actual, expected);
}
