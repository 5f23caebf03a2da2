#include "tests/support/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tests/support/layer_oracle.h"

static const double batch_norm_epsilon = 1e-5, batch_norm_momentum = 0.1;

/* What one micro-batch's forward leaves behind: every layer's output, and batch norm's statistics. */
struct pass {
    int rows;
    int minibatch, first_row; /* since the run began, and in it */
    uint64_t seed;
    double *input;
    double **outputs; /* [layer] */
    double **mean, **variance;
};

static void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);

    if (!memory)
        abort();
    return memory;
}

/* Norms, and the bias behind a linear layer's weights. */
static void mark_one_dimensional(const struct network *network, bool *one_dimensional)
{
    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        const size_t channels = (size_t)layer->out.channels;

        for (size_t i = 0; i < layer->parameters; i++)
            one_dimensional[layer->parameter_offset + i] =
                layer->kind == LAYER_BATCH_NORM || layer->kind == LAYER_RMS_NORM || layer->kind == LAYER_LAYER_NORM ||
                (layer->kind == LAYER_LINEAR && layer->bias && i >= layer->parameters - channels);
    }
}

/* Older versions are read by no pass; their memory serves new ones. */
enum { VERSIONS_KEPT = 12, VERSION_VECTORS = 6 };

static void list_vectors(struct method_version *version, double **list[VERSION_VECTORS])
{
    double **const vectors[VERSION_VECTORS] = {&version->weights,  &version->momentum,    &version->squares,
                                               &version->gradient, &version->differences, &version->squared_momentum};

    memcpy(list, vectors, sizeof(vectors));
}

static void make_version(struct oracle *oracle, int k)
{
    double **to[VERSION_VECTORS], **from[VERSION_VECTORS];

    list_vectors(&oracle->versions[k], to);
    for (int n = 0; n < VERSION_VECTORS; n++)
        if (k < VERSIONS_KEPT) {
            *to[n] = allocate(oracle->network->parameters, sizeof(double));
        } else {
            list_vectors(&oracle->versions[k - VERSIONS_KEPT], from);
            *to[n] = *from[n];
            *from[n] = NULL;
        }
}

void oracle_create(struct oracle *oracle, const struct network *network, const float *initial, int capacity)
{
    oracle->network = network;
    oracle->updates = 0;
    oracle->capacity = capacity;
    oracle->versions = allocate((size_t)capacity, sizeof(*oracle->versions));
    make_version(oracle, 0);
    for (size_t p = 0; p < network->parameters; p++)
        oracle->versions[0].weights[p] = (double)initial[p];
    oracle->one_dimensional = allocate(network->parameters, sizeof(bool));
    mark_one_dimensional(network, oracle->one_dimensional);
    oracle->state = allocate(network->state, sizeof(double));
    for (int l = 0; l < network->layer_count; l++)
        for (size_t i = 0; i < network->layers[l].state; i++)
            oracle->state[network->layers[l].state_offset + i] = i < network->layers[l].state / 2 ? 0 : 1;
    oracle->gradient = allocate(network->parameters, sizeof(double));
    oracle->read = allocate(network->parameters, sizeof(double));
}

void oracle_destroy(struct oracle *oracle)
{
    double **vectors[VERSION_VECTORS];

    for (int k = 0; k <= oracle->updates; k++) {
        list_vectors(&oracle->versions[k], vectors);
        for (int n = 0; n < VERSION_VECTORS; n++)
            free(*vectors[n]);
    }
    free(oracle->versions);
    free(oracle->one_dimensional);
    free(oracle->state);
    free(oracle->gradient);
    free(oracle->read);
}

static struct pass pass_create(const struct network *network, int rows)
{
    struct pass pass = {.rows = rows};
    size_t layers = (size_t)network->layer_count;

    pass.input = allocate((size_t)rows * shape_size(network->input), sizeof(double));
    pass.outputs = allocate(layers, sizeof(double *));
    pass.mean = allocate(layers, sizeof(double *));
    pass.variance = allocate(layers, sizeof(double *));
    for (size_t l = 0; l < layers; l++) {
        pass.outputs[l] = allocate((size_t)rows * shape_size(network->layers[l].out), sizeof(double));
        pass.mean[l] = allocate((size_t)network->layers[l].out.channels, sizeof(double));
        pass.variance[l] = allocate((size_t)network->layers[l].out.channels, sizeof(double));
    }
    return pass;
}

static void pass_destroy(struct pass *pass, const struct network *network)
{
    for (int l = 0; l < network->layer_count; l++) {
        free(pass->outputs[l]);
        free(pass->mean[l]);
        free(pass->variance[l]);
    }
    free(pass->outputs);
    free(pass->mean);
    free(pass->variance);
    free(pass->input);
}

static double *output_of(const struct pass *pass, int layer)
{
    return layer < 0 ? pass->input : pass->outputs[layer];
}

/* Runs `body` for each product of a convolution: output element o, input element i, weight element k. */
#define EACH_PRODUCT(layer, rows, body)                                                                                \
    for (int r_ = 0; r_ < (rows); r_++)                                                                                \
        for (int y_ = 0; y_ < (layer)->out.height; y_++)                                                               \
            for (int x_ = 0; x_ < (layer)->out.width; x_++)                                                            \
                for (int ky_ = 0; ky_ < (layer)->kernel; ky_++)                                                        \
                    for (int kx_ = 0; kx_ < (layer)->kernel; kx_++) {                                                  \
                        int iy_ = y_ * (layer)->stride + ky_ - (layer)->padding;                                       \
                        int ix_ = x_ * (layer)->stride + kx_ - (layer)->padding;                                       \
                        if (iy_ < 0 || ix_ < 0 || iy_ >= (layer)->in.height || ix_ >= (layer)->in.width)               \
                            continue;                                                                                  \
                        for (int k_ = 0; k_ < (layer)->out.channels; k_++) {                                           \
                            int o =                                                                                    \
                                ((r_ * (layer)->out.height + y_) * (layer)->out.width + x_) * (layer)->out.channels +  \
                                k_;                                                                                    \
                            for (int c_ = 0; c_ < (layer)->in.channels; c_++) {                                        \
                                int i = ((r_ * (layer)->in.height + iy_) * (layer)->in.width + ix_) *                  \
                                            (layer)->in.channels +                                                     \
                                        c_;                                                                            \
                                int k =                                                                                \
                                    ((k_ * (layer)->kernel + ky_) * (layer)->kernel + kx_) * (layer)->in.channels +    \
                                    c_;                                                                                \
                                body;                                                                                  \
                            }                                                                                          \
                        }                                                                                              \
                    }

/* A convolution's bias, behind its filters. */
static double *bias_of(const struct layer *layer, const double *parameters)
{
    return (double *)(uintptr_t)parameters + layer->parameters - (size_t)layer->out.channels;
}

static int ends_in_relu(const struct layer *layer)
{
    return layer->relu || layer->kind == LAYER_RELU;
}

/* Which element of x a max pool's output element is: the first by rows of the largest. */
static int largest_under(const struct layer *layer, const double *x, int output)
{
    const struct shape in = layer->in, out = layer->out;
    const int c = output % out.channels, q = output / out.channels % out.width;
    const int p = output / out.channels / out.width % out.height, r = output / (int)shape_size(out);
    int best = -1;

    for (int k = 0; k < layer->kernel * layer->kernel; k++) {
        const int h = p * layer->stride - layer->padding + k / layer->kernel;
        const int w = q * layer->stride - layer->padding + k % layer->kernel;
        const int i = ((r * in.height + h) * in.width + w) * in.channels + c;

        if (h >= 0 && h < in.height && w >= 0 && w < in.width && (best < 0 || x[i] > x[best]))
            best = i;
    }
    return best;
}

/* What dropout l multiplies an element by. */
static double dropout_factor(const struct layer *layer, int l, const struct pass *pass, int element)
{
    const int size = (int)shape_size(layer->in), row = pass->first_row + element / size, i = element % size;
    const uint64_t index = ((uint64_t)pass->minibatch << 32) + (uint64_t)(row * ((size + 3) / 4) + i / 4);
    uint32_t words[4];

    random_block(pass->seed, RANDOM_DROPOUT, (uint32_t)l, index, words);
    return words[i % 4] * 0x1p-32 < layer->percent / 100.0 ? 0 : 100.0 / (100 - layer->percent);
}

/* What a forward does with batch norm's running statistics. */
enum running { IGNORE_RUNNING, UPDATE_RUNNING, USE_RUNNING };

static void batch_statistics(const struct layer *layer, int c, const double *x, int points, double *running,
                             enum running mode, double *mean, double *variance)
{
    int channels = layer->out.channels;

    if (mode == USE_RUNNING) {
        *mean = running[c];
        *variance = running[channels + c];
        return;
    }
    *mean = *variance = 0;
    for (int p = 0; p < points; p++)
        *mean += x[p * channels + c] / points;
    for (int p = 0; p < points; p++)
        *variance += pow(x[p * channels + c] - *mean, 2) / points;
    if (mode == IGNORE_RUNNING)
        return;
    /* As PyTorch: the running variance is the unbiased one. */
    running[c] += batch_norm_momentum * (*mean - running[c]);
    running[channels + c] +=
        batch_norm_momentum * (*variance * points / (points > 1 ? points - 1 : 1) - running[channels + c]);
}

static double *input_or_null(const struct layer *layer, const struct pass *pass, int k)
{
    return k < layer->input_count ? output_of(pass, layer->inputs[k]) : NULL;
}

/* Layers that have no case of their own here. Their gradients are added. */
static void backward_by_layer_oracle(const struct layer *layer, int l, const struct pass *pass, const double *weights,
                                     double **gradients, double *weight_gradient)
{
    struct layer_oracle own = {
        .layer = layer,
        .groups = 1,
        .group_start = (const int[]){0, pass->rows},
        .backward_weights = (double *)(uintptr_t)weights,
        .output_gradient = gradients[l + 1],
        .output = pass->outputs[l],
        .masked_gradient = gradients[l + 1],
        .weight_gradient = allocate(layer->parameters, sizeof(double)),
    };
    size_t sizes[LAYER_INPUTS_MAX] = {0};

    for (int k = 0; k < layer->input_count; k++) {
        sizes[k] = (size_t)pass->rows * shape_size(layer_input_shape(layer, k));
        own.inputs[k] = output_of(pass, layer->inputs[k]);
        own.input_gradients[k] = allocate(sizes[k], sizeof(double));
    }
    layer_oracle_backward(&own);
    for (int k = 0; k < layer->input_count; k++) {
        for (size_t i = 0; i < sizes[k]; i++)
            gradients[layer->inputs[k] + 1][i] += own.input_gradients[k][i];
        free(own.input_gradients[k]);
    }
    for (size_t p = 0; p < layer->parameters; p++)
        weight_gradient[p] += own.weight_gradient[p];
    free(own.weight_gradient);
}

static void forward_layer(const struct layer *layer, int l, struct pass *pass, const double *weights, double *state,
                          enum running mode)
{
    const double *x = output_of(pass, layer->inputs[0]), *w = weights + layer->parameter_offset;
    double *y = pass->outputs[l];
    int channels = layer->out.channels, rows = pass->rows;
    int points = rows * layer->out.height * layer->out.width;
    int inputs = (int)shape_size(layer->in);

    memset(y, 0, (size_t)points * (size_t)channels * sizeof(*y));
    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        EACH_PRODUCT(layer, rows, y[o] += x[i] * w[k])
        for (int p = 0; layer->bias && p < points * channels; p++)
            y[p] += bias_of(layer, w)[p % channels];
        break;
    case LAYER_BATCH_NORM:
        for (int c = 0; c < channels; c++) {
            double mean, variance;

            batch_statistics(layer, c, x, points, state + layer->state_offset, mode, &mean, &variance);
            pass->mean[l][c] = mean;
            pass->variance[l][c] = variance;
            for (int p = 0; p < points; p++)
                y[p * channels + c] =
                    w[c] * (x[p * channels + c] - mean) / sqrt(variance + batch_norm_epsilon) + w[channels + c] +
                    (layer->input_count == 1 ? 0 : output_of(pass, layer->inputs[1])[p * channels + c]);
        }
        break;
    case LAYER_AVERAGE_POOL:
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < inputs; i++)
                y[r * channels + i % channels] += x[r * inputs + i] / (inputs / channels);
        break;
    case LAYER_MAX_POOL:
        for (int p = 0; p < points * channels; p++)
            y[p] = x[largest_under(layer, x, p)];
        break;
    case LAYER_RELU:
        memcpy(y, x, (size_t)points * (size_t)channels * sizeof(*y));
        break;
    case LAYER_ADD:
        for (int p = 0; p < points * channels; p++)
            y[p] = x[p] + output_of(pass, layer->inputs[1])[p];
        break;
    case LAYER_DROPOUT:
        for (int p = 0; p < points * channels; p++)
            y[p] = x[p] * (mode == USE_RUNNING ? 1 : dropout_factor(layer, l, pass, p));
        break;
    default:
        layer_oracle_forward(&(const struct layer_oracle){
            .layer = layer,
            .groups = 1,
            .group_start = (const int[]){0, rows},
            .inputs = {(double *)(uintptr_t)x, input_or_null(layer, pass, 1), input_or_null(layer, pass, 2)},
            .forward_weights = (double *)(uintptr_t)w,
            .linear_output = y,
            .output = y,
        });
    }
    if (ends_in_relu(layer))
        for (int p = 0; p < points * channels; p++)
            y[p] = y[p] > 0 ? y[p] : 0;
}

/* gradients[l + 1] is the gradient of layer l's output, gradients[0] that of the input. */
static void backward_layer(const struct layer *layer, int l, const struct pass *pass, const double *weights,
                           double **gradients, double *weight_gradient)
{
    const double *x = output_of(pass, layer->inputs[0]), *w = weights + layer->parameter_offset;
    double *dy = gradients[l + 1], *dx = gradients[layer->inputs[0] + 1],
           *dw = weight_gradient + layer->parameter_offset;
    int channels = layer->out.channels, rows = pass->rows;
    int points = rows * layer->out.height * layer->out.width;
    int inputs = (int)shape_size(layer->in);

    if (ends_in_relu(layer))
        for (int p = 0; p < points * channels; p++)
            dy[p] = pass->outputs[l][p] > 0 ? dy[p] : 0;
    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        EACH_PRODUCT(layer, rows, (dx[i] += dy[o] * w[k], dw[k] += dy[o] * x[i]))
        for (int p = 0; layer->bias && p < points * channels; p++)
            bias_of(layer, dw)[p % channels] += dy[p];
        break;
    case LAYER_BATCH_NORM:
        for (int c = 0; c < channels; c++) {
            double inverse = 1 / sqrt(pass->variance[l][c] + batch_norm_epsilon), sum = 0, product = 0;

            for (int p = 0; p < points; p++) {
                sum += dy[p * channels + c];
                product += dy[p * channels + c] * (x[p * channels + c] - pass->mean[l][c]) * inverse;
            }
            dw[c] += product;
            dw[channels + c] += sum;
            for (int p = 0; p < points; p++) {
                double normalised = (x[p * channels + c] - pass->mean[l][c]) * inverse;

                dx[p * channels + c] +=
                    w[c] * inverse * (dy[p * channels + c] - sum / points - normalised * product / points);
                if (layer->input_count > 1)
                    gradients[layer->inputs[1] + 1][p * channels + c] += dy[p * channels + c];
            }
        }
        break;
    case LAYER_AVERAGE_POOL:
        for (int r = 0; r < rows; r++)
            for (int i = 0; i < inputs; i++)
                dx[r * inputs + i] += dy[r * channels + i % channels] / (inputs / channels);
        break;
    case LAYER_MAX_POOL:
        for (int p = 0; p < points * channels; p++)
            dx[largest_under(layer, x, p)] += dy[p];
        break;
    case LAYER_RELU:
        for (int p = 0; p < points * channels; p++)
            dx[p] += dy[p];
        break;
    case LAYER_ADD:
        for (int p = 0; p < points * channels; p++) {
            dx[p] += dy[p];
            gradients[layer->inputs[1] + 1][p] += dy[p];
        }
        break;
    case LAYER_DROPOUT:
        for (int p = 0; p < points * channels; p++)
            dx[p] += dy[p] * dropout_factor(layer, l, pass, p);
        break;
    default:
        backward_by_layer_oracle(layer, l, pass, w, gradients, dw);
    }
}

static void forward_slice(struct oracle *oracle, int s, struct pass *pass, const double *weights, enum running mode)
{
    const struct slice *slice = &oracle->slices[s];

    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++)
        forward_layer(&oracle->network->layers[l], l, pass, weights, oracle->state, mode);
}

/* What stage s's passes of micro-batch j read. */
static const double *forward_weights(struct oracle *oracle, const struct oracle_versions *versions, int s, int j)
{
    const int start = versions->forward[s][j];

    return method_forward(&oracle->method, oracle->versions, &oracle->slices[s], s, start, versions->live[s][j],
                          oracle->read, &oracle->changed_forwards)
               ? oracle->read
               : oracle->versions[start].weights;
}

static const double *backward_weights(struct oracle *oracle, const struct oracle_versions *versions, int s, int j)
{
    return method_backward(&oracle->method, oracle->versions, &oracle->slices[s], s, versions->forward[s][j],
                           versions->live[s][j], oracle->read, &oracle->changed_backwards)
               ? oracle->read
               : oracle->versions[versions->backward[s][j]].weights;
}

/* Sum of -log softmax[target], and its gradient divided by `divisor`. */
static double loss(const double *logits, const int32_t *targets, int rows, int classes, int divisor, double *gradient)
{
    double sum = 0;

    for (int r = 0; r < rows; r++) {
        const double *z = logits + r * classes;
        double total = 0;

        for (int c = 0; c < classes; c++)
            total += exp(z[c]);
        sum += log(total) - z[targets[r]];
        for (int c = 0; c < classes; c++)
            gradient[r * classes + c] = (exp(z[c]) / total - (c == targets[r])) / divisor;
    }
    return sum;
}

/* One micro-batch, there and back; adds to oracle->gradient. */
static double train_microbatch(struct oracle *oracle, const float *images, const int32_t *targets, int first_row,
                               int rows, int minibatch_rows, const struct oracle_versions *versions, int j)
{
    const struct network *network = oracle->network;
    int layers = network->layer_count;
    struct pass pass = pass_create(network, rows);
    double **gradients = allocate((size_t)layers + 1, sizeof(*gradients));
    double sum;

    pass.seed = oracle->seed;
    pass.minibatch = oracle->updates + 1;
    pass.first_row = first_row;
    for (size_t i = 0; i < (size_t)rows * shape_size(network->input); i++)
        pass.input[i] = (double)images[i];
    for (int l = -1; l < layers; l++)
        gradients[l + 1] =
            allocate((size_t)rows * shape_size(l < 0 ? network->input : network->layers[l].out), sizeof(double));
    for (int s = 0; s < oracle->method.stages; s++)
        forward_slice(oracle, s, &pass, forward_weights(oracle, versions, s, j), UPDATE_RUNNING);
    /* What is reported is the prediction's, whatever is differentiated below. */
    sum = loss(pass.outputs[layers - 1], targets, rows, network->classes, minibatch_rows, gradients[layers]);
    for (int s = oracle->method.stages - 1; s >= 0; s--) {
        const struct slice *slice = &oracle->slices[s];
        const double *weights = backward_weights(oracle, versions, s, j);

        /* Only this stage's own layers change: its input is what the forward gave it. */
        if (oracle->recompute)
            forward_slice(oracle, s, &pass, weights, IGNORE_RUNNING);
        if (s == oracle->method.stages - 1)
            loss(pass.outputs[layers - 1], targets, rows, network->classes, minibatch_rows, gradients[layers]);
        for (int l = slice->first_layer + slice->layer_count - 1; l >= slice->first_layer; l--)
            backward_layer(&network->layers[l], l, &pass, weights, gradients, oracle->gradient);
    }
    for (int l = 0; l <= layers; l++)
        free(gradients[l]);
    free(gradients);
    pass_destroy(&pass, network);
    return sum;
}

double oracle_train(struct oracle *oracle, const float *images, const int32_t *targets, int rows,
                    const struct oracle_versions *versions)
{
    size_t parameters = oracle->network->parameters, image = shape_size(oracle->network->input);
    double sum = 0;
    int start = 0;

    memset(oracle->gradient, 0, parameters * sizeof(double));
    for (int j = 0; j < oracle->microbatches; j++) {
        /* As even as can be, larger parts first. */
        int count = rows / oracle->microbatches + (j < rows % oracle->microbatches);

        if (count > 0)
            sum += train_microbatch(oracle, images + (size_t)start * image, targets + start, start, count, rows,
                                    versions, j);
        start += count;
    }
    make_version(oracle, oracle->updates + 1);
    for (int s = 0; s < oracle->method.stages; s++)
        method_update(&oracle->method, oracle->versions, &oracle->slices[s], s, versions->forward[s][versions->last[s]],
                      oracle->updates, oracle->gradient, oracle->one_dimensional, &oracle->changed_updates);
    oracle->updates++;
    return sum / rows;
}

double oracle_evaluate(struct oracle *oracle, const float *images, const int32_t *targets, int rows, int *top1)
{
    const struct network *network = oracle->network;
    int classes = network->classes;
    struct pass pass = pass_create(network, rows);
    double *gradient = allocate((size_t)rows * (size_t)classes, sizeof(*gradient));
    const double *logits = pass.outputs[network->layer_count - 1];
    double sum;

    for (size_t i = 0; i < (size_t)rows * shape_size(network->input); i++)
        pass.input[i] = (double)images[i];
    for (int s = 0; s < oracle->method.stages; s++)
        forward_slice(oracle, s, &pass, oracle->versions[oracle->updates].weights, USE_RUNNING);
    sum = loss(logits, targets, rows, classes, 1, gradient);
    *top1 = 0;
    for (int r = 0; r < rows; r++) {
        int best = 0;

        for (int c = 1; c < classes; c++)
            best = logits[r * classes + c] > logits[r * classes + best] ? c : best;
        *top1 += best == targets[r];
    }
    free(gradient);
    pass_destroy(&pass, network);
    return sum / rows;
}
