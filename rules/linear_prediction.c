/* Linear weight prediction (arXiv 2003.11666, in its velocity form): the weights go on for `tau` updates as the newest one
 * has moved them by way of the momentum, without slowing down. */
#include "rules/reading.h"

static int terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    if (facts->staleness == 0 || facts->course->updates == 0)
        return 0;
    terms[0] = facts->optimizer->direction(facts->step, facts->course, 0);
    terms[0].coefficient *= -facts->step->rate * facts->staleness;
    return 1;
}

const struct reading reading_linear = {
    .name = "linear",
    .formula = "w - rate tau velocity",
    .summary = "the newest version, and the momentum's newest step as often as updates will come first",
    .source = SOURCE_LIVE,
    .needs_momentum = true,
    .terms = terms,
};
