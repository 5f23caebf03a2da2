/* The sum of two tensors, then ReLU if asked; and ReLU by itself. */
#include <string.h>

#include "kernels/reference/reference.h"

void reference_add_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->out);

    for (size_t i = 0; i < count; i++) {
        const float sum = call->inputs[0][i] + call->inputs[1][i];

        call->output[i] = layer->relu && sum < 0.0f ? 0.0f : sum;
    }
}

static void hand_on(size_t count, const float *from, float *to, bool add)
{
    if (!to || (to == from && !add))
        return;
    for (size_t i = 0; i < count; i++)
        to[i] = add ? to[i] + from[i] : from[i];
}

void reference_add_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->out);

    if (layer->relu)
        reference_relu_backward(count, call->output, call->output_gradient);
    hand_on(count, call->output_gradient, call->input_gradients[1], call->add_input_gradients[1]);
    hand_on(count, call->output_gradient, call->input_gradients[0], call->add_input_gradients[0]);
}

void reference_relu_layer_forward(const struct layer *layer, const struct forward_call *call)
{
    const size_t count = (size_t)call->rows * shape_size(layer->out);

    for (size_t i = 0; i < count; i++)
        call->output[i] = call->inputs[0][i] < 0.0f ? 0.0f : call->inputs[0][i];
}

void reference_relu_layer_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->out);

    reference_relu_backward(count, call->output, call->output_gradient);
    hand_on(count, call->output_gradient, call->input_gradients[0], call->add_input_gradients[0]);
}
