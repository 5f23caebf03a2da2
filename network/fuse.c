/* What stands in a network file as layers of their own, a layer before them may do at once: then nothing lies in memory
 * between them. */
#include <stdlib.h>
#include <string.h>

#include "network/internal.h"

static int count_readers(const struct network *network, int l)
{
    int count = 0;

    /* Only its own block and the one behind it can read it. */
    for (int k = l + 1; k < network->layer_count && network->layers[k].block <= network->layers[l].block + 1; k++)
        count += (network->layers[k].input == l) + (network->layers[k].residual == l);
    return count;
}

/* Whether layer l's output goes to the one behind it, of that kind and in the same block, and to nobody else. */
static bool leads_to(const struct network *network, int l, enum layer_kind kind)
{
    const struct layer *next = &network->layers[l + 1];

    return l + 1 < network->layer_count && next->kind == kind && next->block == network->layers[l].block &&
           (next->input == l) + (next->residual == l) == 1 && count_readers(network, l) == 1;
}

/* Takes the layer behind l into it: who read that one reads l. */
static void take_in(struct network *network, int l)
{
    for (int k = l + 1; k < network->layer_count; k++) {
        struct layer *layer = &network->layers[k];

        layer->input -= layer->input > l;
        layer->residual -= layer->residual > l;
    }
    network->layer_count--;
    memmove(&network->layers[l + 1], &network->layers[l + 2],
            (size_t)(network->layer_count - l - 1) * sizeof(network->layers[0]));
}

static void fuse(struct network *network, int l)
{
    struct layer *layer = &network->layers[l];
    const struct layer_type *type = layer_type_of(layer->kind);

    if (type->fuses_residual && leads_to(network, l, LAYER_ADD)) {
        const struct layer *add = &network->layers[l + 1];

        layer->residual = add->input == l ? add->residual : add->input;
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
