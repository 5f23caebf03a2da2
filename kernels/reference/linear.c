/* Linear layer, y = W x + b with W [out][in] and b [out] after it, then ReLU if asked. */
#include <string.h>

#include "kernels/reference/multiply.h"
#include "kernels/reference/reference.h"

void reference_linear_forward(const struct layer *layer, const struct forward_call *call)
{
    const int in = (int)shape_size(layer->in), out = (int)shape_size(layer->out);
    const float *bias = call->weights + (size_t)out * (size_t)in;

    for (int row = 0; row < call->rows; row++) {
        const float *input = call->inputs[0] + (size_t)row * (size_t)in;
        float *output = call->output + (size_t)row * (size_t)out;

        for (int o = 0; o < out; o++) {
            const float sum = bias[o] + multiply_dot(input, call->weights + (size_t)o * (size_t)in, in);

            output[o] = layer->relu && sum < 0.0f ? 0.0f : sum;
        }
    }
}

void reference_linear_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const int in = (int)shape_size(layer->in), out = (int)shape_size(layer->out);
    const int rows = call->group_start[call->groups];

    if (layer->relu)
        reference_relu_backward((size_t)rows * (size_t)out, call->output, call->output_gradient);
    if (!call->input_gradients[0])
        return;
    if (!call->add_input_gradients[0])
        memset(call->input_gradients[0], 0, (size_t)rows * (size_t)in * sizeof(float));
    for (int row = 0; row < rows; row++)
        multiply_add(call->output_gradient + (size_t)row * (size_t)out, out, call->weights, (size_t)in, in,
                     call->input_gradients[0] + (size_t)row * (size_t)in);
}

void reference_linear_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const int in = (int)shape_size(layer->in), out = (int)shape_size(layer->out);
    const int rows = call->group_start[call->groups];
    float *bias_gradient = call->weight_gradient + (size_t)out * (size_t)in;

    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, ((size_t)in + 1) * (size_t)out * sizeof(float));
    for (int row = 0; row < rows; row++) {
        const float *gradient = call->output_gradient + (size_t)row * (size_t)out;

        multiply_outer_add(gradient, out, call->inputs[0] + (size_t)row * (size_t)in, in, call->weight_gradient,
                           (size_t)in);
        for (int o = 0; o < out; o++)
            bias_gradient[o] += gradient[o];
    }
}
