/* Convolutions as matrix products: of the images themselves where the filters are 1 x 1 at stride 1, otherwise of columns
 * made of a few samples at a time; or by cuDNN. With M = samples * P * Q outputs of K channels, from columns of length
 * L = R * R * C,
 *
 *   output [M][K] = columns [M][L] filters^T         columns' gradient [M][L] = output gradient [M][K] filters [K][L]
 *                                                    filters' gradient [K][L] = output gradient^T columns */
#include <stdlib.h>

#include "base/numbers.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

/* Columns stay in the second-level cache between the kernel that writes them and the one that reads them; and a launch
 * takes so many samples at most. */
enum { COLUMNS_BYTES = 8 << 20, SAMPLES_MAX = 65535 };

struct convolution {
    struct convolution *next;
    enum direction direction;
    int rows;
    struct cudnn_convolution *library; /* NULL: without it */
};

static bool pointwise(const struct layer *layer)
{
    return layer->kernel == 1 && layer->stride == 1 && layer->padding == 0;
}

static int outputs(const struct layer *layer, int samples)
{
    return samples * layer->out.height * layer->out.width;
}

static int column_length(const struct layer *layer)
{
    return layer->kernel * layer->kernel * layer->in.channels;
}

static size_t filters_size(const struct layer *layer)
{
    return (size_t)layer->out.channels * (size_t)column_length(layer);
}

static size_t sample_bytes(const struct layer *layer)
{
    return (size_t)outputs(layer, 1) * (size_t)column_length(layer) * sizeof(float);
}

/* How many samples have columns at a time: about equally many every time, and it depends on the rows alone. */
static int samples_at_once(const struct layer *layer, int rows)
{
    const size_t fit = COLUMNS_BYTES / sample_bytes(layer);
    const int most = fit < 1 ? 1 : fit > SAMPLES_MAX ? SAMPLES_MAX : (int)fit, times = (rows + most - 1) / most;

    return pointwise(layer) ? rows : (rows + times - 1) / times;
}

static size_t workspace_bytes(const struct layer *layer, const struct convolution *convolution)
{
    const size_t columns =
        pointwise(layer) ? 0 : (size_t)samples_at_once(layer, convolution->rows) * sample_bytes(layer);
    const size_t library = convolution->library ? cudnn_convolution_workspace_bytes(convolution->library) : 0;

    return columns > library ? columns : library;
}

static void destroy_one(const struct engine *engine, struct convolution *convolution)
{
    cudnn_convolution_destroy(engine, convolution->library);
    free(convolution);
}

static void destroy(struct layer_kernel *kernel)
{
    for (struct convolution *convolution = kernel->prepared, *next; convolution; convolution = next) {
        next = convolution->next;
        destroy_one(kernel->engine, convolution);
    }
}

static struct convolution *find(const struct layer_kernel *kernel, enum direction direction, int rows)
{
    struct convolution *convolution = kernel->prepared;

    while (convolution && (convolution->direction != direction || convolution->rows != rows))
        convolution = convolution->next;
    return convolution;
}

/* Finds it, or adds it to the kernel's list if it does not need more than `limit` bytes of workspace. */
static struct convolution *prepare(struct layer_kernel *kernel, enum direction direction, int rows, size_t limit,
                                   struct error *error)
{
    struct convolution *convolution = find(kernel, direction, rows);
    size_t bytes;

    if (convolution)
        return convolution;
    convolution = calloc(1, sizeof(*convolution));
    if (!convolution) {
        error_set(error, "%s: out of memory", kernel->layer.name);
        return NULL;
    }
    convolution->direction = direction;
    convolution->rows = rows;
    if (!pointwise(&kernel->layer))
        convolution->library = cudnn_convolution_create(kernel->engine, &kernel->layer, direction, rows);
    bytes = workspace_bytes(&kernel->layer, convolution);
    if (bytes > limit) {
        error_set(error, "%s: %d rows were not prepared, and need %zu bytes of workspace where %zu were prepared",
                  kernel->layer.name, rows, bytes, limit);
        destroy_one(kernel->engine, convolution);
        return NULL;
    }
    convolution->next = kernel->prepared;
    kernel->prepared = convolution;
    if (bytes > kernel->workspace_bytes)
        kernel->workspace_bytes = bytes;
    return convolution;
}

static int prepare_forward(struct layer_kernel *kernel, int rows, struct error *error)
{
    return rows == 0 || prepare(kernel, DIRECTION_FORWARD, rows, SIZE_MAX, error) ? 0 : -1;
}

static int prepare_backward(struct layer_kernel *kernel, int rows, struct error *error)
{
    if (rows == 0)
        return 0;
    if (kernel->layer.inputs[0] != NETWORK_INPUT && !prepare(kernel, DIRECTION_BACKWARD_INPUT, rows, SIZE_MAX, error))
        return -1;
    return prepare(kernel, DIRECTION_BACKWARD_WEIGHTS, rows, SIZE_MAX, error) ? 0 : -1;
}

/* Of a call, as cudnn_convolution_run has them. */
struct operands {
    const float *first, *second;
    bool add;
    float *output;
    void *workspace;
};

static int make_columns(const struct layer_kernel *kernel, int samples, const float *images, float *columns,
                        struct error *error)
{
    return cuda_check(launch_image_to_columns(&kernel->layer, samples, images, columns, kernel->engine->stream),
                      "convolution's columns", error);
}

/* Each does samples begin .. begin + samples - 1. */
static int forward_some(const struct layer_kernel *kernel, const struct operands *call, int begin, int samples,
                        struct error *error)
{
    const struct layer *layer = &kernel->layer;
    const float *images = call->first + (size_t)begin * shape_size(layer->in);
    const bool direct = pointwise(layer);

    if (!direct && make_columns(kernel, samples, images, call->workspace, error))
        return -1;
    return cublas_multiply(kernel->engine, outputs(layer, samples), layer->out.channels, column_length(layer),
                           (struct matrix){direct ? images : call->workspace, false},
                           (struct matrix){call->second, true}, false,
                           call->output + (size_t)begin * shape_size(layer->out), error);
}

static int backward_input_some(const struct layer_kernel *kernel, const struct operands *call, int begin, int samples,
                               struct error *error)
{
    const struct layer *layer = &kernel->layer;
    const float *gradient = call->first + (size_t)begin * shape_size(layer->out);
    float *images = call->output + (size_t)begin * shape_size(layer->in);
    const bool direct = pointwise(layer);

    if (cublas_multiply(kernel->engine, outputs(layer, samples), column_length(layer), layer->out.channels,
                        (struct matrix){gradient, false}, (struct matrix){call->second, false}, direct && call->add,
                        direct ? images : call->workspace, error))
        return -1;
    return direct ? 0
                  : cuda_check(launch_columns_to_image(layer, samples, call->workspace, call->add, images,
                                                       kernel->engine->stream),
                               "convolution's columns", error);
}

static int backward_weights_some(const struct layer_kernel *kernel, const struct operands *call, int begin, int samples,
                                 struct error *error)
{
    const struct layer *layer = &kernel->layer;
    const float *images = call->first + (size_t)begin * shape_size(layer->in);
    const float *gradient = call->second + (size_t)begin * shape_size(layer->out);
    const bool direct = pointwise(layer);

    if (!direct && make_columns(kernel, samples, images, call->workspace, error))
        return -1;
    return cublas_multiply(kernel->engine, layer->out.channels, column_length(layer), outputs(layer, samples),
                           (struct matrix){gradient, true}, (struct matrix){direct ? images : call->workspace, false},
                           call->add || begin > 0, call->output, error);
}

static int (*const some[])(const struct layer_kernel *kernel, const struct operands *call, int begin, int samples,
                           struct error *error) = {
    [DIRECTION_FORWARD] = forward_some,
    [DIRECTION_BACKWARD_INPUT] = backward_input_some,
    [DIRECTION_BACKWARD_WEIGHTS] = backward_weights_some,
};

static int run(struct layer_kernel *kernel, enum direction direction, int rows, const struct operands *call,
               struct error *error)
{
    const struct convolution *convolution = prepare(kernel, direction, rows, kernel->workspace_bytes, error);
    int samples;

    if (!convolution)
        return -1;
    if (convolution->library && aligned(call->first) && aligned(call->second) && aligned(call->output) &&
        cudnn_convolution_run(kernel->engine, convolution->library, call->first, call->second, call->add, call->output,
                              call->workspace))
        return 0;
    samples = samples_at_once(&kernel->layer, rows);
    for (int begin = 0; begin < rows; begin += samples)
        if (some[direction](kernel, call, begin, min_int(samples, rows - begin), error))
            return -1;
    return 0;
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const struct operands operands = {call->inputs[0], call->weights, false, call->output, call->workspace};

    const struct layer *layer = &kernel->layer;

    if (run(kernel, DIRECTION_FORWARD, call->rows, &operands, error))
        return -1;
    if (!layer->bias && !layer->relu)
        return 0;
    return cuda_check(launch_bias(outputs(layer, call->rows), layer->out.channels,
                                  layer->bias ? call->weights + filters_size(layer) : NULL, layer->relu, call->output,
                                  kernel->engine->stream),
                      "bias of a convolution", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct operands operands = {call->output_gradient, call->weights, call->add_input_gradients[0],
                                      call->input_gradients[0], call->workspace};

    const size_t count = (size_t)call_rows(call) * shape_size(kernel->layer.out);

    if (kernel->layer.relu &&
        cuda_check(launch_relu_backward(count, call->output, call->output_gradient, kernel->engine->stream),
                   "ReLU of a convolution", error))
        return -1;
    return call->input_gradients[0] ? run(kernel, DIRECTION_BACKWARD_INPUT, call_rows(call), &operands, error) : 0;
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct operands operands = {call->inputs[0], call->output_gradient, call->add_weight_gradient,
                                      call->weight_gradient, call->workspace};

    const struct layer *layer = &kernel->layer;

    if (layer->bias &&
        cuda_check(launch_column_sums(outputs(layer, call_rows(call)), layer->out.channels, call->output_gradient,
                                      call->add_weight_gradient, call->weight_gradient + filters_size(layer),
                                      kernel->engine->stream),
                   "bias gradient of a convolution", error))
        return -1;
    return run(kernel, DIRECTION_BACKWARD_WEIGHTS, call_rows(call), &operands, error);
}

const struct layer_functions cuda_convolution = {
    .destroy = destroy,
    .prepare_forward = prepare_forward,
    .prepare_backward = prepare_backward,
    .forward = forward,
    .backward_input = backward_input,
    .backward_weights = backward_weights,
};
