/* Embedding: output = the token's row of the table [vocabulary][units]. A token that the table does not have gives NaN, which
 * ends a run with this layer's name. The gradient of a row is the sum over its tokens, in their order. */
#include <math.h>
#include <string.h>

#include "kernels/reference/reference.h"

/* Tokens lie where other layers have floats. */
static const int32_t *tokens_of(const float *input)
{
    return (const void *)input;
}

void reference_embedding_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->in), units = (size_t)layer->units;
    const int32_t *tokens = tokens_of(call->inputs[0]);

    for (size_t i = 0; i < count; i++) {
        float *output = call->output + i * units;

        if (tokens[i] >= 0 && tokens[i] < layer->vocabulary)
            memcpy(output, call->weights + (size_t)tokens[i] * units, units * sizeof(float));
        else
            for (size_t u = 0; u < units; u++)
                output[u] = NAN;
    }
}

void reference_embedding_backward_input(const struct layer *layer, const struct backward_call *call)
{
    (void)layer, (void)call;
}

void reference_embedding_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->in), units = (size_t)layer->units;
    const int32_t *tokens = tokens_of(call->inputs[0]);

    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, layer->parameters * sizeof(float));
    for (size_t i = 0; i < count; i++)
        for (size_t u = 0; u < units && tokens[i] >= 0 && tokens[i] < layer->vocabulary; u++)
            call->weight_gradient[(size_t)tokens[i] * units + u] += call->output_gradient[i * units + u];
}
