/* Initial weights and state. Every number is a function of seed, layer and element, so no partition can change it. */
#include <math.h>

#include "base/random.h"
#include "model/model.h"

static void fill(float *values, size_t count, float value)
{
    for (size_t i = 0; i < count; i++)
        values[i] = value;
}

static void fill_he_normal(float *values, size_t count, int fan, uint64_t seed, int layer)
{
    float deviation = sqrtf(2.0f / (float)fan);

    for (size_t i = 0; i < count; i++)
        values[i] = deviation * random_normal(seed, RANDOM_WEIGHTS, (uint32_t)layer, i);
}

static void initialise_layer(const struct layer *layer, int index, uint64_t seed, float *weights, float *state)
{
    size_t channels = (size_t)layer->out.channels, inputs = shape_size(layer->in);

    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        fill_he_normal(weights, layer->parameters, layer->kernel * layer->kernel * layer->out.channels, seed, index);
        break;
    case LAYER_BATCH_NORM:
        fill(weights, channels, 1.0f);
        fill(weights + channels, channels, 0.0f);
        fill(state, channels, 0.0f);
        fill(state + channels, channels, 1.0f);
        break;
    case LAYER_LINEAR:
        fill_he_normal(weights, channels * inputs, (int)inputs, seed, index);
        fill(weights + channels * inputs, channels, 0.0f);
        break;
    case LAYER_AVERAGE_POOL:
        break;
    }
}

void network_initialise(const struct network *network, const struct slice *slice, uint64_t seed, float *weights,
                        float *state)
{
    for (int i = slice->first_layer; i < slice->first_layer + slice->layer_count; i++) {
        const struct layer *layer = &network->layers[i];
        initialise_layer(layer, i, seed, weights + (layer->parameter_offset - slice->parameter_offset),
                         state + (layer->state_offset - slice->state_offset));
    }
}
