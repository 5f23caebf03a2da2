#include "plan/learning_rate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

void learning_rate_describe(const struct config *config, char text[LEARNING_RATE_TEXT_MAX])
{
    const size_t size = LEARNING_RATE_TEXT_MAX;

    switch ((enum learning_rate_schedule)config->train.lr_schedule) {
    case RATE_CONSTANT:
        snprintf(text, size, "%g, constant", config->train.lr);
        break;
    case RATE_STEP:
        snprintf(text, size, "%g, times %g every %d epochs", config->train.lr, config->train.lr_step_factor,
                 config->train.lr_step_epochs);
        break;
    case RATE_COSINE:
        snprintf(text, size, "%g, falling by a cosine to 0 at the end of epoch %d", config->train.lr,
                 config->run.epochs);
        break;
    }
    if (config->train.warmup_epochs > 0)
        snprintf(text + strlen(text), size - strlen(text), ", after a warm-up of %g epochs",
                 config->train.warmup_epochs);
}
