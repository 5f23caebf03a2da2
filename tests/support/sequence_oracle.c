#include "tests/support/sequence_oracle.h"

#include <math.h>
#include <stdlib.h>

static size_t rows_of(const struct layer_oracle *oracle)
{
    return (size_t)oracle->group_start[oracle->groups];
}

static size_t outputs_of(const struct layer_oracle *oracle)
{
    return rows_of(oracle) * shape_size(oracle->layer->out);
}

/* Element i of the output is this one of the table. */
static size_t entry_of(const struct layer_oracle *oracle, size_t i)
{
    const size_t units = (size_t)oracle->layer->units;

    return (size_t)oracle->inputs[0][i / units] * units + i % units;
}

void embedding_oracle_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->linear_output[i] = oracle->forward_weights[entry_of(oracle, i)];
}

void embedding_oracle_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->weight_gradient[entry_of(oracle, i)] += oracle->masked_gradient[i];
}

/* The root mean square of the position in which element i lies. */
static double root_of(const struct layer_oracle *oracle, size_t i)
{
    const size_t channels = (size_t)oracle->layer->in.channels, first = i / channels * channels;
    double sum = 0.0;

    for (size_t c = 0; c < channels; c++)
        sum += pow(oracle->inputs[0][first + c], 2.0) / (double)channels;
    return sqrt(sum + 1e-5);
}

void rms_norm_oracle_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->linear_output[i] =
            oracle->forward_weights[i % (size_t)oracle->layer->in.channels] * oracle->inputs[0][i] / root_of(oracle, i);
}

/* d (x_i / root) / d x_k = (i == k) / root - x_i x_k / (C root^3) */
void rms_norm_oracle_backward(const struct layer_oracle *oracle)
{
    const size_t channels = (size_t)oracle->layer->in.channels;
    const double *x = oracle->inputs[0];

    for (size_t i = 0; i < outputs_of(oracle); i++) {
        const size_t first = i / channels * channels;
        const double root = root_of(oracle, i), gradient = oracle->masked_gradient[i];

        oracle->weight_gradient[i % channels] += gradient * x[i] / root;
        for (size_t k = first; k < first + channels; k++)
            oracle->input_gradients[0][k] += gradient * oracle->backward_weights[i % channels] *
                                             ((i == k) / root - x[i] * x[k] / ((double)channels * pow(root, 3.0)));
    }
}

double rms_norm_oracle_amplification(const struct layer_oracle *oracle)
{
    double largest = 1.0;

    for (size_t i = 0; i < outputs_of(oracle); i++)
        largest =
            fmax(largest, fabs(oracle->backward_weights[i % (size_t)oracle->layer->in.channels]) / root_of(oracle, i));
    return largest;
}

/* Of the position in which element i lies. */
static double mean_of(const struct layer_oracle *oracle, size_t i)
{
    const size_t channels = (size_t)oracle->layer->in.channels, first = i / channels * channels;
    double sum = 0.0;

    for (size_t c = 0; c < channels; c++)
        sum += oracle->inputs[0][first + c];
    return sum / (double)channels;
}

static double deviation_of(const struct layer_oracle *oracle, size_t i)
{
    const size_t channels = (size_t)oracle->layer->in.channels, first = i / channels * channels;
    const double mean = mean_of(oracle, i);
    double sum = 0.0;

    for (size_t c = 0; c < channels; c++)
        sum += pow(oracle->inputs[0][first + c] - mean, 2.0) / (double)channels;
    return sqrt(sum + 1e-5);
}

void layer_norm_oracle_forward(const struct layer_oracle *oracle)
{
    const size_t channels = (size_t)oracle->layer->in.channels;

    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->linear_output[i] = oracle->forward_weights[i % channels] * (oracle->inputs[0][i] - mean_of(oracle, i)) /
                                       deviation_of(oracle, i) +
                                   oracle->forward_weights[channels + i % channels];
}

/* d x^_i / d x_k = ((i == k) - 1 / C - x^_i x^_k / C) / deviation */
void layer_norm_oracle_backward(const struct layer_oracle *oracle)
{
    const size_t channels = (size_t)oracle->layer->in.channels;

    for (size_t i = 0; i < outputs_of(oracle); i++) {
        const size_t first = i / channels * channels;
        const double mean = mean_of(oracle, i), deviation = deviation_of(oracle, i), dy = oracle->masked_gradient[i];
        const double own = (oracle->inputs[0][i] - mean) / deviation;

        oracle->weight_gradient[i % channels] += dy * own;
        oracle->weight_gradient[channels + i % channels] += dy;
        for (size_t k = first; k < first + channels; k++)
            oracle->input_gradients[0][k] +=
                dy * oracle->backward_weights[i % channels] *
                ((i == k) - (1.0 + own * (oracle->inputs[0][k] - mean) / deviation) / (double)channels) / deviation;
    }
}

double layer_norm_oracle_amplification(const struct layer_oracle *oracle)
{
    double largest = 1.0;

    for (size_t i = 0; i < outputs_of(oracle); i++)
        largest = fmax(largest, fabs(oracle->backward_weights[i % (size_t)oracle->layer->in.channels]) /
                                    deviation_of(oracle, i));
    return largest;
}

/* Pairs of channels, which the position turns; gradients are turned back. */
static void turn(const struct layer_oracle *oracle, const double *from, double *to, double direction)
{
    const struct layer *layer = oracle->layer;
    const size_t channels = (size_t)layer->in.channels, size = channels / (size_t)layer->heads, half = size / 2;
    const size_t positions = shape_size(layer->in) / channels;

    for (size_t i = 0; i < outputs_of(oracle); i++) {
        const size_t in_head = i % channels % size, position = i / channels % positions;
        const double angle = (double)position / pow(layer->theta, 2.0 * (double)(in_head % half) / (double)size);
        const double sine = direction * sin(angle);

        to[i] = from[i] * cos(angle) + (in_head < half ? -from[i + half] * sine : from[i - half] * sine);
    }
}

void rope_oracle_forward(const struct layer_oracle *oracle)
{
    turn(oracle, oracle->inputs[0], oracle->linear_output, 1.0);
}

void rope_oracle_backward(const struct layer_oracle *oracle)
{
    turn(oracle, oracle->masked_gradient, oracle->input_gradients[0], -1.0);
}

/* Element c of a head at a position: in queries and outputs, or in keys and values. */
static size_t element(const struct layer *layer, size_t row, size_t position, int head, bool shared, size_t c)
{
    const size_t size = (size_t)(layer->in.channels / layer->heads);
    const size_t heads = (size_t)(shared ? layer->kv_heads : layer->heads);
    const size_t own = (size_t)(shared ? head * layer->kv_heads / layer->heads : head);

    return ((row * shape_size(layer->in) / (size_t)layer->in.channels + position) * heads + own) * size + c;
}

/* Sum over a head's channels of a at one position times b at another. */
static double product(const struct layer *layer, size_t row, int head, const double *a, bool a_shared, size_t i,
                      const double *b, size_t j)
{
    double sum = 0.0;

    for (size_t c = 0; c < (size_t)(layer->in.channels / layer->heads); c++)
        sum += a[element(layer, row, i, head, a_shared, c)] * b[element(layer, row, j, head, true, c)];
    return sum;
}

/* p [i + 1] */
static void probabilities(const struct layer_oracle *oracle, size_t row, int head, size_t i, double *p)
{
    const struct layer *layer = oracle->layer;
    const double root = sqrt(layer->in.channels / layer->heads);
    double sum = 0.0;

    for (size_t j = 0; j <= i; j++)
        sum += p[j] = exp(product(layer, row, head, oracle->inputs[0], false, i, oracle->inputs[1], j) / root);
    for (size_t j = 0; j <= i; j++)
        p[j] /= sum;
}

static void attend(const struct layer_oracle *oracle, size_t row, int head, size_t i, double *p)
{
    const struct layer *layer = oracle->layer;

    probabilities(oracle, row, head, i, p);
    for (size_t c = 0; c < (size_t)(layer->in.channels / layer->heads); c++) {
        double *output = &oracle->linear_output[element(layer, row, i, head, false, c)];

        *output = 0.0;
        for (size_t j = 0; j <= i; j++)
            *output += p[j] * oracle->inputs[2][element(layer, row, j, head, true, c)];
    }
}

static void attend_back(const struct layer_oracle *oracle, size_t row, int head, size_t i, double *p)
{
    const struct layer *layer = oracle->layer;
    const size_t size = (size_t)(layer->in.channels / layer->heads);
    double mean = 0.0;

    probabilities(oracle, row, head, i, p);
    for (size_t j = 0; j <= i; j++)
        mean += p[j] * product(layer, row, head, oracle->masked_gradient, false, i, oracle->inputs[2], j);
    for (size_t j = 0; j <= i; j++) {
        const double dp = product(layer, row, head, oracle->masked_gradient, false, i, oracle->inputs[2], j);
        const double ds = p[j] * (dp - mean) / sqrt((double)size);

        for (size_t c = 0; c < size; c++) {
            const size_t query = element(layer, row, i, head, false, c), key = element(layer, row, j, head, true, c);

            oracle->input_gradients[0][query] += ds * oracle->inputs[1][key];
            oracle->input_gradients[1][key] += ds * oracle->inputs[0][query];
            oracle->input_gradients[2][key] += p[j] * oracle->masked_gradient[query];
        }
    }
}

static void for_each_query(const struct layer_oracle *oracle,
                           void (*function)(const struct layer_oracle *, size_t, int, size_t, double *))
{
    const size_t positions = shape_size(oracle->layer->in) / (size_t)oracle->layer->in.channels;
    double *p = calloc(positions, sizeof(*p));

    for (size_t row = 0; p && row < rows_of(oracle); row++)
        for (int head = 0; head < oracle->layer->heads; head++)
            for (size_t i = 0; i < positions; i++)
                function(oracle, row, head, i, p);
    free(p);
}

void attention_oracle_forward(const struct layer_oracle *oracle)
{
    for_each_query(oracle, attend);
}

void attention_oracle_backward(const struct layer_oracle *oracle)
{
    for_each_query(oracle, attend_back);
}

void silu_oracle_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->linear_output[i] = oracle->inputs[0][i] / (1.0 + exp(-oracle->inputs[0][i]));
}

void silu_oracle_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++) {
        const double x = oracle->inputs[0][i], e = exp(-x);

        oracle->input_gradients[0][i] = oracle->masked_gradient[i] * (1.0 + e + x * e) / pow(1.0 + e, 2.0);
    }
}

void gelu_oracle_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->linear_output[i] = oracle->inputs[0][i] * 0.5 * erfc(-oracle->inputs[0][i] / sqrt(2.0));
}

void gelu_oracle_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++) {
        const double x = oracle->inputs[0][i];

        oracle->input_gradients[0][i] =
            oracle->masked_gradient[i] * (0.5 * erfc(-x / sqrt(2.0)) + x * exp(-x * x / 2.0) / sqrt(2.0 * acos(-1.0)));
    }
}

void multiply_oracle_forward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++)
        oracle->linear_output[i] = oracle->inputs[0][i] * oracle->inputs[1][i];
}

void multiply_oracle_backward(const struct layer_oracle *oracle)
{
    for (size_t i = 0; i < outputs_of(oracle); i++) {
        oracle->input_gradients[0][i] = oracle->masked_gradient[i] * oracle->inputs[1][i];
        oracle->input_gradients[1][i] = oracle->masked_gradient[i] * oracle->inputs[0][i];
    }
}
