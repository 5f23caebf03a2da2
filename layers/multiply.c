/* The product of two tensors of one shape, element by element: a gate. */
#include "layers/layer.h"

const struct layer_type layer_multiply = {
    .name = "multiply",
    .summary = "the product of two tensors of one shape",
    .inputs = 2,
    .complete = layer_keep_shape,
    .flops = layer_flop_per_element,
};
