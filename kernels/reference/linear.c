/* Linear layer, y = W x + b with W [out][in] and, if it has one, b [out] after it, then ReLU if asked. */
#include <string.h>

#include "kernels/reference/multiply.h"
#include "kernels/reference/reference.h"

/* The product that a call is. */
struct product {
    int rows, in, out;
};

static struct product product_of(const struct layer *layer, int samples)
{
    const int rows = layer_linear_rows(layer);

    return (struct product){
        .rows = rows * samples, .in = (int)shape_size(layer->in) / rows, .out = layer->out.channels};
}

void reference_linear_forward(const struct layer *layer, const struct forward_call *call)
{
    const struct product of = product_of(layer, call->rows);
    const float *bias = layer->bias ? call->weights + (size_t)of.out * (size_t)of.in : NULL;

    for (int row = 0; row < of.rows; row++) {
        const float *input = call->inputs[0] + (size_t)row * (size_t)of.in;
        float *output = call->output + (size_t)row * (size_t)of.out;

        for (int o = 0; o < of.out; o++) {
            const float product = multiply_dot(input, call->weights + (size_t)o * (size_t)of.in, of.in);
            const float sum = bias ? bias[o] + product : product;

            output[o] = layer->relu && sum < 0.0f ? 0.0f : sum;
        }
    }
}

void reference_linear_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const struct product of = product_of(layer, call->group_start[call->groups]);

    if (layer->relu)
        reference_relu_backward((size_t)of.rows * (size_t)of.out, call->output, call->output_gradient);
    if (!call->input_gradients[0])
        return;
    if (!call->add_input_gradients[0])
        memset(call->input_gradients[0], 0, (size_t)of.rows * (size_t)of.in * sizeof(float));
    for (int row = 0; row < of.rows; row++)
        multiply_add(call->output_gradient + (size_t)row * (size_t)of.out, of.out, call->weights, (size_t)of.in, of.in,
                     call->input_gradients[0] + (size_t)row * (size_t)of.in);
}

void reference_linear_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const struct product of = product_of(layer, call->group_start[call->groups]);
    float *bias_gradient = call->weight_gradient + (size_t)of.out * (size_t)of.in;

    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, layer->parameters * sizeof(float));
    for (int row = 0; row < of.rows; row++) {
        const float *gradient = call->output_gradient + (size_t)row * (size_t)of.out;

        multiply_outer_add(gradient, of.out, call->inputs[0] + (size_t)row * (size_t)of.in, of.in,
                           call->weight_gradient, (size_t)of.in);
        for (int o = 0; layer->bias && o < of.out; o++)
            bias_gradient[o] += gradient[o];
    }
}
