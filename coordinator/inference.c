#include "coordinator/inference.h"

#include <stdlib.h>

#include "base/memory.h"
#include "device/device.h"

struct inference {
    const struct network *network;
    const struct backend *backend;
    struct device *device;
    struct engine *engine;
    const float *parameters;
    float *state;
    struct layer_kernel **kernels; /* [layers] */
    float **outputs;               /* [layers] */
    float *saved, *workspace;      /* of the layer that wants most */
};

static const struct backend *choose_backend(struct error *error)
{
    const struct backend *backend;

    for (int n = 0; (backend = backend_at(n)); n++)
        if (backend->device == &device_host && backend->available(error) == 0)
            return backend;
    return NULL;
}

static int create_layers(struct inference *inference, struct error *error)
{
    const struct backend *backend = inference->backend;
    const struct network *network = inference->network;
    size_t saved = 1, workspace = 1;

    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        struct layer_kernel **kernel = &inference->kernels[l];

        if (backend->layer_create(kernel, inference->engine, layer, error) ||
            backend->prepare_forward(*kernel, 1, error) ||
            memory_floats(&inference->outputs[l], shape_size(layer->out), layer->name, error))
            return -1;
        const size_t floats = backend->saved_floats(*kernel), bytes = backend->workspace_bytes(*kernel);
        saved = floats > saved ? floats : saved;
        workspace = bytes > workspace ? bytes : workspace;
    }
    return memory_floats(&inference->saved, saved, "what layers keep", error) ||
           memory_floats(&inference->workspace, workspace / sizeof(float) + 1, "layers' workspace", error);
}

int inference_create(struct inference **out, const struct network *network, const float *parameters, float *state,
                     struct error *error)
{
    const struct engine_options options = {.threads = 1};
    struct inference *inference = calloc(1, sizeof(*inference));
    const size_t layers = (size_t)network->layer_count;

    *out = NULL;
    if (!inference)
        return error_set(error, "out of memory for a network");
    inference->network = network;
    inference->parameters = parameters;
    inference->state = state;
    inference->kernels = calloc(layers, sizeof(struct layer_kernel *));
    inference->outputs = calloc(layers, sizeof(float *));
    if (!inference->kernels || !inference->outputs) {
        error_set(error, "out of memory for %zu layers", layers);
        goto fail;
    }
    inference->backend = choose_backend(error);
    if (!inference->backend || device_host.open(&inference->device, 0, error) ||
        inference->backend->open(&inference->engine, inference->device, &options, error) ||
        create_layers(inference, error))
        goto fail;
    *out = inference;
    return 0;
fail:
    inference_destroy(inference);
    return -1;
}

void inference_destroy(struct inference *inference)
{
    if (!inference)
        return;
    for (int l = 0; l < inference->network->layer_count; l++) {
        if (inference->kernels && inference->kernels[l])
            inference->backend->layer_destroy(inference->kernels[l]);
        if (inference->outputs)
            free(inference->outputs[l]);
    }
    if (inference->engine)
        inference->backend->close(inference->engine);
    if (inference->device)
        device_host.close(inference->device);
    free(inference->kernels);
    free(inference->outputs);
    free(inference->saved);
    free(inference->workspace);
    free(inference);
}

int inference_run(struct inference *inference, const void *input, const float **output, struct error *error)
{
    const struct network *network = inference->network;

    for (int l = 0; l < network->layer_count; l++) {
        const struct layer *layer = &network->layers[l];
        struct forward_call call = {
            .rows = 1,
            .weights = inference->parameters + layer->parameter_offset,
            .output = inference->outputs[l],
            .saved = inference->saved,
            .state = inference->state + layer->state_offset,
            .workspace = inference->workspace,
        };

        for (int k = 0; k < layer->input_count; k++)
            call.inputs[k] = layer->inputs[k] == NETWORK_INPUT ? input : inference->outputs[layer->inputs[k]];
        if (inference->backend->forward(inference->kernels[l], &call, error))
            return error_prefix(error, "layer %s", layer->name);
    }
    *output = inference->outputs[network->layer_count - 1];
    return 0;
}
