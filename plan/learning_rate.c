#include "plan/learning_rate.h"

#include <math.h>

static double scheduled(const struct config *config, double epoch)
{
    switch ((enum learning_rate_schedule)config->train.lr_schedule) {
    case RATE_CONSTANT:
        break;
    case RATE_STEP:
        return pow(config->train.lr_step_factor, floor(epoch / config->train.lr_step_epochs));
    case RATE_COSINE:
        return 0.5 * (1 + cos(M_PI * fmin(1, epoch / config->run.epochs)));
    }
    return 1;
}

double learning_rate(const struct config *config, int per_epoch, int updates)
{
    double epoch = (double)updates / per_epoch;
    double warmup = config->train.warmup_epochs;
    /* The first update already moves: its rate is one step up the ramp. */
    double ramp = warmup > 0 ? fmin(1, (updates + 1) / (warmup * per_epoch)) : 1;

    return config->train.lr * ramp * scheduled(config, epoch);
}
