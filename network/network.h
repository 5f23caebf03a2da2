/* Networks as lists of layers, grouped in blocks; a pipeline may be cut between any two blocks. Read from text
 * (docs/networks.md).
 *
 * Pure description: shapes, parameter counts, costs, initial weights. Knows nothing of processes, memory or backends. All
 * parameters of a stage form one flat array of floats in layer order. */
#ifndef TP_NETWORK_NETWORK_H
#define TP_NETWORK_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "layers/layer.h"

enum { NETWORK_NAME_MAX = LAYER_NAME_MAX / 2 }; /* of a block, of a layer in its block */

struct block {
    char name[NETWORK_NAME_MAX];   /* unique */
    char prefix[NETWORK_NAME_MAX]; /* of its layers' names, which blocks may share: the name, unless the file says
                                      another; "": none */
};

struct network {
    int block_count;
    struct block *blocks;
    int layer_count;
    bool tokens; /* the input is tokens, 32-bit integers below `classes`: {context, 1, 1} */
    struct layer *layers;
    struct shape input;
    int classes;
    int depth, width; /* the file's parameters of these names; 0: it has none */
    float deviation;  /* of weights at first, as the file says; 0: as layer types say */
    size_t parameters, state;
};

enum {
    NETWORK_TEXT_MAX = 1 << 16, /* bytes of a network file, */
    NETWORK_LAYERS_MAX = 1 << 12,
    NETWORK_DEPTH_MAX = 1024,
    NETWORK_WIDTH_MAX = 1 << 20,
    NETWORK_OUTPUT_MAX = 1 << 28 /* numbers that a layer gives for an image */
};
#define NETWORK_PARAMETERS_MAX ((size_t)1 << 40)

/* What a network is built for. */
struct network_options {
    const char *name; /* of the file, for messages */
    const char *text; /* what is in it */
    int depth, width; /* what the file's parameters of these names are to be; 0: what it says itself */
    bool tokens;      /* what there is to read is tokens, not an image */
    struct shape input;
    int classes;
};

/* What is wrong with a file, each "file:line: what, and what would be right". */
enum { NETWORK_MISTAKES_MAX = 32 };
struct network_mistakes {
    int count; /* found; the first NETWORK_MISTAKES_MAX are kept */
    char lines[NETWORK_MISTAKES_MAX][512];
};

/* Builds a network. The layers of a block other than those that read the block's input refer only to layers of the same
 * block, so a cut between blocks cuts exactly one tensor: the output of the last layer before it. 0, or -1 with at least
 * one mistake. The caller owns the network. */
int network_read(struct network **out, const struct network_options *options, struct network_mistakes *mistakes);
void network_destroy(struct network *network);

/* The same with the first mistake alone. */
int network_create(struct network **out, const struct network_options *options, struct error *error);

/* Whether a network's text says that it reads tokens. */
bool network_reads_tokens(const char *text);

/* What the loss compares with a target each: 1 for a sample, or one for each position of the last layer's output. */
int network_targets_per_sample(const struct network *network);

/* The text of networks/NAME.net, which is built in; NULL if there is none. And the n-th name (0..), NULL behind the
 * last. */
const char *network_builtin(const char *name);
const char *network_builtin_name(int n);

/* The text of the network of that name, or else of the file at that path. -1 and the reason, with the path. */
int network_load(char text[NETWORK_TEXT_MAX], const char *name, struct error *error);

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

/* Fills the slice's parameters and its state as layer types say. The same values whatever the partition. `weights` holds
 * slice->parameters floats, `state` slice->state. */
void network_initialise(const struct network *network, const struct slice *slice, uint64_t seed, float *weights,
                        float *state);

/* Splits blocks of the given costs into `stages` runs of at least one block so that the largest sum is smallest (exact;
 * among equals the earlier stages get fewer blocks). counts[stages] receives blocks per stage. */
void partition_balance(const double *block_cost, int block_count, int stages, int *counts);

#endif
