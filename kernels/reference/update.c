/* Element by element: the optimizer's step, the correction of a gradient, what a pass reads in place of a version, ReLU's
 * backward. In blocks that stay in the first-level cache, through a buffer of their own: old and new weights may be one
 * array, and loops over arrays that may overlap do not vectorise. */
#include <string.h>

#include "base/numbers.h"
#include "kernels/elements.h"
#include "kernels/reference/reference.h"

enum { BLOCK = 1024 };

/* new_weights[count] from the call's vectors, each from `start` on. */
static void step(const struct update *update, const struct update_call *call, size_t start, size_t count,
                 float *restrict new_weights)
{
    const float *restrict weights = call->weights + start, *restrict gradient = call->gradient + start;
    float *restrict first = call->slots[0] ? call->slots[0] + start : NULL;
    float *restrict second = call->slots[1] ? call->slots[1] + start : NULL;

    switch (update->kind) {
    case UPDATE_GRADIENT:
        for (size_t i = 0; i < count; i++)
            new_weights[i] = update_gradient(update, weights[i], gradient[i]);
        break;
    case UPDATE_MOMENTUM:
        for (size_t i = 0; i < count; i++)
            new_weights[i] = update_momentum(update, weights[i], gradient[i], &first[i]);
        break;
    case UPDATE_MOMENTS:
        for (size_t i = 0; i < count; i++)
            new_weights[i] = update_moments(update, weights[i], gradient[i], &first[i], &second[i]);
        break;
    case UPDATE_KINDS:
        break;
    }
}

static void average_differences(float keep, size_t count, const float *restrict from, const float *restrict to,
                                float *restrict average)
{
    for (size_t i = 0; i < count; i++)
        average[i] = keep * average[i] + (1.0f - keep) * (to[i] - from[i]);
}

int reference_update(struct engine *engine, const struct update *update, const struct update_call *call,
                     struct error *error)
{
    float new_weights[BLOCK];

    (void)engine;
    if (update_check(update, call, error))
        return -1;
    for (size_t start = 0; start < call->count; start += BLOCK) {
        const size_t count = min_size(call->count - start, BLOCK);

        step(update, call, start, count, new_weights);
        if (call->differences)
            average_differences(call->keep_differences, count, call->weights + start, new_weights,
                                call->differences + start);
        memcpy(call->new_weights + start, new_weights, count * sizeof(float));
    }
    return 0;
}

int reference_correct(struct engine *engine, const struct correction *correction, const struct correction_call *call,
                      struct error *error)
{
    const float *restrict live = call->live, *restrict forward = call->forward, *restrict momentum = call->momentum;
    float *restrict gradient = call->gradient, *restrict average = call->average;

    (void)engine, (void)error;
    switch (correction->kind) {
    case CORRECTION_TAYLOR:
        for (size_t i = 0; i < call->count; i++)
            gradient[i] = correct_taylor(correction, gradient[i], live[i], forward[i]);
        break;
    case CORRECTION_GAP:
        for (size_t i = 0; i < call->count; i++)
            gradient[i] = correct_gap(correction, gradient[i], live[i], forward[i], momentum[i], &average[i]);
        break;
    case CORRECTION_KINDS:
        break;
    }
    return 0;
}

/* Adds the term to sum[count]; its vectors from `start` on. */
static void add_term(const struct combine_term *term, size_t start, size_t count, float *restrict sum)
{
    const float *plus = term->plus + start;

    if (term->square) {
        const float *square = term->square + start;

        for (size_t i = 0; i < count; i++)
            sum[i] += term->coefficient * (plus[i] / combine_divisor(square[i], term->root, term->epsilon));
    } else if (term->minus) {
        const float *minus = term->minus + start;

        for (size_t i = 0; i < count; i++)
            sum[i] += term->coefficient * (plus[i] - minus[i]);
    } else {
        for (size_t i = 0; i < count; i++)
            sum[i] += term->coefficient * plus[i];
    }
}

int reference_combine(struct engine *engine, size_t count, const float *base, const struct combine_term *terms,
                      int term_count, float *combined, struct error *error)
{
    (void)engine, (void)error;
    for (size_t start = 0; start < count; start += BLOCK) {
        const size_t block = min_size(count - start, BLOCK);

        memcpy(combined + start, base + start, block * sizeof(float));
        for (int k = 0; k < term_count; k++)
            add_term(&terms[k], start, block, combined + start);
    }
    return 0;
}

/* Eight sums side by side: the order of additions depends on the count alone, and they vectorise. */
int reference_sum_of_squares(struct engine *engine, size_t count, const float *vector, double *sum, struct error *error)
{
    double sums[8] = {0.0};
    size_t i = 0;

    (void)engine, (void)error;
    for (; i + 8 <= count; i += 8)
        for (size_t k = 0; k < 8; k++)
            sums[k] += (double)vector[i + k] * (double)vector[i + k];
    for (; i < count; i++)
        sums[i % 8] += (double)vector[i] * (double)vector[i];
    for (int k = 0; k < 8; k++)
        *sum += sums[k];
    return 0;
}

void reference_relu_backward(size_t count, const float *output, float *gradient)
{
    for (size_t i = 0; i < count; i++)
        gradient[i] = output[i] > 0.0f ? gradient[i] : 0.0f;
}
