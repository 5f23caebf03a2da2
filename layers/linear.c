/* Linear layer; it reads its input flattened, or each position by itself. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    (void)error;
    layer->out = (struct shape){1, 1, layer->units};
    if (layer->per_position)
        layer->out = (struct shape){layer->in.height, layer->in.width, layer->units};
    return 0;
}

/* Numbers that each output reads. */
static int inputs(const struct layer *layer)
{
    return (int)(shape_size(layer->in) / (size_t)layer_linear_rows(layer));
}

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    const int out = layer->units, in = inputs(layer);

    tensors[0] = (struct layer_tensor){
        .name = "weight",
        .dimensions = 2,
        .shape = {out, in},
        .channels = layer->in.channels,
        .initial = INITIAL_HE_NORMAL,
        .fan = in,
    };
    tensors[1] = (struct layer_tensor){.name = "bias", .dimensions = 1, .shape = {out}, .channels = 1};
    return layer->bias ? 2 : 1;
}

static double flops(const struct layer *layer)
{
    return 2.0 * (double)shape_size(layer->out) * (double)inputs(layer);
}

const struct layer_type layer_linear = {
    .name = "linear",
    .summary = "linear layer, on its input flattened or on each position by itself",
    .inputs = 1,
    .arguments = {{"units", offsetof(struct layer, units), false, 1, 1 << 20, ARGUMENT_REQUIRED, NULL},
                  {"bias", offsetof(struct layer, bias), true, 0, 1, 1, NULL},
                  {"per_position", offsetof(struct layer, per_position), true, 0, 1, 0, NULL}},
    .complete = complete,
    .tensors = tensors,
    .flops = flops,
    .has_weight_half = true,
    .fuses_relu = true,
};
