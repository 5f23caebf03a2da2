/* Prediction by velocity, as FTPipe's MSNAG has it: what the weights become in `tau` updates in which no new gradient comes.
 * With sgd the j-th of them goes by momentum^j times the momentum, so that the way is momentum (1 - momentum^tau) /
 * (1 - momentum) of it, and with Nesterov's form momentum times that; with moments each has a divisor of its own. Squares do
 * not age on the way, and weight decay is left out. */
#include "base/numbers.h"
#include "rules/reading.h"

static int terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    const int steps = min_int(facts->staleness, READING_TERMS_MAX);

    if (facts->course->updates == 0)
        return 0;
    for (int j = 1; j <= steps; j++) {
        terms[j - 1] = facts->optimizer->direction(facts->step, facts->course, j);
        terms[j - 1].coefficient *= -facts->step->rate;
    }
    if (facts->optimizer->kind == UPDATE_MOMENTS || steps == 0)
        return steps;
    for (int j = 2; j <= steps; j++)
        terms[0].coefficient += terms[j - 1].coefficient;
    return 1;
}

const struct reading reading_msnag = {
    .name = "msnag",
    .formula = "w - rate (velocity of the next tau updates)",
    .summary = "the newest version, and where momentum alone would carry it until the update",
    .source = SOURCE_LIVE,
    .needs_momentum = true,
    .terms = terms,
};
