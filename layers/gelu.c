/* Gaussian error linear unit, x times the normal distribution's function of x (Hendrycks and Gimpel, 2016), exactly. */
#include "layers/layer.h"

/* A handful. */
static double flops(const struct layer *layer)
{
    return 5.0 * (double)shape_size(layer->out);
}

const struct layer_type layer_gelu = {
    .name = "gelu",
    .summary = "each element times the normal distribution's function of it",
    .inputs = 1,
    .complete = layer_keep_shape,
    .flops = flops,
};
