/* Batch norm (Ioffe and Szegedy, ICML 2015) over rows, height and width, then `+ residual`, then ReLU. Per channel,
 * with mean m and biased variance v of the n values x, and x^ = (x - m) / sqrt(v + epsilon):
 *
 *   z = gamma x^ + beta + residual                      y = max(z, 0)
 *   dgamma = sum dz x^        dbeta = sum dz            dz = y > 0 ? dy : 0
 *   dx = gamma / sqrt(v + epsilon) (dz - dbeta / n - x^ dgamma / n)
 *
 * Sums are doubles. */
#include <math.h>
#include <string.h>

#include "kernels/reference/reference.h"

/* Two sums and one factor per channel. */
size_t reference_batch_norm_workspace_bytes(const struct layer *layer)
{
    return (size_t)layer->in.channels * (2 * sizeof(double) + sizeof(float));
}

static float *workspace_scale(const struct layer *layer, void *workspace)
{
    void *after_sums = (double *)workspace + 2 * layer->in.channels;

    return after_sums;
}

static size_t pixel_count(const struct layer *layer, int rows)
{
    return (size_t)rows * (size_t)layer->in.height * (size_t)layer->in.width;
}

static void statistics(size_t pixels, int channels, const float *input, double *sum, float *mean, float *variance)
{
    memset(sum, 0, (size_t)channels * sizeof(double));
    for (size_t i = 0; i < pixels; i++)
        for (int c = 0; c < channels; c++)
            sum[c] += (double)input[i * (size_t)channels + (size_t)c];
    for (int c = 0; c < channels; c++)
        mean[c] = (float)(sum[c] / (double)pixels);

    memset(sum, 0, (size_t)channels * sizeof(double));
    for (size_t i = 0; i < pixels; i++) {
        for (int c = 0; c < channels; c++) {
            const double distance = (double)input[i * (size_t)channels + (size_t)c] - (double)mean[c];

            sum[c] += distance * distance;
        }
    }
    for (int c = 0; c < channels; c++)
        variance[c] = (float)(sum[c] / (double)pixels);
}

/* scale = 1 / sqrt(variance + epsilon) */
static void inverse_deviation(int channels, const float *variance, float *scale)
{
    for (int c = 0; c < channels; c++)
        scale[c] = 1.0f / sqrtf(variance[c] + BATCH_NORM_EPSILON);
}

void reference_batch_norm_update_state(const struct layer *layer, int rows, const float *saved, float *state)
{
    const int channels = layer->in.channels;
    const double pixels = (double)pixel_count(layer, rows);
    const float unbiased = pixels > 1.0 ? (float)(pixels / (pixels - 1.0)) : 1.0f;

    for (int c = 0; c < channels; c++) {
        state[c] += BATCH_NORM_MOMENTUM * (saved[c] - state[c]);
        state[channels + c] += BATCH_NORM_MOMENTUM * (saved[channels + c] * unbiased - state[channels + c]);
    }
}

void reference_batch_norm_forward(const struct layer *layer, const struct forward_call *call)
{
    const int channels = layer->in.channels;
    const size_t pixels = pixel_count(layer, call->rows);
    const float *mean = call->training ? call->saved : call->state;
    const float *gamma = call->weights, *beta = call->weights + channels;
    float *scale = workspace_scale(layer, call->workspace);

    if (pixels == 0)
        return;
    if (call->training) {
        statistics(pixels, channels, call->inputs[0], call->workspace, call->saved, call->saved + channels);
        if (call->state)
            reference_batch_norm_update_state(layer, call->rows, call->saved, call->state);
    }
    inverse_deviation(channels, mean + channels, scale);
    for (size_t i = 0; i < pixels; i++) {
        for (int c = 0; c < channels; c++) {
            const size_t at = i * (size_t)channels + (size_t)c;
            const float normalised = (call->inputs[0][at] - mean[c]) * scale[c];
            const float z = gamma[c] * normalised + beta[c] + (call->inputs[1] ? call->inputs[1][at] : 0.0f);

            call->output[at] = layer->relu && z < 0.0f ? 0.0f : z;
        }
    }
}

static void add_or_copy(size_t count, const float *from, float *to, bool add)
{
    for (size_t i = 0; i < count; i++)
        to[i] = add ? to[i] + from[i] : from[i];
}

/* Sums of dz and dz x^ over one group. */
static void gradient_sums(size_t pixels, int channels, const float *input, const float *gradient, const float *mean,
                          const float *scale, double *sum, double *product_sum)
{
    memset(sum, 0, (size_t)channels * sizeof(double));
    memset(product_sum, 0, (size_t)channels * sizeof(double));
    for (size_t i = 0; i < pixels; i++) {
        for (int c = 0; c < channels; c++) {
            const size_t at = i * (size_t)channels + (size_t)c;
            const float normalised = (input[at] - mean[c]) * scale[c];

            sum[c] += (double)gradient[at];
            product_sum[c] += (double)gradient[at] * (double)normalised;
        }
    }
}

static void input_gradient(size_t pixels, int channels, const float *input, const float *gradient, const float *gamma,
                           const float *mean, const float *scale, const double *sum, const double *product_sum,
                           bool add, float *result)
{
    for (size_t i = 0; i < pixels; i++) {
        for (int c = 0; c < channels; c++) {
            const size_t at = i * (size_t)channels + (size_t)c;
            const float normalised = (input[at] - mean[c]) * scale[c];
            const double centred = (double)gradient[at] - sum[c] / (double)pixels;
            const double value = centred - (double)normalised * product_sum[c] / (double)pixels;

            result[at] = (add ? result[at] : 0.0f) + gamma[c] * scale[c] * (float)value;
        }
    }
}

static void backward_group(const struct layer *layer, const struct backward_call *call, int group)
{
    const int channels = layer->in.channels;
    const int first = call->group_start[group];
    const size_t start = (size_t)first * shape_size(layer->in);
    const size_t pixels = pixel_count(layer, call->group_start[group + 1] - first);
    const float *mean = call->saved + (size_t)group * 2 * (size_t)channels;
    double *sum = call->workspace, *product_sum = sum + channels;
    float *scale = workspace_scale(layer, call->workspace);

    inverse_deviation(channels, mean + channels, scale);
    gradient_sums(pixels, channels, call->inputs[0] + start, call->output_gradient + start, mean, scale, sum,
                  product_sum);
    for (int c = 0; c < channels; c++) {
        call->weight_gradient[c] += (float)product_sum[c];
        call->weight_gradient[channels + c] += (float)sum[c];
    }
    if (call->input_gradients[0])
        input_gradient(pixels, channels, call->inputs[0] + start, call->output_gradient + start, call->weights, mean,
                       scale, sum, product_sum, call->add_input_gradients[0], call->input_gradients[0] + start);
}

void reference_batch_norm_backward(const struct layer *layer, const struct backward_call *call)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(layer->in);

    if (layer->relu)
        reference_relu_backward(count, call->output, call->output_gradient);
    if (call->input_gradients[1])
        add_or_copy(count, call->output_gradient, call->input_gradients[1], call->add_input_gradients[1]);
    if (!call->add_weight_gradient)
        memset(call->weight_gradient, 0, 2 * (size_t)layer->in.channels * sizeof(float));
    for (int group = 0; group < call->groups; group++)
        if (call->group_start[group] < call->group_start[group + 1])
            backward_group(layer, call, group);
}
