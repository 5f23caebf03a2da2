/* Sigmoid linear unit, x / (1 + exp(-x)) (Elfwing et al., 2018). */
#include "layers/layer.h"

/* A handful. */
static double flops(const struct layer *layer)
{
    return 5.0 * (double)shape_size(layer->out);
}

const struct layer_type layer_silu = {
    .name = "silu",
    .summary = "each element times its sigmoid",
    .inputs = 1,
    .complete = layer_keep_shape,
    .flops = flops,
};
