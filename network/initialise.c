/* Initial weights and state. Every number is a function of seed, layer and element, so no partition can change it. */
#include <math.h>

#include "base/random.h"
#include "network/network.h"

static void fill(float *values, size_t count, float value)
{
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

static void fill_normal(float *values, size_t count, float deviation, uint64_t seed, int layer)
{
    for (size_t i = 0; i < count; i++)
        values[i] = deviation * random_normal(seed, RANDOM_WEIGHTS, (uint32_t)layer, i);
}

/* Of a tensor's random numbers; 0 if it has none. */
static float deviation_of(const struct network *network, const struct layer_tensor *tensor)
{
    switch (tensor->initial) {
    case INITIAL_HE_NORMAL:
        return network->deviation > 0.0f ? network->deviation : sqrtf(2.0f / (float)tensor->fan);
    case INITIAL_NORMAL:
        return network->deviation > 0.0f ? network->deviation : 1.0f;
    default:
        return 0.0f;
    }
}

static void initialise_layer(const struct network *network, int index, uint64_t seed, float *weights, float *state)
{
    const struct layer *layer = &network->layers[index];
    struct layer_tensor tensors[LAYER_TENSORS_MAX];
    const int count = layer_tensors(layer, tensors);

    for (int t = 0; t < count; t++) {
        const struct layer_tensor *tensor = &tensors[t];
        const size_t floats = layer_tensor_count(tensor);
        float **values = tensor->state ? &state : &weights;

        if (deviation_of(network, tensor) > 0.0f)
            fill_normal(*values, floats, deviation_of(network, tensor), seed, index);
        else
            fill(*values, floats, tensor->initial == INITIAL_ONE ? 1.0f : 0.0f);
        *values += floats;
    }
}

void network_initialise(const struct network *network, const struct slice *slice, uint64_t seed, float *weights,
                        float *state)
{
    for (int i = slice->first_layer; i < slice->first_layer + slice->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        initialise_layer(network, i, seed, weights + (layer->parameter_offset - slice->parameter_offset),
                         state + (layer->state_offset - slice->state_offset));
    }
}
