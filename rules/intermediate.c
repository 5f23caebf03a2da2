/* I-TiMePReSt (arXiv 2509.23241): the backward reads a weight between the stale one of its forward and the newest. The
 * paper makes the stale weight's significance a falling function of its staleness d and leaves the constants open:
 * exp(-decay d), 1 / (1 + decay d), or constant, which is `decay` itself for every d > 0: 1 keeps the stale weight, 0 takes
 * the newest. */
#include <math.h>

#include "rules/reading.h"

double significance_of(const struct rule_settings *settings, int staleness)
{
    if (staleness == 0)
        return 1.0;
    switch (settings->significance) {
    case SIGNIFICANCE_EXPONENTIAL:
        break;
    case SIGNIFICANCE_HYPERBOLIC:
        return 1.0 / (1.0 + settings->decay * staleness);
    case SIGNIFICANCE_CONSTANT:
        return settings->decay;
    }
    return exp(-settings->decay * staleness);
}

static int terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    if (facts->staleness == 0)
        return 0;
    terms[0] = (struct term){
        .coefficient = significance_of(facts->settings, facts->staleness),
        .plus = VECTOR_FORWARD,
        .minus = VECTOR_LIVE,
    };
    return 1;
}

/* The ages of the two versions, 0 and d, weighted as they are read. */
static double staleness_read(const struct rule_settings *settings, int staleness)
{
    return significance_of(settings, staleness) * staleness;
}

const struct reading reading_intermediate = {
    .name = "intermediate",
    .formula = "w + s(d) (w_forward - w)",
    .summary = "between the newest version and the forward's, the closer to the newest the staler that is",
    .source = SOURCE_LIVE,
    .keeps_forward = true,
    .measures = true,
    .terms = terms,
    .staleness = staleness_read,
};
