/* Max pooling: each channel's largest value in a window; the gradient goes to the first place that has it, by rows. */
#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "kernels/reference/reference.h"

/* Channels at a time. */
enum { CHANNELS = 64 };

/* The part of an output pixel's window that is inside the image. */
struct window {
    int first_y, end_y, first_x, end_x;
};

static struct window window_at(const struct layer *layer, int p, int q)
{
    const int top = p * layer->stride - layer->padding, left = q * layer->stride - layer->padding;

    return (struct window){
        .first_y = max_int(top, 0),
        .end_y = min_int(top + layer->kernel, layer->in.height),
        .first_x = max_int(left, 0),
        .end_x = min_int(left + layer->kernel, layer->in.width),
    };
}

static size_t pixel_at(const struct layer *layer, int y, int x)
{
    return ((size_t)y * (size_t)layer->in.width + (size_t)x) * (size_t)layer->in.channels;
}

static void largest(const struct layer *layer, const struct window *window, const float *image, float *output)
{
    const int channels = layer->in.channels;

    for (int c = 0; c < channels; c++)
        output[c] = -INFINITY;
    for (int y = window->first_y; y < window->end_y; y++)
        for (int x = window->first_x; x < window->end_x; x++) {
            const float *restrict pixel = image + pixel_at(layer, y, x);

            /* What is no number counts as the largest. */
            for (int c = 0; c < channels; c++)
                output[c] = pixel[c] <= output[c] ? output[c] : pixel[c];
        }
}

void reference_max_pool_forward(const struct layer *layer, const struct forward_call *call)
{
    float *output = call->output;

    for (int row = 0; row < call->rows; row++)
        for (int p = 0; p < layer->out.height; p++)
            for (int q = 0; q < layer->out.width; q++, output += layer->out.channels) {
                const struct window window = window_at(layer, p, q);

                largest(layer, &window, call->inputs[0] + (size_t)row * shape_size(layer->in), output);
            }
}

/* Of `count` channels; image and gradients begin at the first of them. */
static void give_back(const struct layer *layer, const struct window *window, int count, const float *image,
                      const float *output, const float *gradient, float *image_gradient)
{
    float left[CHANNELS];

    memcpy(left, gradient, (size_t)count * sizeof(float));
    for (int y = window->first_y; y < window->end_y; y++)
        for (int x = window->first_x; x < window->end_x; x++) {
            const float *restrict pixel = image + pixel_at(layer, y, x);
            float *restrict to = image_gradient + pixel_at(layer, y, x);

            for (int c = 0; c < count; c++) {
                const float given = pixel[c] == output[c] ? left[c] : 0.0f;

                to[c] += given;
                left[c] = pixel[c] == output[c] ? 0.0f : left[c];
            }
        }
}

void reference_max_pool_backward(const struct layer *layer, const struct backward_call *call)
{
    const int rows = call->group_start[call->groups], channels = layer->in.channels;
    const float *gradient = call->output_gradient, *output = call->output;

    if (!call->input_gradients[0])
        return;
    if (!call->add_input_gradients[0])
        memset(call->input_gradients[0], 0, (size_t)rows * shape_size(layer->in) * sizeof(float));
    for (int row = 0; row < rows; row++)
        for (int p = 0; p < layer->out.height; p++)
            for (int q = 0; q < layer->out.width; q++, gradient += channels, output += channels) {
                const size_t start = (size_t)row * shape_size(layer->in);
                const struct window window = window_at(layer, p, q);

                for (int c = 0; c < channels; c += CHANNELS)
                    give_back(layer, &window, min_int(channels - c, CHANNELS), call->inputs[0] + start + (size_t)c,
                              output + c, gradient + c, call->input_gradients[0] + start + (size_t)c);
            }
}
