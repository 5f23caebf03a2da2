/* Rectified linear unit. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    (void)error;
    layer->out = layer->in;
    return 0;
}

static double flops(const struct layer *layer)
{
    return (double)shape_size(layer->out);
}

const struct layer_type layer_relu = {
    .name = "relu",
    .summary = "what is below 0 becomes 0",
    .complete = complete,
    .flops = flops,
};
