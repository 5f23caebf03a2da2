/* Convolution with a square kernel. Padding is half the kernel unless it is given, so that with stride 1 images keep their
 * size. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    const struct shape in = layer->in;

    if (layer->padding < 0)
        layer->padding = layer->kernel / 2;
    if (in.height + 2 * layer->padding < layer->kernel || in.width + 2 * layer->padding < layer->kernel)
        return error_set(error,
                         "a kernel of %d does not fit %d x %d with a padding of %d; use a smaller one, or larger "
                         "images (data.enlarge)",
                         layer->kernel, in.height, in.width, layer->padding);
    layer->out = (struct shape){
        .height = (in.height + 2 * layer->padding - layer->kernel) / layer->stride + 1,
        .width = (in.width + 2 * layer->padding - layer->kernel) / layer->stride + 1,
        .channels = layer->units,
    };
    return 0;
}

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    const int out = layer->out.channels, in = layer->in.channels, kernel = layer->kernel;

    tensors[0] = (struct layer_tensor){
        .name = "weight",
        .dimensions = 4,
        .shape = {out, in, kernel, kernel},
        .channels = in,
        .initial = INITIAL_HE_NORMAL,
        .fan = kernel * kernel * out,
    };
    tensors[1] = (struct layer_tensor){.name = "bias", .dimensions = 1, .shape = {out}, .channels = 1};
    return layer->bias ? 2 : 1;
}

static double flops(const struct layer *layer)
{
    return 2.0 * (double)shape_size(layer->out) * layer->kernel * layer->kernel * layer->in.channels;
}

const struct layer_type layer_convolution = {
    .name = "convolution",
    .summary = "convolution with square kernels",
    .inputs = 1,
    .arguments = {{"channels", offsetof(struct layer, units), false, 1, 65536, ARGUMENT_REQUIRED, NULL},
                  {"kernel", offsetof(struct layer, kernel), false, 1, 11, ARGUMENT_REQUIRED, NULL},
                  {"stride", offsetof(struct layer, stride), false, 1, 11, 1, NULL},
                  {"padding", offsetof(struct layer, padding), false, 0, 10, -1, "by the kernel"},
                  {"bias", offsetof(struct layer, bias), true, 0, 1, 0, NULL}},
    .complete = complete,
    .tensors = tensors,
    .flops = flops,
    .has_weight_half = true,
    .fuses_relu = true,
};
