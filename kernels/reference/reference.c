/* The reference backend's table: which function serves which layer. */
#include "kernels/reference/reference.h"

#include <stdlib.h>

struct layer_kernel {
    struct layer layer;
};

static const struct reference_layer kinds[LAYER_KINDS] = {
    [LAYER_CONVOLUTION] = {reference_convolution_workspace_bytes, reference_convolution_forward,
                           reference_convolution_backward_input, reference_convolution_backward_weights},
    [LAYER_BATCH_NORM] = {reference_batch_norm_workspace_bytes, reference_batch_norm_forward,
                          reference_batch_norm_backward, NULL},
    [LAYER_LINEAR] = {NULL, reference_linear_forward, reference_linear_backward_input,
                      reference_linear_backward_weights},
    [LAYER_AVERAGE_POOL] = {NULL, reference_average_pool_forward, reference_average_pool_backward, NULL},
    [LAYER_MAX_POOL] = {NULL, reference_max_pool_forward, reference_max_pool_backward, NULL},
    [LAYER_RELU] = {NULL, reference_relu_layer_forward, reference_relu_layer_backward, NULL},
    [LAYER_ADD] = {NULL, reference_add_forward, reference_add_backward, NULL},
    [LAYER_DROPOUT] = {NULL, reference_dropout_forward, reference_dropout_backward, NULL},
    [LAYER_EMBEDDING] = {NULL, reference_embedding_forward, reference_embedding_backward_input,
                         reference_embedding_backward_weights},
    [LAYER_RMS_NORM] = {NULL, reference_rms_norm_forward, reference_rms_norm_backward_input,
                        reference_rms_norm_backward_weights},
    [LAYER_ROPE] = {NULL, reference_rope_forward, reference_rope_backward, NULL},
    [LAYER_ATTENTION] = {reference_attention_workspace_bytes, reference_attention_forward, reference_attention_backward,
                         NULL},
    [LAYER_SILU] = {NULL, reference_silu_forward, reference_silu_backward, NULL},
    [LAYER_GELU] = {NULL, reference_gelu_forward, reference_gelu_backward, NULL},
    [LAYER_MULTIPLY] = {NULL, reference_multiply_forward, reference_multiply_backward, NULL},
    [LAYER_LAYER_NORM] = {NULL, reference_layer_norm_forward, reference_layer_norm_backward_input,
                          reference_layer_norm_backward_weights},
};

const struct reference_layer *reference_layer(enum layer_kind kind)
{
    return &kinds[kind];
}

static int available(struct error *error)
{
    (void)error;
    return 0;
}

/* Plain loops run on the caller's thread, whatever the options. */
static int open_engine(struct engine **out, struct device *device, const struct engine_options *options,
                       struct error *error)
{
    (void)device, (void)options, (void)error;
    *out = NULL;
    return 0;
}

static void close_engine(struct engine *engine)
{
    (void)engine;
}

static int layer_create(struct layer_kernel **out, struct engine *engine, const struct layer *layer,
                        struct error *error)
{
    struct layer_kernel *kernel = malloc(sizeof(*kernel));

    (void)engine;
    if (!kernel)
        return error_set(error, "%s: out of memory", layer->name);
    kernel->layer = *layer;
    *out = kernel;
    return 0;
}

static void layer_destroy(struct layer_kernel *kernel)
{
    free(kernel);
}

static int prepare(struct layer_kernel *kernel, int rows, struct error *error)
{
    (void)kernel;
    (void)rows;
    (void)error;
    return 0;
}

static size_t saved_floats(const struct layer_kernel *kernel)
{
    return layer_type_of(kernel->layer.kind)->is_norm ? 2 * (size_t)kernel->layer.in.channels : 0;
}

static size_t workspace_bytes(const struct layer_kernel *kernel)
{
    const struct reference_layer *kind = &kinds[kernel->layer.kind];

    return kind->workspace_bytes ? kind->workspace_bytes(&kernel->layer) : 0;
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    (void)error;
    kinds[kernel->layer.kind].forward(&kernel->layer, call);
    return 0;
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    (void)error;
    kinds[kernel->layer.kind].backward_input(&kernel->layer, call);
    return 0;
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct reference_layer *kind = &kinds[kernel->layer.kind];

    (void)error;
    if (kind->backward_weights)
        kind->backward_weights(&kernel->layer, call);
    return 0;
}

const struct backend backend_reference = {
    .name = "reference",
    .available = available,
    .device = &device_host,
    .open = open_engine,
    .close = close_engine,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .prepare_forward = prepare,
    .prepare_backward = prepare,
    .saved_floats = saved_floats,
    .workspace_bytes = workspace_bytes,
    .forward = forward,
    .backward_input = backward_input,
    .backward_weights = backward_weights,
    .softmax_cross_entropy = reference_softmax_cross_entropy,
    .update = reference_update,
    .correct = reference_correct,
    .combine = reference_combine,
    .sum_of_squares = reference_sum_of_squares,
};
