/* RMSNorm (Zhang and Sennrich, NeurIPS 2019): each position's channels by their root mean square. */
#include "layers/layer.h"

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    tensors[0] = (struct layer_tensor){"weight", false, 1, {layer->in.channels}, 1, INITIAL_ONE, 0};
    return 1;
}

/* A square, its sum, two products. */
static double flops(const struct layer *layer)
{
    return 4.0 * (double)shape_size(layer->out);
}

const struct layer_type layer_rms_norm = {
    .name = "rms_norm",
    .summary = "root-mean-square normalisation of each position",
    .inputs = 1,
    .complete = layer_keep_shape,
    .tensors = tensors,
    .flops = flops,
    .has_weight_half = true,
};
