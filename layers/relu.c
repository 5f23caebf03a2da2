/* Rectified linear unit. */
#include "layers/layer.h"

const struct layer_type layer_relu = {
    .name = "relu",
    .summary = "what is below 0 becomes 0",
    .inputs = 1,
    .complete = layer_keep_shape,
    .flops = layer_flop_per_element,
};
