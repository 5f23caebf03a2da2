/* Embedding: for each token its row of a table. */
#include "layers/layer.h"

static int complete(struct layer *layer, struct error *error)
{
    if (layer->in.channels != 1)
        return error_set(error, "an embedding reads one token at each position, not %d numbers", layer->in.channels);
    layer->out = (struct shape){layer->in.height, layer->in.width, layer->units};
    return 0;
}

static int tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX])
{
    tensors[0] = (struct layer_tensor){.name = "weight",
                                       .dimensions = 2,
                                       .shape = {layer->vocabulary, layer->units},
                                       .channels = 1,
                                       .initial = INITIAL_NORMAL};
    return 1;
}

const struct layer_type layer_embedding = {
    .name = "embedding",
    .summary = "for each token its row of a table",
    .inputs = 1,
    .arguments = {{"vocabulary", offsetof(struct layer, vocabulary), false, 1, 1 << 20, ARGUMENT_REQUIRED, NULL},
                  {"units", offsetof(struct layer, units), false, 1, 65536, ARGUMENT_REQUIRED, NULL}},
    .complete = complete,
    .tensors = tensors,
    .flops = layer_flop_per_element,
    .has_weight_half = true,
    .reads_tokens = true,
};
