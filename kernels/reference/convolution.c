/* Convolution from its definition. With C channels in, K out, an R x R filter, and a zero border of `padding` pixels,
 *
 *   y[n][p][q][k] = sum over r, s, c of x[n][p * stride + r - padding][q * stride + s - padding][c] * w[k][r][s][c]
 *
 * A tap is one (r, s). All three directions walk the taps of each output pixel that fall inside the image; what they do
 * there is a product of a vector with the tap's C x K matrix. */
#include <string.h>

#include "base/numbers.h"
#include "kernels/reference/multiply.h"
#include "kernels/reference/reference.h"

/* Of a bias, at a time. */
enum { CHANNELS = 64 };

/* The taps of one output pixel inside the image: rows first_r .. end_r - 1, columns first_s .. end_s - 1. Tap (r, s)
 * meets input pixel (top + r, left + s). */
struct window {
    int top, left;
    int first_r, end_r;
    int first_s, end_s;
};

static struct window window_at(const struct layer *layer, int p, int q)
{
    const int top = p * layer->stride - layer->padding;
    const int left = q * layer->stride - layer->padding;

    return (struct window){
        .top = top,
        .left = left,
        .first_r = top < 0 ? -top : 0,
        .end_r = top + layer->kernel > layer->in.height ? layer->in.height - top : layer->kernel,
        .first_s = left < 0 ? -left : 0,
        .end_s = left + layer->kernel > layer->in.width ? layer->in.width - left : layer->kernel,
    };
}

static size_t tap_count(const struct layer *layer)
{
    return (size_t)layer->kernel * (size_t)layer->kernel;
}

static size_t weight_count(const struct layer *layer)
{
    return (size_t)layer->out.channels * tap_count(layer) * (size_t)layer->in.channels;
}

/* Where tap (r, s) starts in a filter [R][R][C], in taps. */
static size_t tap_index(const struct layer *layer, int r, int s)
{
    return (size_t)r * (size_t)layer->kernel + (size_t)s;
}

/* Where the input pixel under tap (r, s) starts in an image [H][W][C]. */
static size_t pixel_offset(const struct layer *layer, const struct window *window, int r, int s)
{
    return ((size_t)(window->top + r) * (size_t)layer->in.width + (size_t)(window->left + s)) *
           (size_t)layer->in.channels;
}

/* Room for the transposed filters, or for one sample's weight gradient. */
size_t reference_convolution_workspace_bytes(const struct layer *layer)
{
    return weight_count(layer) * sizeof(float);
}

/* [K][R][R][C] -> [R][R][C][K], so that the forward's inner loop runs over output channels. */
static void transpose_filters(const struct layer *layer, const float *filters, float *transposed)
{
    const size_t in = (size_t)layer->in.channels * tap_count(layer);
    const size_t out = (size_t)layer->out.channels;

    for (size_t k = 0; k < out; k++)
        for (size_t i = 0; i < in; i++)
            transposed[i * out + k] = filters[k * in + i];
}

static void forward_pixel(const struct layer *layer, const struct window *window, const float *image,
                          const float *transposed, float *output)
{
    const int in = layer->in.channels, out = layer->out.channels;

    memset(output, 0, (size_t)out * sizeof(float));
    for (int r = window->first_r; r < window->end_r; r++)
        for (int s = window->first_s; s < window->end_s; s++)
            multiply_add(image + pixel_offset(layer, window, r, s), in,
                         transposed + tap_index(layer, r, s) * (size_t)in * (size_t)out, (size_t)out, out, output);
}

void reference_bias_forward(const struct layer *layer, int rows, const float *weights, float *output)
{
    const size_t pixels = (size_t)rows * (size_t)layer->out.height * (size_t)layer->out.width;
    const size_t channels = (size_t)layer->out.channels;
    const float *bias = weights + weight_count(layer);

    if (!layer->bias && !layer->relu)
        return;
    for (size_t i = 0; i < pixels; i++, output += channels)
        for (size_t c = 0; c < channels; c++) {
            const float sum = layer->bias ? output[c] + bias[c] : output[c];

            output[c] = layer->relu && sum < 0.0f ? 0.0f : sum;
        }
}

/* Each sample is summed by itself first: a long sum of floats made of short ones loses less. */
static void add_bias_gradient(size_t pixels, size_t channels, size_t count, const float *gradient, float *bias_gradient)
{
    float sums[CHANNELS] = {0.0f};

    for (size_t i = 0; i < pixels; i++, gradient += channels)
        for (size_t c = 0; c < count; c++)
            sums[c] += gradient[c];
    for (size_t c = 0; c < count; c++)
        bias_gradient[c] += sums[c];
}

void reference_bias_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t channels = (size_t)layer->out.channels, rows = (size_t)call->group_start[call->groups];
    const size_t pixels = (size_t)layer->out.height * (size_t)layer->out.width;
    float *bias_gradient = call->weight_gradient + weight_count(layer);

    if (!layer->bias)
        return;
    if (!call->add_weight_gradient)
        memset(bias_gradient, 0, channels * sizeof(float));
    for (size_t row = 0; row < rows; row++)
        for (size_t c = 0; c < channels; c += CHANNELS)
            add_bias_gradient(pixels, channels, min_size(channels - c, CHANNELS),
                              call->output_gradient + row * pixels * channels + c, bias_gradient + c);
}

void reference_convolution_forward(const struct layer *layer, const struct forward_call *call)
{
    float *transposed = call->workspace;
    float *output = call->output;

    transpose_filters(layer, call->weights, transposed);
    for (int row = 0; row < call->rows; row++) {
        const float *image = call->inputs[0] + (size_t)row * shape_size(layer->in);

        for (int p = 0; p < layer->out.height; p++) {
            for (int q = 0; q < layer->out.width; q++, output += layer->out.channels) {
                const struct window window = window_at(layer, p, q);

                forward_pixel(layer, &window, image, transposed, output);
            }
        }
    }
    reference_bias_forward(layer, call->rows, call->weights, call->output);
}

static void backward_input_pixel(const struct layer *layer, const struct window *window, const float *gradient,
                                 const float *filters, float *image_gradient)
{
    const int in = layer->in.channels, out = layer->out.channels;
    const size_t filter_size = tap_count(layer) * (size_t)in;

    for (int r = window->first_r; r < window->end_r; r++)
        for (int s = window->first_s; s < window->end_s; s++)
            multiply_add(gradient, out, filters + tap_index(layer, r, s) * (size_t)in, filter_size, in,
                         image_gradient + pixel_offset(layer, window, r, s));
}

void reference_convolution_backward_input(const struct layer *layer, const struct backward_call *call)
{
    const int rows = call->group_start[call->groups];
    const float *gradient = call->output_gradient;

    if (layer->relu)
        reference_relu_backward((size_t)rows * shape_size(layer->out), call->output, call->output_gradient);
    if (!call->input_gradients[0])
        return;
    if (!call->add_input_gradients[0])
        memset(call->input_gradients[0], 0, (size_t)rows * shape_size(layer->in) * sizeof(float));
    for (int row = 0; row < rows; row++) {
        float *image_gradient = call->input_gradients[0] + (size_t)row * shape_size(layer->in);

        for (int p = 0; p < layer->out.height; p++) {
            for (int q = 0; q < layer->out.width; q++, gradient += layer->out.channels) {
                const struct window window = window_at(layer, p, q);

                backward_input_pixel(layer, &window, gradient, call->weights, image_gradient);
            }
        }
    }
}

static void backward_weights_pixel(const struct layer *layer, const struct window *window, const float *gradient,
                                   const float *image, float *filter_gradient)
{
    const int in = layer->in.channels, out = layer->out.channels;
    const size_t filter_size = tap_count(layer) * (size_t)in;

    for (int r = window->first_r; r < window->end_r; r++)
        for (int s = window->first_s; s < window->end_s; s++)
            multiply_outer_add(gradient, out, image + pixel_offset(layer, window, r, s), in,
                               filter_gradient + tap_index(layer, r, s) * (size_t)in, filter_size);
}

void reference_convolution_backward_weights(const struct layer *layer, const struct backward_call *call)
{
    const int rows = call->group_start[call->groups];
    const size_t weights = weight_count(layer);
    const float *gradient = call->output_gradient;
    float *sample_gradient = call->workspace;

    reference_bias_backward(layer, call);
    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, weights * sizeof(float));
    /* Sample by sample, as the bias's. */
    for (int row = 0; row < rows; row++) {
        const float *image = call->inputs[0] + (size_t)row * shape_size(layer->in);

        memset(sample_gradient, 0, weights * sizeof(float));
        for (int p = 0; p < layer->out.height; p++) {
            for (int q = 0; q < layer->out.width; q++, gradient += layer->out.channels) {
                const struct window window = window_at(layer, p, q);

                backward_weights_pixel(layer, &window, gradient, image, sample_gradient);
            }
        }
        for (size_t i = 0; i < weights; i++)
            call->weight_gradient[i] += sample_gradient[i];
    }
}
