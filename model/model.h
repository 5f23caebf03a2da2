/* Networks as lists of layers, grouped in blocks; a pipeline may be cut between any two blocks.
 *
 * Pure description: shapes, parameter counts, costs, initial weights. Knows nothing of processes, memory or backends.
 * Tensors are channels-last everywhere: activations [rows][height][width][channels], convolution filters
 * [out channels][kernel height][kernel width][in channels], linear weights [out][in] followed by bias [out], batch norm
 * gamma [C] followed by beta [C]. All parameters of a stage form one flat array of floats in layer order. */
#ifndef TP_MODEL_MODEL_H
#define TP_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum layer_kind {
    LAYER_CONVOLUTION, /* square kernel, no bias: a batch norm always follows */
    LAYER_BATCH_NORM,  /* then `+ residual` if there is one, then ReLU if asked */
    LAYER_LINEAR,      /* with bias, then ReLU if asked; reads its input flattened */
    LAYER_AVERAGE_POOL /* global: height x width -> 1 x 1 */
};

struct shape {
    int height, width, channels;
};

static inline size_t shape_size(struct shape shape)
{
    return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

enum { LAYER_NAME_MAX = 40 };

/* Where a layer's input or residual is none of the network's layers. */
enum { NETWORK_INPUT = -1, NO_RESIDUAL = -2 };

struct layer {
    enum layer_kind kind;
    char name[LAYER_NAME_MAX]; /* global and unique: "block3.conv1" */
    int block;
    int input;    /* index of the layer whose output this one reads, or NETWORK_INPUT */
    int residual; /* batch norm: index of the layer whose output is added, NETWORK_INPUT, or NO_RESIDUAL */
    struct shape in, out;
    int kernel, stride, padding; /* convolution only */
    bool relu;
    size_t parameters;       /* floats in the flat weight array */
    size_t parameter_offset; /* of the first one, counted over the whole network */
    size_t state;            /* floats that are not trained: batch norm's running mean [C], running variance [C] */
    size_t state_offset;     /* over the whole network */
    double forward_flops;    /* per sample */
    double backward_flops;   /* per sample, both halves; the network's first layer has no input gradient */
};

struct network {
    int block_count;
    int layer_count;
    struct layer *layers;
    struct shape input;
    int classes;
    size_t parameters, state;
};

/* Layers of an mlp, each a block of its own. */
enum { NETWORK_DEPTH_MAX = 1024 };

/* Builds `arch` ("resnet8", "resnet20", "resnet32", "resnet56", "resnet110", or "mlp" of `depth` layers, which counts for
 * nothing else) for images of shape `input`.
 * The layers of a block other than those that read the block's input refer only to layers of the same block, so a cut
 * between blocks cuts exactly one tensor: the output of the last layer before it. The caller owns the network. */
int network_create(struct network **out, const char *arch, int depth, struct shape input, int classes,
                   struct error *error);
void network_destroy(struct network *network);

/* The architectures, for messages: "resnet8, resnet20, ...". */
const char *network_architectures(void);

/* A stage's share: `layer_count` layers from `first_layer`, from `block_count` whole blocks. */
struct slice {
    int first_block, block_count;
    int first_layer, layer_count;
    size_t parameter_offset, parameters; /* in the network's flat array */
    size_t state_offset, state;
};

/* The slice of blocks [first_block, first_block + block_count), at least one. */
struct slice network_slice(const struct network *network, int first_block, int block_count);

/* What a slice reads from the stage before it, and gives to the one after it. */
struct shape slice_input(const struct network *network, const struct slice *slice);
struct shape slice_output(const struct network *network, const struct slice *slice);

/* Fills the slice's parameters: He normal for filters and linear weights (He et al., ICCV 2015, fan-in for linear,
 * fan-out for convolutions), gamma 1, beta and bias 0; and its state: running mean 0, variance 1. The same values
 * whatever the partition. `weights` holds slice->parameters floats, `state` slice->state. */
void network_initialise(const struct network *network, const struct slice *slice, uint64_t seed, float *weights,
                        float *state);

/* Splits blocks of the given costs into `stages` runs of at least one block so that the largest sum is smallest (exact;
 * among equals the earlier stages get fewer blocks). counts[stages] receives blocks per stage. */
void partition_balance(const double *block_cost, int block_count, int stages, int *counts);

#endif
