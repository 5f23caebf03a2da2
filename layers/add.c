/* The sum of two tensors of one shape: the end of a residual block. */
#include "layers/layer.h"

const struct layer_type layer_add = {
    .name = "add",
    .summary = "the sum of two tensors of one shape",
    .inputs = 2,
    .complete = layer_keep_shape,
    .flops = layer_flop_per_element,
    .adds_second = true,
    .fuses_relu = true,
};
