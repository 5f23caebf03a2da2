/* The architectures: a row per name, a builder per family, and the arithmetic of shapes, sizes and costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

enum { IMAGE_SIDE_MIN = 28, IMAGE_SIDE_MAX = 64, CLASSES_MIN = 2, CLASSES_MAX = 256 };
enum { BLOCK_LAYERS_MAX = 6, MLP_HIDDEN = 256, RESNET_WIDTH = 16, RESNET_GROUPS = 3 };

struct architecture {
    const char *name;
    int blocks; /* 0: as many as the depth that is asked for */
    void (*build)(struct network *network);
};

static void build_resnet(struct network *network);
static void build_mlp(struct network *network);

/* resnetD: D = 6n + 2 weight layers in 3n residual blocks, a stem and a head (He et al., CVPR 2016, section 4.2). */
static const struct architecture architectures[] = {
    {"resnet8", 5, build_resnet},   {"resnet20", 11, build_resnet},  {"resnet32", 17, build_resnet},
    {"resnet56", 29, build_resnet}, {"resnet110", 56, build_resnet}, {"mlp", 0, build_mlp},
};

const char *network_architectures(void)
{
    return "resnet8, resnet20, resnet32, resnet56, resnet110, mlp";
}

/* Floating-point operations of one sample: two per multiply-add of convolutions and linear layers; a handful per
 * element where memory is the cost anyway. A backward does a forward's work once for the weights' gradient and once for
 * the input's. */
static void count_flops(struct layer *layer)
{
    double in = (double)shape_size(layer->in), out = (double)shape_size(layer->out);
    double backward_per_forward = layer->input == NETWORK_INPUT ? 1.0 : 2.0;

    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        layer->forward_flops = 2.0 * out * layer->kernel * layer->kernel * layer->in.channels;
        break;
    case LAYER_LINEAR:
        layer->forward_flops = 2.0 * out * in;
        break;
    case LAYER_BATCH_NORM: /* mean, variance, scale and shift: five; one for each extra */
        layer->forward_flops = out * (5.0 + (layer->residual != NO_RESIDUAL) + layer->relu);
        break;
    case LAYER_AVERAGE_POOL:
        layer->forward_flops = in;
        backward_per_forward = 1.0;
        break;
    }
    layer->backward_flops = backward_per_forward * layer->forward_flops;
}

static int convolved(int size, const struct layer *layer)
{
    return (size + 2 * layer->padding - layer->kernel) / layer->stride + 1;
}

static void complete_layer(struct layer *layer)
{
    switch (layer->kind) {
    case LAYER_CONVOLUTION:
        layer->out.height = convolved(layer->in.height, layer);
        layer->out.width = convolved(layer->in.width, layer);
        layer->parameters = (size_t)layer->out.channels * (size_t)(layer->kernel * layer->kernel * layer->in.channels);
        break;
    case LAYER_BATCH_NORM:
        layer->out = layer->in;
        layer->parameters = layer->state = 2 * (size_t)layer->in.channels;
        break;
    case LAYER_LINEAR:
        layer->out.height = layer->out.width = 1;
        layer->parameters = (size_t)layer->out.channels * (shape_size(layer->in) + 1);
        break;
    case LAYER_AVERAGE_POOL:
        layer->out = (struct shape){1, 1, layer->in.channels};
        break;
    }
    count_flops(layer);
}

/* Appends what `layer` says to `block` and works out the rest. Returns the layer's index. */
static int append(struct network *network, int block, const char *name, struct layer layer)
{
    const struct layer *last = network->layer_count > 0 ? &network->layers[network->layer_count - 1] : NULL;

    if (block == 0)
        snprintf(layer.name, sizeof(layer.name), "stem.%s", name);
    else if (block == network->block_count - 1)
        snprintf(layer.name, sizeof(layer.name), "head.%s", name);
    else
        snprintf(layer.name, sizeof(layer.name), "block%d.%s", block, name);
    layer.block = block;
    layer.in = layer.input == NETWORK_INPUT ? network->input : network->layers[layer.input].out;
    layer.parameter_offset = last ? last->parameter_offset + last->parameters : 0;
    layer.state_offset = last ? last->state_offset + last->state : 0;
    complete_layer(&layer);
    network->parameters += layer.parameters;
    network->state += layer.state;
    network->layers[network->layer_count] = layer;
    return network->layer_count++;
}

/* A square convolution whose output is the input's size divided by the stride, rounded up. */
static int append_convolution(struct network *network, int block, const char *name, int input, int channels, int kernel,
                              int stride)
{
    return append(network, block, name,
                  (struct layer){.kind = LAYER_CONVOLUTION,
                                 .input = input,
                                 .residual = NO_RESIDUAL,
                                 .out.channels = channels,
                                 .kernel = kernel,
                                 .stride = stride,
                                 .padding = kernel / 2});
}

static int append_batch_norm(struct network *network, int block, const char *name, int input, int residual, bool relu)
{
    return append(network, block, name,
                  (struct layer){.kind = LAYER_BATCH_NORM, .input = input, .residual = residual, .relu = relu});
}

static int append_linear(struct network *network, int block, int input, int channels, bool relu)
{
    return append(
        network, block, "linear",
        (struct layer){
            .kind = LAYER_LINEAR, .input = input, .residual = NO_RESIDUAL, .out.channels = channels, .relu = relu});
}

/* Two 3x3 convolutions around the shortcut: the identity, or a projection where the shape changes. */
static int append_residual_block(struct network *network, int block, int input, int channels, int stride)
{
    int shortcut = input;

    int branch = append_convolution(network, block, "conv1", input, channels, 3, stride);
    branch = append_batch_norm(network, block, "bn1", branch, NO_RESIDUAL, true);
    branch = append_convolution(network, block, "conv2", branch, channels, 3, 1);
    if (stride != 1 || network->layers[input].out.channels != channels) {
        shortcut = append_convolution(network, block, "shortcut", input, channels, 1, stride);
        shortcut = append_batch_norm(network, block, "shortcut_bn", shortcut, NO_RESIDUAL, false);
    }
    return append_batch_norm(network, block, "bn2", branch, shortcut, true);
}

static void build_resnet(struct network *network)
{
    int per_group = (network->block_count - 2) / RESNET_GROUPS, block = 0;

    int last = append_convolution(network, block, "conv", NETWORK_INPUT, RESNET_WIDTH, 3, 1);
    last = append_batch_norm(network, block, "bn", last, NO_RESIDUAL, true);
    for (int group = 0; group < RESNET_GROUPS; group++)
        for (int i = 0; i < per_group; i++)
            last = append_residual_block(network, ++block, last, RESNET_WIDTH << group, group > 0 && i == 0 ? 2 : 1);
    last = append(network, ++block, "pool",
                  (struct layer){.kind = LAYER_AVERAGE_POOL, .input = last, .residual = NO_RESIDUAL});
    append_linear(network, block, last, network->classes, false);
}

static void build_mlp(struct network *network)
{
    int last = NETWORK_INPUT;

    for (int block = 0; block < network->block_count - 1; block++)
        last = append_linear(network, block, last, MLP_HIDDEN, true);
    append_linear(network, network->block_count - 1, last, network->classes, false);
}

static const struct architecture *architecture_find(const char *name)
{
    for (size_t i = 0; i < sizeof(architectures) / sizeof(architectures[0]); i++)
        if (strcmp(architectures[i].name, name) == 0)
            return &architectures[i];
    return NULL;
}

static bool is_image_side(int side)
{
    return side >= IMAGE_SIDE_MIN && side <= IMAGE_SIDE_MAX;
}

int network_create(struct network **out, const char *arch, int depth, struct shape input, int classes,
                   struct error *error)
{
    const struct architecture *architecture = architecture_find(arch);

    *out = NULL;
    if (!architecture)
        return error_set(error, "unknown architecture \"%s\"; there are: %s", arch, network_architectures());
    if (!is_image_side(input.height) || !is_image_side(input.width) || (input.channels != 1 && input.channels != 3))
        return error_set(error,
                         "%s cannot take images of %d x %d pixels in %d channels; it takes sides of %d to %d pixels in "
                         "1 or 3 channels",
                         arch, input.height, input.width, input.channels, IMAGE_SIDE_MIN, IMAGE_SIDE_MAX);
    if (architecture->blocks == 0 && (depth < 1 || depth > NETWORK_DEPTH_MAX))
        return error_set(error, "%s cannot have %d layers; use 1 to %d", arch, depth, NETWORK_DEPTH_MAX);
    if (classes < CLASSES_MIN || classes > CLASSES_MAX)
        return error_set(error, "%d classes are out of bounds; labels are bytes, so use %d to %d", classes, CLASSES_MIN,
                         CLASSES_MAX);

    const int blocks = architecture->blocks > 0 ? architecture->blocks : depth;
    struct network *network = calloc(1, sizeof(*network));
    struct layer *layers = calloc((size_t)blocks * BLOCK_LAYERS_MAX, sizeof(*layers));
    if (!network || !layers) {
        free(network);
        free(layers);
        return error_set(error, "out of memory for the layers of %s", arch);
    }
    network->layers = layers;
    network->block_count = blocks;
    network->input = input;
    network->classes = classes;
    architecture->build(network);
    *out = network;
    return 0;
}

void network_destroy(struct network *network)
{
    if (!network)
        return;
    free(network->layers);
    free(network);
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
