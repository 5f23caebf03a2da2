/* Dropout (Srivastava et al., JMLR 2014), inverted: in training it drops elements and scales up the others; in evaluation it
 * does nothing. */
#include "layers/layer.h"

/* The random numbers of four elements take about a hundred. */
static double flops(const struct layer *layer)
{
    return 25.0 * (double)shape_size(layer->out);
}

const struct layer_type layer_dropout = {
    .name = "dropout",
    .summary = "in training, sets so many in a hundred elements to 0, and scales up the others",
    .inputs = 1,
    .arguments = {{"percent", offsetof(struct layer, percent), false, 1, 99, ARGUMENT_REQUIRED, NULL}},
    .complete = layer_keep_shape,
    .flops = flops,
    .draws = true,
};
