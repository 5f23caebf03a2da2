/* Batch norm (Ioffe and Szegedy, ICML 2015) over rows, height and width. */
#include "layers/layer.h"

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    const int channels = layer->in.channels;

    tensors[0] = (struct layer_tensor){"weight", false, 1, {channels}, 1, INITIAL_ONE, 0};
    tensors[1] = (struct layer_tensor){"bias", false, 1, {channels}, 1, INITIAL_ZERO, 0};
    tensors[2] = (struct layer_tensor){"running_mean", true, 1, {channels}, 1, INITIAL_ZERO, 0};
    tensors[3] = (struct layer_tensor){"running_var", true, 1, {channels}, 1, INITIAL_ONE, 0};
    return 4;
}

/* Mean, variance, scale and shift: five; one for each extra. */
static double flops(const struct layer *layer)
{
    return (double)shape_size(layer->out) * (5.0 + (layer->input_count > 1) + layer->relu);
}

const struct layer_type layer_batch_norm = {
    .name = "batch_norm",
    .summary = "batch normalisation, by channel",
    .inputs = 1,
    .complete = layer_keep_shape,
    .tensors = tensors,
    .flops = flops,
    .is_norm = true,
    .adds_second = true,
    .fuses_relu = true,
};
