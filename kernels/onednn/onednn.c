/* The oneDNN backend: convolutions and linear layers by the library, norms, attention and what else takes time in a network by
 * loops of our own, the rest borrowed from the reference, whose loops over elements already run at the speed of memory. */
#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "kernels/onednn/convolution.h"
#include "kernels/onednn/layers.h"
#include "kernels/reference/reference.h"

/* A convolution's direction for a number of rows. A layer meets few numbers of rows: micro-batches, the mini-batch, the
 * ragged last ones. */
struct prepared {
    struct prepared *next;
    enum direction direction;
    int rows;
    struct convolution *convolution;
};

struct layer_kernel {
    struct layer layer;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    struct prepared *prepared;
    size_t workspace_bytes;
};

static int library_error(struct error *error, const char *what, dnnl_status_t status)
{
    return error_set(error, "oneDNN %s: %s", what, dnnl_status2str(status));
}

static int available(struct error *error)
{
    dnnl_engine_t engine = NULL;
    const dnnl_status_t status = dnnl_engine_create(&engine, dnnl_cpu, 0);

    if (status != dnnl_success)
        return library_error(error, "cannot use this CPU", status);
    dnnl_engine_destroy(engine);
    return 0;
}

/* The library computes on the threads of the OpenMP runtime that it was built with, and has no call of its own for
 * their number. So ask the runtime that it brought along. */
static int open_engine(struct engine **out, struct device *device, const struct engine_options *options,
                       struct error *error)
{
    void *symbol = dlsym(RTLD_DEFAULT, "omp_set_num_threads");
    void (*set)(int);

    (void)device;
    *out = NULL;
    if (!symbol)
        return error_set(error, "cannot set the number of threads: oneDNN was built without OpenMP");
    memcpy(&set, &symbol, sizeof(set));
    set(options->threads);
    return 0;
}

static void close_engine(struct engine *engine)
{
    (void)engine;
}

static size_t own_workspace_bytes(const struct layer *layer);

static int layer_create(struct layer_kernel **out, struct engine *engine, const struct layer *layer,
                        struct error *error)
{
    struct layer_kernel *kernel = calloc(1, sizeof(*kernel));
    dnnl_status_t status;

    (void)engine;
    if (!kernel)
        return error_set(error, "%s: out of memory", layer->name);
    kernel->layer = *layer;
    kernel->workspace_bytes = own_workspace_bytes(layer);
    if ((status = dnnl_engine_create(&kernel->engine, dnnl_cpu, 0)) != dnnl_success) {
        library_error(error, "cannot use this CPU", status);
        goto err_kernel;
    }
    if ((status = dnnl_stream_create(&kernel->stream, kernel->engine, dnnl_stream_default_flags)) != dnnl_success) {
        library_error(error, "cannot make a stream", status);
        goto err_engine;
    }
    *out = kernel;
    return 0;

err_engine:
    dnnl_engine_destroy(kernel->engine);
err_kernel:
    free(kernel);
    return -1;
}

static void layer_destroy(struct layer_kernel *kernel)
{
    if (!kernel)
        return;
    for (struct prepared *entry = kernel->prepared, *next; entry; entry = next) {
        next = entry->next;
        convolution_destroy(entry->convolution);
        free(entry);
    }
    dnnl_stream_destroy(kernel->stream);
    dnnl_engine_destroy(kernel->engine);
    free(kernel);
}

static const struct convolution *find(const struct layer_kernel *kernel, enum direction direction, int rows)
{
    for (const struct prepared *entry = kernel->prepared; entry; entry = entry->next)
        if (entry->direction == direction && entry->rows == rows)
            return entry->convolution;
    return NULL;
}

/* Adds the direction to the kernel's list, unless it is there or needs more than `limit` bytes of workspace. */
static int prepare(struct layer_kernel *kernel, enum direction direction, int rows, size_t limit, struct error *error)
{
    struct prepared *entry;
    size_t bytes;

    if (kernel->layer.kind != LAYER_CONVOLUTION || pointwise_is(&kernel->layer) || rows == 0 ||
        find(kernel, direction, rows))
        return 0;
    entry = malloc(sizeof(*entry));
    if (!entry)
        return error_set(error, "%s: out of memory", kernel->layer.name);
    if (convolution_create(&entry->convolution, &kernel->layer, direction, rows, kernel->engine, error))
        goto err_entry;
    bytes = convolution_workspace_bytes(entry->convolution);
    if (bytes > limit) {
        error_set(error, "%s: %d rows were not prepared, and need %zu bytes of workspace where %zu were prepared",
                  kernel->layer.name, rows, bytes, limit);
        goto err_convolution;
    }

    entry->direction = direction;
    entry->rows = rows;
    entry->next = kernel->prepared;
    kernel->prepared = entry;
    if (bytes > kernel->workspace_bytes)
        kernel->workspace_bytes = bytes;
    return 0;

err_convolution:
    convolution_destroy(entry->convolution);
err_entry:
    free(entry);
    return -1;
}

static int prepare_forward(struct layer_kernel *kernel, int rows, struct error *error)
{
    return prepare(kernel, DIRECTION_FORWARD, rows, SIZE_MAX, error);
}

static int prepare_backward(struct layer_kernel *kernel, int rows, struct error *error)
{
    if (kernel->layer.inputs[0] != NETWORK_INPUT && prepare(kernel, DIRECTION_BACKWARD_INPUT, rows, SIZE_MAX, error))
        return -1;
    return prepare(kernel, DIRECTION_BACKWARD_WEIGHTS, rows, SIZE_MAX, error);
}

static size_t saved_floats(const struct layer_kernel *kernel)
{
    return layer_type_of(kernel->layer.kind)->is_norm ? 2 * (size_t)kernel->layer.in.channels : 0;
}

static size_t workspace_bytes(const struct layer_kernel *kernel)
{
    return kernel->workspace_bytes;
}

static int run(struct layer_kernel *kernel, enum direction direction, int rows, const float *first, const float *second,
               float *output, bool add, void *workspace, struct error *error)
{
    if (pointwise_is(&kernel->layer))
        return pointwise_run(&kernel->layer, direction, rows, first, second, output, add, error);
    if (prepare(kernel, direction, rows, kernel->workspace_bytes, error))
        return -1;
    if (convolution_run(find(kernel, direction, rows), first, second, output, add, workspace, kernel->stream, error))
        return error_prefix(error, "%s", kernel->layer.name);
    return 0;
}

static int forward_convolution(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    if (run(kernel, DIRECTION_FORWARD, call->rows, call->inputs[0], call->weights, call->output, false, call->workspace,
            error))
        return -1;
    reference_bias_forward(&kernel->layer, call->rows, call->weights, call->output);
    return 0;
}

static int backward_input_convolution(struct layer_kernel *kernel, const struct backward_call *call,
                                      struct error *error)
{
    const size_t count = (size_t)call->group_start[call->groups] * shape_size(kernel->layer.out);

    if (kernel->layer.relu)
        reference_relu_backward(count, call->output, call->output_gradient);
    if (!call->input_gradients[0])
        return 0;
    return run(kernel, DIRECTION_BACKWARD_INPUT, call->group_start[call->groups], call->output_gradient, call->weights,
               call->input_gradients[0], call->add_input_gradients[0], call->workspace, error);
}

static int backward_weights_convolution(struct layer_kernel *kernel, const struct backward_call *call,
                                        struct error *error)
{
    reference_bias_backward(&kernel->layer, call);
    return run(kernel, DIRECTION_BACKWARD_WEIGHTS, call->group_start[call->groups], call->inputs[0],
               call->output_gradient, call->weight_gradient, call->add_weight_gradient, call->workspace, error);
}

static int forward_linear(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return linear_forward(&kernel->layer, call, error);
}

static int backward_input_linear(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    return linear_backward_input(&kernel->layer, call, error);
}

static int backward_weights_linear(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    return linear_backward_weights(&kernel->layer, call, error);
}

/* Of the library; these need a kernel, and can fail. */
static const struct kind {
    int (*forward)(struct layer_kernel *kernel, const struct forward_call *call, struct error *error);
    int (*backward_input)(struct layer_kernel *kernel, const struct backward_call *call, struct error *error);
    int (*backward_weights)(struct layer_kernel *kernel, const struct backward_call *call, struct error *error);
} kinds[LAYER_KINDS] = {
    [LAYER_CONVOLUTION] = {forward_convolution, backward_input_convolution, backward_weights_convolution},
    [LAYER_LINEAR] = {forward_linear, backward_input_linear, backward_weights_linear},
};

/* Loops of our own. Layers that have no place here either are the reference's. */
static const struct reference_layer own_loops[LAYER_KINDS] = {
    [LAYER_BATCH_NORM] = {batch_norm_workspace_bytes, batch_norm_forward, batch_norm_backward, NULL},
    [LAYER_ATTENTION] = {attention_workspace_bytes, attention_forward, attention_backward, NULL},
    [LAYER_RMS_NORM] = {NULL, rms_norm_forward, rms_norm_backward_input, rms_norm_backward_weights},
    [LAYER_LAYER_NORM] = {NULL, layer_norm_forward, layer_norm_backward_input, layer_norm_backward_weights},
    [LAYER_ROPE] = {rope_workspace_bytes, rope_forward, rope_backward, NULL},
    [LAYER_SILU] = {NULL, silu_forward, silu_backward, NULL},
    [LAYER_MULTIPLY] = {NULL, multiply_forward, multiply_backward, NULL},
};

static const struct reference_layer *loops_of(enum layer_kind kind)
{
    return own_loops[kind].forward ? &own_loops[kind] : reference_layer(kind);
}

static size_t own_workspace_bytes(const struct layer *layer)
{
    const struct reference_layer *loops = loops_of(layer->kind);

    return !kinds[layer->kind].forward && loops->workspace_bytes ? loops->workspace_bytes(layer) : 0;
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const struct kind *kind = &kinds[kernel->layer.kind];

    if (call->rows == 0)
        return 0;
    if (kind->forward)
        return kind->forward(kernel, call, error);
    loops_of(kernel->layer.kind)->forward(&kernel->layer, call);
    return 0;
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct kind *kind = &kinds[kernel->layer.kind];

    if (call->group_start[call->groups] == 0 && !layer_type_of(kernel->layer.kind)->is_norm)
        return 0;
    if (kind->forward)
        return kind->backward_input(kernel, call, error);
    loops_of(kernel->layer.kind)->backward_input(&kernel->layer, call);
    return 0;
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct kind *kind = &kinds[kernel->layer.kind];

    if (!layer_type_of(kernel->layer.kind)->has_weight_half)
        return 0;
    if (call->group_start[call->groups] == 0) {
        if (!call->add_weight_gradient)
            memset(call->weight_gradient, 0, kernel->layer.parameters * sizeof(float));
        return 0;
    }
    if (kind->forward)
        return kind->backward_weights(kernel, call, error);
    loops_of(kernel->layer.kind)->backward_weights(&kernel->layer, call);
    return 0;
}

const struct backend backend_onednn = {
    .name = "onednn",
    .available = available,
    .device = &device_host,
    .open = open_engine,
    .close = close_engine,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .prepare_forward = prepare_forward,
    .prepare_backward = prepare_backward,
    .saved_floats = saved_floats,
    .workspace_bytes = workspace_bytes,
    .forward = forward,
    .backward_input = backward_input,
    .backward_weights = backward_weights,
    .softmax_cross_entropy = softmax_cross_entropy,
    .update = reference_update,
    .correct = reference_correct,
    .combine = reference_combine,
    .sum_of_squares = reference_sum_of_squares,
};
