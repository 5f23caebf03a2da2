/* Causal attention (Vaswani et al., NeurIPS 2017) of queries, keys and values, in heads; several heads of queries may share one
 * of keys and values (Ainslie et al., EMNLP 2023). */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    if (layer->kv_heads == 0)
        layer->kv_heads = layer->heads;
    if (layer_check_heads(layer, error))
        return -1;
    if (layer->heads % layer->kv_heads != 0)
        return error_set(error, "%d heads cannot share %d of keys and values: take a number that divides them",
                         layer->heads, layer->kv_heads);
    for (int k = 1; k < LAYER_INPUTS_MAX; k++)
        for (int other = 0; other < k; other++)
            if (layer->inputs[k] == layer->inputs[other])
                return error_set(error, "attention reads three layers: name each once");
    return layer_keep_shape(layer, error);
}

static struct shape input_shape(const struct layer *layer, int k)
{
    struct shape shape = layer->in;

    (void)k;
    shape.channels = layer->in.channels / layer->heads * layer->kv_heads;
    return shape;
}

/* Products of each query with the keys up to its own, and of what they come to with the values. */
static double flops(const struct layer *layer)
{
    return 2.0 * (double)shape_size(layer->in) * ((double)shape_positions(layer->in) + 1.0);
}

const struct layer_type layer_attention = {
    .name = "attention",
    .summary = "causal attention of queries, keys and values",
    .inputs = 3,
    .arguments = {{"heads", offsetof(struct layer, heads), false, 1, 4096, ARGUMENT_REQUIRED, NULL},
                  {"kv_heads", offsetof(struct layer, kv_heads), false, 1, 4096, 0, "as heads"}},
    .complete = complete,
    .input_shape = input_shape,
    .flops = flops,
    .input_half_is_twice = true,
};
