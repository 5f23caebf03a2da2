/* Max pooling over square windows. Beyond the border there is nothing to be the largest. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    const struct shape in = layer->in;

    if (layer->stride == 0)
        layer->stride = layer->kernel;
    if (2 * layer->padding > layer->kernel)
        return error_set(error, "a padding of %d is more than half the window of %d", layer->padding, layer->kernel);
    if (in.height + 2 * layer->padding < layer->kernel || in.width + 2 * layer->padding < layer->kernel)
        return error_set(error,
                         "a window of %d does not fit %d x %d with a padding of %d; use a smaller one, or larger "
                         "images (data.enlarge)",
                         layer->kernel, in.height, in.width, layer->padding);
    layer->out = (struct shape){
        .height = (in.height + 2 * layer->padding - layer->kernel) / layer->stride + 1,
        .width = (in.width + 2 * layer->padding - layer->kernel) / layer->stride + 1,
        .channels = in.channels,
    };
    return 0;
}

static double flops(const struct layer *layer)
{
    return (double)shape_size(layer->out) * layer->kernel * layer->kernel;
}

const struct layer_type layer_max_pool = {
    .name = "max_pool",
    .summary = "each channel's largest value in square windows",
    .inputs = 1,
    .arguments = {{"kernel", offsetof(struct layer, kernel), false, 1, 11, ARGUMENT_REQUIRED, NULL},
                  {"stride", offsetof(struct layer, stride), false, 1, 11, 0, "by the kernel"},
                  {"padding", offsetof(struct layer, padding), false, 0, 5, 0, NULL}},
    .complete = complete,
    .flops = flops,
};
