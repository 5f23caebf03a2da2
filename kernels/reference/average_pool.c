/* Global average pooling: each channel's mean over height and width. */
#include <string.h>

#include "kernels/reference/reference.h"

void reference_average_pool_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const int pixels = layer->in.height * layer->in.width;
    const float *restrict pixel = call->inputs[0];
    float *restrict mean = call->output;

    for (int row = 0; row < call->rows; row++, mean += channels) {
        memset(mean, 0, (size_t)channels * sizeof(float));
        for (int i = 0; i < pixels; i++, pixel += channels)
            for (int c = 0; c < channels; c++)
                mean[c] += pixel[c];
        for (int c = 0; c < channels; c++)
            mean[c] /= (float)pixels;
    }
}

void reference_average_pool_backward(const struct layer *layer, const struct backward_call *call)
{
    const int channels = layer->in.channels;
    const int pixels = layer->in.height * layer->in.width;
    const int rows = call->group_start[call->groups];
    const float *restrict gradient = call->output_gradient;
    float *restrict pixel = call->input_gradients[0];

    if (!pixel)
        return;
    if (!call->add_input_gradients[0])
        memset(pixel, 0, (size_t)rows * shape_size(layer->in) * sizeof(float));
    for (int row = 0; row < rows; row++, gradient += channels)
        for (int i = 0; i < pixels; i++, pixel += channels)
            for (int c = 0; c < channels; c++)
                pixel[c] += gradient[c] / (float)pixels;
}
