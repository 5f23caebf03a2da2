/* Networks and their slices. */
#include "network/network.h"

#include <stdlib.h>

void network_destroy(struct network *network)
{
    if (!network)
        return;
    free(network->layers);
    free(network->blocks);
    free(network);
}

int network_targets_per_sample(const struct network *network)
{
    const struct shape out = network->layers[network->layer_count - 1].out;

    return out.height * out.width;
}

struct slice network_slice(const struct network *network, int first_block, int block_count)
{
    const struct layer *layers = network->layers;
    struct slice slice = {.first_block = first_block, .block_count = block_count};

    while (layers[slice.first_layer].block < first_block)
        slice.first_layer++;
    slice.parameter_offset = layers[slice.first_layer].parameter_offset;
    slice.state_offset = layers[slice.first_layer].state_offset;
    for (int i = slice.first_layer; i < network->layer_count && layers[i].block < first_block + block_count; i++) {
        slice.layer_count++;
        slice.parameters += layers[i].parameters;
        slice.state += layers[i].state;
    }
    return slice;
}

struct shape slice_input(const struct network *network, const struct slice *slice)
{
    return slice->first_layer == 0 ? network->input : network->layers[slice->first_layer - 1].out;
}

struct shape slice_output(const struct network *network, const struct slice *slice)
{
    return network->layers[slice->first_layer + slice->layer_count - 1].out;
}
