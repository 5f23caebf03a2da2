/* The tables of reading rules, and the rows that read a version as it is. */
#include "rules/reading.h"

#include <stddef.h>

static const struct reading live = {
    .name = "live",
    .formula = "w",
    .summary = "the stage's newest version",
    .source = SOURCE_LIVE,
};
static const struct reading pinned = {
    .name = "pinned",
    .formula = "w of stage 1's version at entry",
    .summary = "the version that stage 1 had when the micro-batch entered, on every stage",
    .source = SOURCE_PINNED,
};
static const struct reading double_buffered = {
    .name = "double-buffered",
    .formula = "w of the update before last",
    .summary = "what the updates up to the mini-batch before last have made, on every stage",
    .source = SOURCE_DOUBLE_BUFFERED,
};
static const struct reading forward = {
    .name = "forward",
    .formula = "w_forward",
    .summary = "the version that the micro-batch's forward read at the stage",
    .source = SOURCE_FORWARD,
    .keeps_forward = true,
};
static const struct reading committed = {
    .name = "committed",
    .formula = "w of the newest version that all stages have",
    .summary = "the newest version that every stage had when the backward began at the last",
    .source = SOURCE_COMMITTED,
};

enum vector reading_keeps(const struct reading *reading, const struct optimizer *optimizer)
{
    return reading->keeps == VECTOR_GRADIENT && optimizer->kind == UPDATE_MOMENTS ? VECTOR_NONE : reading->keeps;
}

int reading_newest_step(const struct reading_facts *facts, double factor, struct term terms[])
{
    const bool moments = facts->optimizer->kind == UPDATE_MOMENTS;
    int count = 0;

    if (optimizer_slot_count(facts->optimizer, facts->step) > 0) {
        terms[count] = facts->optimizer->direction(facts->step, facts->course, moments ? 0 : 1);
        terms[count++].coefficient *= factor;
    }
    if (!moments)
        terms[count++] = (struct term){
            .coefficient = factor * (facts->step->nesterov ? 1.0 + facts->step->momentum : 1.0),
            .plus = VECTOR_GRADIENT,
        };
    return count;
}

const struct reading *forward_reading(enum forward_rule rule)
{
    static const struct reading *const rows[FORWARD_RULES] = {
        [FORWARD_LIVE] = &live,
        [FORWARD_PINNED] = &pinned,
        [FORWARD_DOUBLE_BUFFERED] = &double_buffered,
        [FORWARD_SPECTRAIN] = &reading_spectrain_forward,
        [FORWARD_PIPEOPTIM] = &reading_pipeoptim,
        [FORWARD_MSNAG] = &reading_msnag,
        [FORWARD_LINEAR] = &reading_linear,
    };
    return rows[rule];
}

const struct reading *backward_reading(enum backward_rule rule)
{
    static const struct reading *const rows[BACKWARD_RULES] = {
        [BACKWARD_LIVE] = &live,
        [BACKWARD_FORWARD] = &forward,
        [BACKWARD_COMMITTED] = &committed,
        [BACKWARD_INTERMEDIATE] = &reading_intermediate,
        [BACKWARD_SPECTRAIN] = &reading_spectrain_backward,
        [BACKWARD_PIPEMARE] = &reading_pipemare,
    };
    return rows[rule];
}

const char *forward_rule_name(enum forward_rule rule)
{
    return forward_reading(rule)->name;
}

const char *backward_rule_name(enum backward_rule rule)
{
    return backward_reading(rule)->name;
}
