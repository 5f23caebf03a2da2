#include "plan/staleness.h"

#include <math.h>

double staleness_significance(const struct config *config, int staleness)
{
    double decay = config->staleness.decay;

    if (staleness == 0)
        return 1;
    switch ((enum significance)config->staleness.significance) {
    case SIGNIFICANCE_EXPONENTIAL:
        break;
    case SIGNIFICANCE_HYPERBOLIC:
        return 1 / (1 + decay * staleness);
    case SIGNIFICANCE_CONSTANT:
        return decay;
    }
    return exp(-decay * staleness);
}

double staleness_of(const struct config *config, const struct backward_versions *versions)
{
    const int age = versions->live - versions->forward;

    return versions->read < 0 ? staleness_significance(config, age) * age : versions->live - versions->read;
}
