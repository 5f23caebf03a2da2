/* SpecTrain (arXiv 1809.02839): forward and backward of a mini-batch both read what the weights are expected to be when stage
 * 1 ends its backward. With r = 0.. the stage, that is r / 2 updates after the backward and r / 2 + tau after the forward,
 * which is W - r - 1 under 1F1B; each is expected to be the momentum with the newest gradient once more. */
#include "rules/reading.h"

static int predict(const struct reading_facts *facts, int steps, struct term terms[READING_TERMS_MAX])
{
    return steps == 0 || facts->course->updates == 0 ? 0
                                                     : reading_newest_step(facts, -facts->step->rate * steps, terms);
}

static int forward_terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    return predict(facts, (facts->part - 1) / 2 + facts->staleness, terms);
}

static int backward_terms(const struct reading_facts *facts, struct term terms[READING_TERMS_MAX])
{
    return predict(facts, (facts->part - 1) / 2, terms);
}

const struct reading reading_spectrain_forward = {
    .name = "spectrain",
    .formula = "w - rate s step, s = r / 2 + tau",
    .summary = "the newest version, and the newest step as often as updates come until stage 1 ends the mini-batch",
    .source = SOURCE_LIVE,
    .keeps = VECTOR_GRADIENT,
    .terms = forward_terms,
};

const struct reading reading_spectrain_backward = {
    .name = "spectrain",
    .formula = "w - rate s step, s = r / 2",
    .summary = "the same weights as the forward was meant to read, from where the stage is now",
    .source = SOURCE_LIVE,
    .keeps = VECTOR_GRADIENT,
    .terms = backward_terms,
};
