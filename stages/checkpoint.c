#include "stages/checkpoint.h"

#include <errno.h>
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plan/config.h"

/* One tensor of a layer: where its floats are, and its shape in the file. */
struct tensor {
    const char *suffix;
    const float *data;
    size_t count;
    int dimensions;
    int shape[4];
    bool filter; /* [out][h][w][in] here, [out][in][h][w] in the file */
};

enum { TENSORS_PER_LAYER = 4 };

static int layer_tensors(const struct layer *layer, const float *weights, const float *state,
                         struct tensor tensors[TENSORS_PER_LAYER])
{
    int out = layer->out.channels, in = layer->in.channels;
    size_t inputs = shape_size(layer->in);

    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        tensors[0] = (struct tensor){
            "weight", weights, layer->parameters, 4, {out, in, layer->kernel, layer->kernel}, .filter = true};
        return 1;
    case LAYER_BATCH_NORM:
        tensors[0] = (struct tensor){"weight", weights, (size_t)out, 1, {out}, false};
        tensors[1] = (struct tensor){"bias", weights + out, (size_t)out, 1, {out}, false};
        tensors[2] = (struct tensor){"running_mean", state, (size_t)out, 1, {out}, false};
        tensors[3] = (struct tensor){"running_var", state + out, (size_t)out, 1, {out}, false};
        return 4;
    case LAYER_LINEAR:
        tensors[0] = (struct tensor){"weight", weights, (size_t)out * inputs, 2, {out, (int)inputs}, false};
        tensors[1] = (struct tensor){"bias", weights + (size_t)out * inputs, (size_t)out, 1, {out}, false};
        return 2;
    case LAYER_AVERAGE_POOL:
        break;
    }
    return 0;
}

/* Calls `visit` for every tensor of the slice, in file order. */
static int each_tensor(const struct network *network, const struct slice *slice, const float *weights,
                       const float *state, int (*visit)(const struct layer *, const struct tensor *, void *),
                       void *context)
{
    for (int l = slice->first_layer; l < slice->first_layer + slice->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        struct tensor tensors[TENSORS_PER_LAYER];
        int count = layer_tensors(layer, weights + layer->parameter_offset - slice->parameter_offset,
                                  state + layer->state_offset - slice->state_offset, tensors);

        for (int t = 0; t < count; t++)
            if (visit(layer, &tensors[t], context))
                return -1;
    }
    return 0;
}

struct header {
    json_t *json;
    size_t offset;
};

static int describe(const struct layer *layer, const struct tensor *tensor, void *context)
{
    struct header *header = context;
    char name[LAYER_NAME_MAX + 32];
    json_t *shape = json_array();
    size_t end = header->offset + tensor->count * sizeof(float);

    for (int d = 0; d < tensor->dimensions; d++)
        json_array_append_new(shape, json_integer(tensor->shape[d]));
    snprintf(name, sizeof(name), "%s.%s", layer->name, tensor->suffix);
    if (json_object_set_new(header->json, name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets",
                                      (json_int_t)header->offset, (json_int_t)end)))
        return -1;
    header->offset = end;
    return 0;
}

static int write_filter(const struct tensor *tensor, FILE *file)
{
    size_t in = (size_t)tensor->shape[1], area = (size_t)tensor->shape[2] * (size_t)tensor->shape[3];

    for (size_t out = 0; out < (size_t)tensor->shape[0]; out++)
        for (size_t c = 0; c < in; c++)
            for (size_t position = 0; position < area; position++)
                if (fwrite(&tensor->data[(out * area + position) * in + c], sizeof(float), 1, file) != 1)
                    return -1;
    return 0;
}

static int write_tensor(const struct layer *layer, const struct tensor *tensor, void *context)
{
    (void)layer;
    if (tensor->filter)
        return write_filter(tensor, context);
    return fwrite(tensor->data, sizeof(float), tensor->count, context) == tensor->count ? 0 : -1;
}

/* The format: u64 little-endian length of the JSON header, the header padded with spaces to 8 bytes, the data. */
static int write_file(FILE *file, const struct network *network, const struct slice *slice, const float *weights,
                      const float *state)
{
    struct header header = {.json = json_object()};
    char *text = NULL;
    int failed = 1;

    if (!each_tensor(network, slice, weights, state, describe, &header) &&
        (text = json_dumps(header.json, JSON_COMPACT))) {
        size_t length = strlen(text), padding = (8 - length % 8) % 8;
        uint64_t header_bytes = length + padding;

        failed = fwrite(&header_bytes, sizeof(header_bytes), 1, file) != 1 || fputs(text, file) < 0 ||
                 fprintf(file, "%*s", (int)padding, "") < 0 ||
                 each_tensor(network, slice, weights, state, write_tensor, file);
    }
    free(text);
    json_decref(header.json);
    return failed || fflush(file) || fsync(fileno(file)) ? -1 : 0;
}

int checkpoint_write(const char *folder, const char *name, int stage, const struct network *network,
                     const struct slice *slice, const float *weights, const float *state, struct error *error)
{
    char path[CONFIG_PATH_MAX + 128], temporary[sizeof(path) + 8];
    FILE *file;
    int failed;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    if (mkdir(path, 0777) && errno != EEXIST)
        return error_set(error, "cannot make the folder %s: %s", path, strerror(errno));
    snprintf(path, sizeof(path), "%s/%s/stage-%d.safetensors", folder, name, stage);
    snprintf(temporary, sizeof(temporary), "%s.part", path);
    file = fopen(temporary, "w");
    if (!file)
        return error_set(error, "cannot write %s: %s", temporary, strerror(errno));
    failed = write_file(file, network, slice, weights, state);
    if (fclose(file) || failed || rename(temporary, path)) {
        error_set(error, "cannot write %s: %s", path, strerror(errno));
        unlink(temporary);
        return -1;
    }
    return 0;
}
