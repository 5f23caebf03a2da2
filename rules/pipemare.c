/* PipeMare (arXiv 1910.05124). Technique 1: while the run is young, the rate is divided by the staleness: rate / tau^p, p
 * falling from 1 to 0 over K updates. Technique 2: the backward reads what the weights were when its micro-batch went
 * forward, as far as an average d of their differences tells: w - tau d. The average keeps D^(1 / tau) of itself at each
 * update, so that what is tau updates old counts D: with D near exp(-2) its mean age is that of the differences that lie
 * between w and the forward's weights (docs/systems.md). */
#include <math.h>

#include "rules/reading.h"
#include "rules/update_rule.h"

static int terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    if (facts->staleness == 0 || facts->course->updates == 0)
        return 0;
    terms[0] = (struct term){.coefficient = -facts->staleness, .plus = VECTOR_DIFFERENCES};
    return 1;
}

double differences_kept(const struct rule_settings *settings, int staleness)
{
    return staleness > 0 ? pow(settings->discrepancy, 1.0 / staleness) : 0.0;
}

const struct reading reading_pipemare = {
    .name = "pipemare",
    .formula = "w - tau d, d an average of updates",
    .summary = "the newest version, and back along the average update as often as updates came since the forward",
    .source = SOURCE_LIVE,
    .keeps = VECTOR_DIFFERENCES,
    .terms = terms,
};

static void settle(const struct update_facts *facts, struct optimizer_settings *step)
{
    const double young = 1.0 - fmin(1.0, (facts->updates + 1.0) / facts->settings->anneal);

    if (facts->staleness > 1)
        step->rate /= pow(facts->staleness, young);
}

const struct update_rule update_rule_pipemare = {
    .name = "pipemare",
    .formula = "rate / tau^p, p from 1 to 0 over K updates",
    .summary = "the rate divided by the staleness, less and less",
    .settle = settle,
};
