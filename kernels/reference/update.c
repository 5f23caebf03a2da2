/* Element by element: the optimiser's step, I-TiMePReSt's blend of two weight versions, ReLU's backward. */
#include <string.h>

#include "kernels/reference/reference.h"

enum { BLOCK = 1024 };

/* The step's direction, from the gradient and the momentum, into `direction`. */
static void sgd_direction(const struct sgd *sgd, size_t count, const float *restrict weights,
                          const float *restrict gradient, float *restrict momentum_buffer, float *restrict direction)
{
    for (size_t i = 0; i < count; i++)
        direction[i] = gradient[i] + sgd->weight_decay * weights[i];
    if (!momentum_buffer)
        return;
    for (size_t i = 0; i < count; i++)
        momentum_buffer[i] = sgd->momentum * momentum_buffer[i] + direction[i];
    if (!sgd->nesterov)
        memcpy(direction, momentum_buffer, count * sizeof(float));
    for (size_t i = 0; sgd->nesterov && i < count; i++)
        direction[i] += sgd->momentum * momentum_buffer[i];
}

/* In blocks that stay in the first-level cache, through a buffer of its own: old and new weights may be one array, and
 * loops over arrays that may overlap do not vectorise. */
int reference_sgd_update(struct engine *engine, const struct sgd *sgd, size_t count, const float *weights,
                         const float *gradient, float *momentum_buffer, float *new_weights, struct error *error)
{
    float step[BLOCK];

    (void)engine;
    if (sgd->momentum != 0.0f && !momentum_buffer)
        return error_set(error, "momentum %g needs a momentum buffer", (double)sgd->momentum);
    for (size_t start = 0; start < count; start += BLOCK) {
        const size_t block = count - start < BLOCK ? count - start : BLOCK;

        sgd_direction(sgd, block, weights + start, gradient + start,
                      sgd->momentum != 0.0f ? momentum_buffer + start : NULL, step);
        for (size_t i = 0; i < block; i++)
            step[i] = weights[start + i] - sgd->rate * step[i];
        memcpy(new_weights + start, step, block * sizeof(float));
    }
    return 0;
}

int reference_blend(struct engine *engine, size_t count, const float *live, const float *stale, float significance,
                    float *blended, struct error *error)
{
    (void)engine, (void)error;
    for (size_t i = 0; i < count; i++)
        blended[i] = live[i] + significance * (stale[i] - live[i]);
    return 0;
}

void reference_relu_backward(size_t count, const float *output, float *gradient)
{
    for (size_t i = 0; i < count; i++)
        gradient[i] = output[i] > 0.0f ? gradient[i] : 0.0f;
}
