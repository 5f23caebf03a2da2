#include "stages/weights.h"

#include <stdlib.h>

enum { FREE = -1 };

struct buffer {
    int version; /* or FREE */
    float *floats;
};

struct weights {
    struct device *device;
    size_t parameters;
    int live;
    int buffer_count;
    struct buffer buffers[];
};

int weights_create(struct weights **out, struct device *device, size_t parameters, int buffers, struct error *error)
{
    struct weights *weights = calloc(1, sizeof(*weights) + (size_t)buffers * sizeof(weights->buffers[0]));

    *out = NULL;
    if (!weights)
        return error_set(error, "out of memory for %d weight versions", buffers);
    weights->device = device;
    weights->parameters = parameters;
    weights->buffer_count = buffers;
    for (int i = 0; i < buffers; i++) {
        weights->buffers[i].version = FREE;
        if (device_floats(device, &weights->buffers[i].floats, parameters, "a weight version", error)) {
            weights_destroy(weights);
            return -1;
        }
    }
    weights->buffers[0].version = 0;
    *out = weights;
    return 0;
}

void weights_destroy(struct weights *weights)
{
    if (!weights)
        return;
    for (int i = 0; i < weights->buffer_count; i++)
        weights->device->type->release(weights->device, weights->buffers[i].floats);
    free(weights);
}

/* Index of the first buffer that holds `version`, or is FREE; -1 if there is none. */
static int find(const struct weights *weights, int version)
{
    for (int i = 0; i < weights->buffer_count; i++)
        if (weights->buffers[i].version == version)
            return i;
    return -1;
}

void weights_renumber(struct weights *weights, int version)
{
    weights->buffers[find(weights, weights->live)].version = version;
    weights->live = version;
}

float *weights_live(struct weights *weights)
{
    return weights->buffers[find(weights, weights->live)].floats;
}

const float *weights_version(const struct weights *weights, int version)
{
    int i = version < 0 ? -1 : find(weights, version);

    return i < 0 ? NULL : weights->buffers[i].floats;
}

int weights_count(const struct weights *weights)
{
    int count = 0;

    for (int i = 0; i < weights->buffer_count; i++)
        count += weights->buffers[i].version != FREE;
    return count;
}

void weights_retire(struct weights *weights, const struct version_tracker *tracker)
{
    for (int i = 0; i < weights->buffer_count; i++) {
        int version = weights->buffers[i].version;

        if (version != FREE && version != weights->live && !versions_needed(tracker, version))
            weights->buffers[i].version = FREE;
    }
}

/* The buffer for the version after the live one; -1 if all are in use. */
static int choose_buffer(struct weights *weights, const struct version_tracker *tracker, struct error *error)
{
    int to = find(weights, weights->live);

    weights_retire(weights, tracker);
    if (versions_needed(tracker, weights->live) && (to = find(weights, FREE)) < 0)
        return error_set(error, "no room for weight version %d: all %d buffers are in use", versions_live(tracker),
                         weights->buffer_count);
    return to;
}

float *weights_make_room(struct weights *weights, const struct version_tracker *tracker, struct error *error)
{
    int to = choose_buffer(weights, tracker, error);

    if (to < 0)
        return NULL;
    weights->buffers[to].version = weights->live = versions_live(tracker);
    return weights->buffers[to].floats;
}
