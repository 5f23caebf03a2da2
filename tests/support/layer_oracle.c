#include "tests/support/layer_oracle.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/random.h"
#include "tests/support/sequence_oracle.h"

static size_t rows_of(const struct layer_oracle *oracle)
{
    return (size_t)oracle->group_start[oracle->groups];
}

/* A linear layer is a convolution of a 1 x 1 image that has all its input as channels, or by 1 x 1 of each position. */
static struct layer as_convolution(const struct layer *layer)
{
    struct layer convolution = *layer;

    if (layer->kind == LAYER_LINEAR) {
        if (!layer->per_position)
            convolution.in = (struct shape){1, 1, (int)shape_size(layer->in)};
        convolution.kernel = convolution.stride = 1;
        convolution.padding = 0;
    }
    return convolution;
}

/* One multiply-add: output[out] += input[in] * weights[weight], and the same term's share of both gradients. */
struct term {
    size_t out, in, weight;
};

typedef void visit(const struct layer_oracle *oracle, const struct term *term);

static void forward_term(const struct layer_oracle *oracle, const struct term *term)
{
    oracle->linear_output[term->out] += oracle->inputs[0][term->in] * oracle->forward_weights[term->weight];
}

static void backward_term(const struct layer_oracle *oracle, const struct term *term)
{
    const double gradient = oracle->masked_gradient[term->out];

    oracle->input_gradients[0][term->in] += gradient * oracle->backward_weights[term->weight];
    oracle->weight_gradient[term->weight] += gradient * oracle->inputs[0][term->in];
}

/* The terms of output pixel (p, q) of a row: all that fall inside the image. */
static inline void visit_pixel(const struct layer_oracle *oracle, const struct layer *layer, size_t row, int p, int q,
                               visit *function)
{
    const struct shape in = layer->in, out = layer->out;
    const int taps = layer->kernel * layer->kernel;

    for (int tap = 0; tap < taps; tap++) {
        const int h = p * layer->stride - layer->padding + tap / layer->kernel;
        const int w = q * layer->stride - layer->padding + tap % layer->kernel;

        if (h < 0 || h >= in.height || w < 0 || w >= in.width)
            continue;
        for (int k = 0; k < out.channels; k++) {
            for (int c = 0; c < in.channels; c++) {
                const struct term term = {
                    row * shape_size(out) + (size_t)((p * out.width + q) * out.channels + k),
                    row * shape_size(in) + (size_t)((h * in.width + w) * in.channels + c),
                    (size_t)((k * taps + tap) * in.channels + c),
                };

                function(oracle, &term);
            }
        }
    }
}

static inline void visit_terms(const struct layer_oracle *oracle, visit *function)
{
    const struct layer layer = as_convolution(oracle->layer);

    for (size_t row = 0; row < rows_of(oracle); row++)
        for (int p = 0; p < layer.out.height; p++)
            for (int q = 0; q < layer.out.width; q++)
                visit_pixel(oracle, &layer, row, p, q, function);
}

/* Behind the filters: of output i's channel. */
static size_t bias_of(const struct layer *layer, size_t i)
{
    return layer->parameters - (size_t)layer->out.channels + i % (size_t)layer->out.channels;
}

static void product_forward(const struct layer_oracle *oracle)
{
    const struct layer *layer = oracle->layer;
    const size_t outputs = rows_of(oracle) * shape_size(layer->out);

    for (size_t i = 0; i < outputs; i++)
        oracle->linear_output[i] = layer->bias ? oracle->forward_weights[bias_of(layer, i)] : 0.0;
    visit_terms(oracle, forward_term);
}

static void product_backward(const struct layer_oracle *oracle)
{
    const struct layer *layer = oracle->layer;
    const size_t outputs = rows_of(oracle) * shape_size(layer->out);

    visit_terms(oracle, backward_term);
    for (size_t i = 0; layer->bias && i < outputs; i++)
        oracle->weight_gradient[bias_of(layer, i)] += oracle->masked_gradient[i];
}

static double inverse_deviation(double variance)
{
    return 1.0 / sqrt(variance + (double)BATCH_NORM_EPSILON);
}

/* The values of a group, channel by channel: first, first + C, ... before end. */
struct group {
    size_t first, end;
    double *mean, *variance;
};

static struct group group_of(const struct layer_oracle *oracle, int index, int channel)
{
    const size_t image = shape_size(oracle->layer->in), channels = (size_t)oracle->layer->in.channels;
    double *mean = oracle->saved + (size_t)index * 2 * channels + (size_t)channel;

    return (struct group){(size_t)oracle->group_start[index] * image + (size_t)channel,
                          (size_t)oracle->group_start[index + 1] * image, mean, mean + channels};
}

static void batch_norm_forward(const struct layer_oracle *oracle, int index, int channel)
{
    const int channels = oracle->layer->in.channels;
    const struct group group = group_of(oracle, index, channel);
    const double gamma = oracle->forward_weights[channel], beta = oracle->forward_weights[channels + channel];
    double count = 0.0, sum = 0.0, squares = 0.0;

    for (size_t i = group.first; i < group.end; i += (size_t)channels, count++)
        sum += oracle->inputs[0][i];
    *group.mean = count > 0.0 ? sum / count : 0.0;
    for (size_t i = group.first; i < group.end; i += (size_t)channels)
        squares += pow(oracle->inputs[0][i] - *group.mean, 2.0);
    *group.variance = count > 0.0 ? squares / count : 0.0;
    for (size_t i = group.first; i < group.end; i += (size_t)channels)
        oracle->linear_output[i] = gamma * (oracle->inputs[0][i] - *group.mean) * inverse_deviation(*group.variance) +
                                   beta + (oracle->inputs[1] ? oracle->inputs[1][i] : 0.0);
}

static void batch_norm_backward(const struct layer_oracle *oracle, int index, int channel)
{
    const int channels = oracle->layer->in.channels;
    const struct group group = group_of(oracle, index, channel);
    const double scale = inverse_deviation(*group.variance);
    double count = 0.0, sum = 0.0, product_sum = 0.0;

    for (size_t i = group.first; i < group.end; i += (size_t)channels, count++) {
        sum += oracle->masked_gradient[i];
        product_sum += oracle->masked_gradient[i] * (oracle->inputs[0][i] - *group.mean) * scale;
    }
    oracle->weight_gradient[channel] += product_sum;
    oracle->weight_gradient[channels + channel] += sum;
    for (size_t i = group.first; i < group.end; i += (size_t)channels)
        oracle->input_gradients[0][i] = oracle->backward_weights[channel] * scale *
                                        (oracle->masked_gradient[i] - sum / count -
                                         (oracle->inputs[0][i] - *group.mean) * scale * product_sum / count);
}

static void for_each_group(const struct layer_oracle *oracle, void (*function)(const struct layer_oracle *, int, int))
{
    for (int group = 0; group < oracle->groups; group++)
        for (int channel = 0; channel < oracle->layer->in.channels; channel++)
            function(oracle, group, channel);
}

static void norm_forward(const struct layer_oracle *oracle)
{
    for_each_group(oracle, batch_norm_forward);
}

static void norm_backward(const struct layer_oracle *oracle)
{
    for_each_group(oracle, batch_norm_backward);
}

static void average_forward(const struct layer_oracle *oracle)
{
    const size_t image = shape_size(oracle->layer->in), channels = (size_t)oracle->layer->in.channels;

    memset(oracle->linear_output, 0, rows_of(oracle) * channels * sizeof(double));
    for (size_t i = 0; i < rows_of(oracle) * image; i++)
        oracle->linear_output[i / image * channels + i % channels] +=
            oracle->inputs[0][i] * (double)channels / (double)image;
}

static void average_backward(const struct layer_oracle *oracle)
{
    const size_t image = shape_size(oracle->layer->in), channels = (size_t)oracle->layer->in.channels;

    for (size_t i = 0; i < rows_of(oracle) * image; i++)
        oracle->input_gradients[0][i] =
            oracle->masked_gradient[i / image * channels + i % channels] * (double)channels / (double)image;
}

/* Which input output i is: the largest under its window, the first by rows among equals. */
static size_t largest_under(const struct layer_oracle *oracle, size_t i)
{
    const struct layer *layer = oracle->layer;
    const struct shape in = layer->in, out = layer->out;
    const size_t row = i / shape_size(out), channel = i % (size_t)out.channels, pixel = i / (size_t)out.channels;
    const int p = (int)(pixel / (size_t)out.width) % out.height, q = (int)(pixel % (size_t)out.width);
    size_t best = SIZE_MAX;

    for (int h = p * layer->stride - layer->padding, r = 0; r < layer->kernel; r++, h++)
        for (int w = q * layer->stride - layer->padding, s = 0; s < layer->kernel; s++, w++) {
            const size_t at = row * shape_size(in) + (size_t)((h * in.width + w) * in.channels) + channel;

            if (h >= 0 && h < in.height && w >= 0 && w < in.width &&
                (best == SIZE_MAX || oracle->inputs[0][at] > oracle->inputs[0][best]))
                best = at;
        }
    return best;
}

static void largest_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < rows_of(oracle) * shape_size(oracle->layer->out); i++)
        oracle->linear_output[i] = oracle->inputs[0][largest_under(oracle, i)];
}

static void largest_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < rows_of(oracle) * shape_size(oracle->layer->out); i++)
        oracle->input_gradients[0][largest_under(oracle, i)] += oracle->masked_gradient[i];
}

/* ReLU by itself has nothing before it. */
static void sum_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < rows_of(oracle) * shape_size(oracle->layer->out); i++)
        oracle->linear_output[i] = oracle->inputs[0][i] + (oracle->inputs[1] ? oracle->inputs[1][i] : 0.0);
}

static void sum_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < rows_of(oracle) * shape_size(oracle->layer->out); i++)
        oracle->input_gradients[0][i] = oracle->masked_gradient[i];
}

/* What element i, of all rows, is multiplied by: dropped if its number, of four in a block, is among the lowest. */
static double dropout_factor(const struct layer_oracle *oracle, size_t i)
{
    const struct draw *draw = &oracle->draw;
    const size_t size = shape_size(oracle->layer->in), blocks = (size + 3) / 4, element = i % size;
    const double rate = oracle->layer->percent / 100.0;
    uint32_t words[4];

    random_block(draw->seed, RANDOM_DROPOUT, draw->layer,
                 ((uint64_t)draw->minibatch << 32) + (draw->row + i / size) * blocks + element / 4, words);
    return words[element % 4] < rate * 0x1p32 ? 0.0 : 1.0 / (1.0 - rate);
}

static void dropout_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < rows_of(oracle) * shape_size(oracle->layer->in); i++)
        oracle->linear_output[i] = oracle->inputs[0][i] * dropout_factor(oracle, i);
}

static void dropout_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < rows_of(oracle) * shape_size(oracle->layer->in); i++)
        oracle->input_gradients[0][i] = oracle->masked_gradient[i] * dropout_factor(oracle, i);
}

/* The backward adds to gradients that are 0. */
static const struct {
    void (*forward)(const struct layer_oracle *oracle);
    void (*backward)(const struct layer_oracle *oracle);
} formulas[LAYER_KINDS] = {
    [LAYER_CONVOLUTION] = {product_forward, product_backward},
    [LAYER_BATCH_NORM] = {norm_forward, norm_backward},
    [LAYER_LINEAR] = {product_forward, product_backward},
    [LAYER_AVERAGE_POOL] = {average_forward, average_backward},
    [LAYER_MAX_POOL] = {largest_forward, largest_backward},
    [LAYER_RELU] = {sum_forward, sum_backward},
    [LAYER_ADD] = {sum_forward, sum_backward},
    [LAYER_DROPOUT] = {dropout_forward, dropout_backward},
    [LAYER_EMBEDDING] = {embedding_oracle_forward, embedding_oracle_backward},
    [LAYER_RMS_NORM] = {rms_norm_oracle_forward, rms_norm_oracle_backward},
    [LAYER_ROPE] = {rope_oracle_forward, rope_oracle_backward},
    [LAYER_ATTENTION] = {attention_oracle_forward, attention_oracle_backward},
    [LAYER_SILU] = {silu_oracle_forward, silu_oracle_backward},
    [LAYER_GELU] = {gelu_oracle_forward, gelu_oracle_backward},
    [LAYER_MULTIPLY] = {multiply_oracle_forward, multiply_oracle_backward},
    [LAYER_LAYER_NORM] = {layer_norm_oracle_forward, layer_norm_oracle_backward},
};

static bool ends_in_relu(const struct layer *layer)
{
    return layer->relu || layer->kind == LAYER_RELU;
}

void layer_oracle_forward(const struct layer_oracle *oracle)
{
    const size_t outputs = rows_of(oracle) * shape_size(oracle->layer->out);

    formulas[oracle->layer->kind].forward(oracle);
    for (size_t i = 0; i < outputs; i++)
        oracle->output[i] =
            ends_in_relu(oracle->layer) ? fmax(oracle->linear_output[i], 0.0) : oracle->linear_output[i];
}

void layer_oracle_backward(const struct layer_oracle *oracle)
{
    const struct layer *layer = oracle->layer;
    const size_t outputs = rows_of(oracle) * shape_size(layer->out);

    for (size_t i = 0; i < outputs; i++)
        oracle->masked_gradient[i] = ends_in_relu(layer) && oracle->output[i] <= 0.0 ? 0.0 : oracle->output_gradient[i];
    for (int k = 0; k < layer->input_count; k++)
        memset(oracle->input_gradients[k], 0,
               rows_of(oracle) * shape_size(layer_input_shape(layer, k)) * sizeof(double));
    memset(oracle->weight_gradient, 0, layer->parameters * sizeof(double));
    formulas[layer->kind].backward(oracle);
    for (size_t i = 0; oracle->inputs[1] && layer_type_of(layer->kind)->adds_second && i < outputs; i++)
        oracle->input_gradients[1][i] = oracle->masked_gradient[i];
}

double layer_oracle_amplification(const struct layer_oracle *oracle)
{
    const int channels = oracle->layer->in.channels;
    double largest = 1.0;

    if (oracle->layer->kind == LAYER_LAYER_NORM)
        return layer_norm_oracle_amplification(oracle);
    if (oracle->layer->kind == LAYER_RMS_NORM)
        return rms_norm_oracle_amplification(oracle);
    for (int i = 0; oracle->layer->kind == LAYER_BATCH_NORM && i < oracle->groups * channels; i++) {
        const double scale = inverse_deviation(*group_of(oracle, i / channels, i % channels).variance);

        largest = fmax(largest, fabs(oracle->backward_weights[i % channels]) * scale);
    }
    return largest;
}
