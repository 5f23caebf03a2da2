/* Linear layers as matrix products of the library, which need no preparation and can add to their result. */
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <string.h>

#include "kernels/onednn/layers.h"
#include "kernels/reference/reference.h"

int linear_product(const struct layer *layer, char transpose_a, char transpose_b, dnnl_dim_t m, dnnl_dim_t n,
                   dnnl_dim_t k, const float *a, const float *b, bool add, float *c, struct error *error)
{
    const dnnl_dim_t row_a = transpose_a == 'N' ? k : m, row_b = transpose_b == 'N' ? n : k;
    const dnnl_status_t status =
        dnnl_sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, row_a, b, row_b, add ? 1.0f : 0.0f, c, n);

    if (status != dnnl_success)
        return error_set(error, "%s: oneDNN failed to multiply matrices: %s", layer->name, dnnl_status2str(status));
    return 0;
}

/* Numbers that each output reads. */
static size_t inputs(const struct layer *layer)
{
    return shape_size(layer->in) / (size_t)layer_linear_rows(layer);
}

int linear_forward(const struct layer *layer, const struct forward_call *call, struct error *error)
{
    const size_t in = inputs(layer), out = (size_t)layer->out.channels;
    const int rows = call->rows * layer_linear_rows(layer);
    const size_t count = (size_t)rows * out;
    const float *bias = call->weights + in * out;

    for (int row = 0; layer->bias && row < rows; row++)
        memcpy(call->output + (size_t)row * out, bias, out * sizeof(float));
    if (linear_product(layer, 'N', 'T', rows, (dnnl_dim_t)out, (dnnl_dim_t)in, call->inputs[0], call->weights,
                       layer->bias, call->output, error))
        return -1;
    for (size_t i = 0; layer->relu && i < count; i++)
        call->output[i] = call->output[i] < 0.0f ? 0.0f : call->output[i];
    return 0;
}

int linear_backward_input(const struct layer *layer, const struct backward_call *call, struct error *error)
{
    const size_t in = inputs(layer), out = (size_t)layer->out.channels;
    const int rows = call->group_start[call->groups] * layer_linear_rows(layer);

    if (layer->relu)
        reference_relu_backward((size_t)rows * out, call->output, call->output_gradient);
    if (!call->input_gradients[0])
        return 0;
    return linear_product(layer, 'N', 'N', rows, (dnnl_dim_t)in, (dnnl_dim_t)out, call->output_gradient, call->weights,
                          call->add_input_gradients[0], call->input_gradients[0], error);
}

int linear_backward_weights(const struct layer *layer, const struct backward_call *call, struct error *error)
{
    const size_t in = inputs(layer), out = (size_t)layer->out.channels;
    const int rows = call->group_start[call->groups] * layer_linear_rows(layer);
    float *bias_gradient = call->weight_gradient + in * out;

    if (layer->bias && !call->add_weight_gradient)
        memset(bias_gradient, 0, out * sizeof(float));
    for (int row = 0; layer->bias && row < rows; row++)
        for (size_t o = 0; o < out; o++)
            bias_gradient[o] += call->output_gradient[(size_t)row * out + o];
    return linear_product(layer, 'T', 'N', (dnnl_dim_t)out, (dnnl_dim_t)in, rows, call->output_gradient,
                          call->inputs[0], call->add_weight_gradient, call->weight_gradient, error);
}
