/* PipeOptim (arXiv 2312.00839): the forward reads what the weights are expected to be when its own gradient comes: as many
 * of the optimizer's newest steps on as updates will come before. Its description counts the staleness tau, its code
 * tau + 1: staleness.further is what it counts beyond tau. */
#include "rules/reading.h"

static int terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    const int steps = facts->staleness + facts->settings->further;

    return steps == 0 || facts->course->updates == 0 ? 0
                                                     : reading_newest_step(facts, -facts->step->rate * steps, terms);
}

const struct reading reading_pipeoptim = {
    .name = "pipeoptim",
    .formula = "w - rate s step, s = tau + further",
    .summary = "the newest version, and the newest step as often as updates will come first",
    .source = SOURCE_LIVE,
    .keeps = VECTOR_GRADIENT,
    .terms = terms,
};
