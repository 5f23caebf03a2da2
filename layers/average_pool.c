/* Global average pooling: each channel's mean over height and width. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    (void)error;
    layer->out = (struct shape){1, 1, layer->in.channels};
    return 0;
}

static double flops(const struct layer *layer)
{
    return (double)shape_size(layer->in);
}

const struct layer_type layer_average_pool = {
    .name = "average_pool",
    .summary = "each channel's mean over height and width",
    .inputs = 1,
    .complete = complete,
    .flops = flops,
};
