#include "checkpoint/tensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tensors_create(struct tensors *tensors, const struct network *network, const struct slice *slice,
                   struct error *error)
{
    *tensors = (struct tensors){.list = calloc((size_t)slice->layer_count * LAYER_TENSORS_MAX, sizeof(struct tensor))};
    if (!tensors->list)
        return error_set(error, "out of memory");
    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        struct layer_tensor own[LAYER_TENSORS_MAX];
        const int count = layer_tensors(layer, own);
        size_t parameters = layer->parameter_offset - slice->parameter_offset;
        size_t state = layer->state_offset - slice->state_offset;

        for (int t = 0; t < count; t++) {
            struct tensor *tensor = &tensors->list[tensors->count++];
            size_t *end = own[t].state ? &state : &parameters;

            *tensor = (struct tensor){
                .state = own[t].state,
                .offset = *end,
                .count = layer_tensor_count(&own[t]),
                .dimensions = own[t].dimensions,
                .channels = own[t].channels,
            };
            snprintf(tensor->name, sizeof(tensor->name), "%s.%.14s", layer->name, own[t].name);
            memcpy(tensor->shape, own[t].shape, sizeof(tensor->shape));
            *end += tensor->count;
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
