/* Rotary position embedding (Su et al., 2021): in each head, pairs of channels are turned by an angle that grows with the
 * position. Pairs are channels i and i + half of a head, as Hugging Face's Llama has them. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    if (layer_check_heads(layer, error))
        return -1;
    if (layer->in.channels / layer->heads % 2 != 0)
        return error_set(error,
                         "heads of %d channels have one that is left over: rope turns pairs, so take an even number",
                         layer->in.channels / layer->heads);
    return layer_keep_shape(layer, error);
}

/* Two products and a sum. */
static double flops(const struct layer *layer)
{
    return 3.0 * (double)shape_size(layer->out);
}

const struct layer_type layer_rope = {
    .name = "rope",
    .summary = "rotary positions: turns pairs of channels by the position",
    .inputs = 1,
    .arguments = {{"heads", offsetof(struct layer, heads), false, 1, 4096, ARGUMENT_REQUIRED, NULL},
                  {"theta", offsetof(struct layer, theta), false, 1, 1000000000, 10000, NULL}},
    .complete = complete,
    .flops = flops,
};
