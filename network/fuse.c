/* What stands in a network file as layers of their own, a layer before them may do at once: then nothing lies in memory
 * between them. */
#include <stdlib.h>
#include <string.h>

#include "network/internal.h"

/* How often a layer reads layer l. */
static int layer_reads(const struct layer *layer, int l)
{
    int count = 0;

    for (int k = 0; k < layer->input_count; k++)
        count += layer->inputs[k] == l;
    return count;
}

static int count_readers(const struct network *network, int l)
{
    int count = 0;

    /* Only its own block and the one behind it can read it. */
    for (int k = l + 1; k < network->layer_count && network->layers[k].block <= network->layers[l].block + 1; k++)
        count += layer_reads(&network->layers[k], l);
    return count;
}

/* Whether layer l's output goes to the one behind it, of that kind and in the same block, and to nobody else. */
static bool leads_to(const struct network *network, int l, enum layer_kind kind)
{
    const struct layer *next = &network->layers[l + 1];

    return l + 1 < network->layer_count && next->kind == kind && next->block == network->layers[l].block &&
           layer_reads(next, l) == 1 && count_readers(network, l) == 1;
}

/* Takes the layer behind l into it: who read that one reads l. */
static void take_in(struct network *network, int l)
{
    for (int k = l + 1; k < network->layer_count; k++) {
        struct layer *layer = &network->layers[k];

        for (int n = 0; n < layer->input_count; n++)
            layer->inputs[n] -= layer->inputs[n] > l;
    }
    network->layer_count--;
    memmove(&network->layers[l + 1], &network->layers[l + 2],
            (size_t)(network->layer_count - l - 1) * sizeof(network->layers[0]));
}

static void fuse(struct network *network, int l)
{
    struct layer *layer = &network->layers[l];
    const struct layer_type *type = layer_type_of(layer->kind);

    if (type->adds_second && layer->input_count == 1 && leads_to(network, l, LAYER_ADD)) {
        const struct layer *add = &network->layers[l + 1];

        layer->inputs[layer->input_count++] = add->inputs[add->inputs[0] == l];
        take_in(network, l);
    }
    if (type->fuses_relu && leads_to(network, l, LAYER_RELU)) {
        layer->relu = true;
        take_in(network, l);
    }
}

int network_finish(struct network *network, struct error *error)
{
    struct layer *layers;

    for (int l = 0; l < network->layer_count; l++)
        fuse(network, l);
    for (int l = 0; l < network->layer_count; l++) {
        struct layer *layer = &network->layers[l];

        if (layer_complete(layer, error))
            return -1;
        layer->parameter_offset = network->parameters;
        layer->state_offset = network->state;
        network->parameters += layer->parameters;
        network->state += layer->state;
    }
    if (network->parameters > NETWORK_PARAMETERS_MAX)
        return error_set(error, "%zu parameters are more than %zu", network->parameters, NETWORK_PARAMETERS_MAX);
    layers = realloc(network->layers, (size_t)network->layer_count * sizeof(*layers));
    network->layers = layers ? layers : network->layers;
    return 0;
}
