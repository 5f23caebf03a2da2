#include "checkpoint/tensors.h"

#include <stdio.h>
#include <stdlib.h>

enum { TENSORS_PER_LAYER = 4 };

/* The layer's tensors, with offsets from its first parameter and its first running statistic. */
static int layer_tensors(const struct layer *layer, struct tensor tensors[TENSORS_PER_LAYER])
{
    const int out = layer->out.channels, in = layer->in.channels, inputs = (int)shape_size(layer->in);
    const size_t channels = (size_t)out;

    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        tensors[0] =
            (struct tensor){"weight", false, 0, layer->parameters, 4, {out, in, layer->kernel, layer->kernel}, in};
        return 1;
    case LAYER_BATCH_NORM:
        tensors[0] = (struct tensor){"weight", false, 0, channels, 1, {out}, 1};
        tensors[1] = (struct tensor){"bias", false, channels, channels, 1, {out}, 1};
        tensors[2] = (struct tensor){"running_mean", true, 0, channels, 1, {out}, 1};
        tensors[3] = (struct tensor){"running_var", true, channels, channels, 1, {out}, 1};
        return 4;
    case LAYER_LINEAR:
        tensors[0] = (struct tensor){"weight", false, 0, channels * (size_t)inputs, 2, {out, inputs}, in};
        tensors[1] = (struct tensor){"bias", false, channels * (size_t)inputs, channels, 1, {out}, 1};
        return 2;
    case LAYER_AVERAGE_POOL:
        break;
    }
    return 0;
}

int tensors_create(struct tensors *tensors, const struct network *network, const struct slice *slice,
                   struct error *error)
{
    *tensors = (struct tensors){.list = calloc((size_t)slice->layer_count * TENSORS_PER_LAYER, sizeof(struct tensor))};
    if (!tensors->list)
        return error_set(error, "out of memory");
    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        struct tensor own[TENSORS_PER_LAYER];
        const int count = layer_tensors(layer, own);

        for (int t = 0; t < count; t++) {
            struct tensor *tensor = &tensors->list[tensors->count++];

            *tensor = own[t];
            snprintf(tensor->name, sizeof(tensor->name), "%s.%.14s", layer->name, own[t].name);
            tensor->offset += tensor->state ? layer->state_offset - slice->state_offset
                                            : layer->parameter_offset - slice->parameter_offset;
        }
    }
    return 0;
}

void tensors_release(struct tensors *tensors)
{
    free(tensors->list);
    *tensors = (struct tensors){0};
}

size_t tensor_element(const struct tensor *tensor, size_t i)
{
    const size_t inputs = tensor->count / (size_t)tensor->shape[0], channels = (size_t)tensor->channels;
    const size_t area = inputs / channels, out = i / inputs, channel = i % inputs / area, position = i % area;

    return tensor->offset + (out * area + position) * channels + channel;
}
