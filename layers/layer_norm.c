/* Layer norm (Ba, Kiros and Hinton, 2016): each position's channels by their mean and variance. */
#include "layers/layer.h"

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    const int channels = layer->in.channels;

    tensors[0] = (struct layer_tensor){"weight", false, 1, {channels}, 1, INITIAL_ONE, 0};
    tensors[1] = (struct layer_tensor){"bias", false, 1, {channels}, 1, INITIAL_ZERO, 0};
    return 2;
}

/* Mean, variance, scale and shift. */
static double flops(const struct layer *layer)
{
    return 5.0 * (double)shape_size(layer->out);
}

const struct layer_type layer_layer_norm = {
    .name = "layer_norm",
    .summary = "normalisation of each position by mean and variance",
    .inputs = 1,
    .complete = layer_keep_shape,
    .tensors = tensors,
    .flops = flops,
    .has_weight_half = true,
};
