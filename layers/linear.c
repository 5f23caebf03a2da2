/* Linear layer with bias; it reads its input flattened. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    (void)error;
    layer->out = (struct shape){1, 1, layer->units};
    return 0;
}

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    const int out = layer->out.channels, in = (int)shape_size(layer->in);

    tensors[0] = (struct layer_tensor){
        .name = "weight",
        .dimensions = 2,
        .shape = {out, in},
        .channels = layer->in.channels,
        .initial = INITIAL_HE_NORMAL,
        .fan = in,
    };
    tensors[1] = (struct layer_tensor){.name = "bias", .dimensions = 1, .shape = {out}, .channels = 1};
    return 2;
}

static double flops(const struct layer *layer)
{
    return 2.0 * (double)shape_size(layer->out) * (double)shape_size(layer->in);
}

const struct layer_type layer_linear = {
    .name = "linear",
    .summary = "linear layer with bias, on its input flattened",
    .inputs = 1,
    .arguments = {{"units", offsetof(struct layer, units), false, 1, 1 << 20, ARGUMENT_REQUIRED}},
    .complete = complete,
    .tensors = tensors,
    .flops = flops,
    .has_weight_half = true,
    .fuses_relu = true,
};
