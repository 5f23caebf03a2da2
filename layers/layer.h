/* Layer types, each a row: the arguments that a network file gives it, its shapes, its tensors of parameters and state, its
 * cost. A file in layers/ per type; whoever adds one writes such a file, its line here and in layer.c, and its kernels in
 * kernels/reference/; faster backends may follow (kernels/backend.h).
 *
 * Pure description: knows nothing of processes, memory or backends. Tensors are channels-last everywhere: activations
 * [rows][height][width][channels], convolution filters [out channels][kernel height][kernel width][in channels], linear
 * weights [out][in]. */
#ifndef TP_LAYERS_LAYER_H
#define TP_LAYERS_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum layer_kind {
    LAYER_CONVOLUTION,
    LAYER_BATCH_NORM,
    LAYER_LINEAR,
    LAYER_AVERAGE_POOL,
    LAYER_MAX_POOL,
    LAYER_RELU,
    LAYER_ADD,
    LAYER_DROPOUT,
    LAYER_EMBEDDING,
    LAYER_RMS_NORM,
    LAYER_ROPE,
    LAYER_ATTENTION,
    LAYER_SILU,
    LAYER_GELU,
    LAYER_MULTIPLY,
    LAYER_LAYER_NORM,
    LAYER_KINDS
};

/* Of images, or of features at positions: {positions, 1, features}. */
struct shape {
    int height, width, channels;
};

static inline int shape_positions(struct shape shape)
{
    return shape.height * shape.width;
}

static inline size_t shape_size(struct shape shape)
{
    return (size_t)shape.height * (size_t)shape.width * (size_t)shape.channels;
}

enum { LAYER_NAME_MAX = 64, LAYER_INPUTS_MAX = 3, LAYER_TENSORS_MAX = 4, TENSOR_DIMENSIONS_MAX = 4 };

/* Where a layer's input is none of the network's layers. */
enum { NETWORK_INPUT = -1 };

/* A layer of a network. An input more than its type has, and `relu`, say what is done at once with the layer's own work: what
 * a network file says in layers of their own (network/fuse.c). */
struct layer {
    enum layer_kind kind;
    char name[LAYER_NAME_MAX]; /* global and unique, as files have it: "block3.conv1" */
    int own_name;              /* where in it the one begins that its block has for it: 7 */
    int block;
    int input_count;
    int inputs[LAYER_INPUTS_MAX]; /* indices of the layers whose outputs this one reads, or NETWORK_INPUT */
    bool relu;                    /* last of all */
    struct shape in, out;         /* of the first input, from which those of others follow; and of the output */
    int units;                    /* out channels of convolutions, linear layers and embeddings */
    int kernel, stride, padding;  /* of convolutions and pools */
    bool bias;                    /* of convolutions and linear layers */
    bool per_position;            /* a linear layer works on each position by itself */
    int percent;                  /* of elements that a dropout drops */
    int vocabulary;               /* tokens that an embedding knows */
    int heads, kv_heads, theta;   /* of attention and rotary positions; heads of keys and values */
    size_t parameters;            /* floats in the flat weight array */
    size_t parameter_offset;      /* of the first one, counted over the whole network */
    size_t state;                 /* floats that are not trained, of the running statistics */
    size_t state_offset;          /* over the whole network */
    double forward_flops;         /* per sample */
    double backward_flops;        /* per sample, both halves; the network's first layer has no input gradient */
};

/* An argument of a type in a network file: NAME=VALUE. */
struct layer_argument {
    const char *name;
    size_t offset; /* of an int in struct layer, or with `flag` of a bool */
    bool flag;     /* 0 or 1 */
    int low, high;
    int standard;   /* where it is not given; or ARGUMENT_REQUIRED, or what `complete` replaces, */
    const char *by; /* which is by this */
};
enum { ARGUMENT_REQUIRED = -2, LAYER_ARGUMENTS_MAX = 6 };

/* How a tensor begins. */
enum initial {
    INITIAL_ZERO,
    INITIAL_ONE,
    INITIAL_HE_NORMAL, /* of deviation sqrt(2 / fan) (He et al., ICCV 2015) */
    INITIAL_NORMAL     /* of deviation 1 */
};

/* A tensor of a layer, in the order in which they lie one behind the other, parameters and state each by themselves. */
struct layer_tensor {
    const char *name; /* in files, as PyTorch has it: "weight" */
    bool state;       /* it lies among the running statistics, not the parameters */
    int dimensions;
    int shape[TENSOR_DIMENSIONS_MAX]; /* of the file */
    int channels; /* of what each output reads: [channels][positions] in the file, the other way round in memory; 1 if that
                     is the same */
    enum initial initial;
    int fan;
};

static inline size_t layer_tensor_count(const struct layer_tensor *tensor)
{
    size_t count = 1;

    for (int d = 0; d < tensor->dimensions; d++)
        count *= (size_t)tensor->shape[d];
    return count;
}

struct layer_type {
    const char *name;                                     /* in network files */
    const char *summary;                                  /* for the reader */
    struct layer_argument arguments[LAYER_ARGUMENTS_MAX]; /* up to the first without a name */
    int inputs;                                           /* that a network file gives it, 1..LAYER_INPUTS_MAX */

    /* Fills in `out` and the arguments that were not given. -1 and what would be right, for a reader of the network file. */
    int (*complete)(struct layer *layer, struct error *error);

    /* What input k = 1.. is to look like, as it follows from the first. NULL: inputs are alike. */
    struct shape (*input_shape)(const struct layer *layer, int k);

    /* Its tensors; their number. NULL: it has none. */
    int (*tensors)(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX]);

    /* Floating-point operations of one sample's forward: two per multiply-add of convolutions and linear layers; a handful
     * per element where memory is the cost anyway. */
    double (*flops)(const struct layer *layer);

    /* A backward does a forward's work twice, once for the weights' gradient, which may come later. */
    bool has_weight_half;
    /* Its input half alone is a forward's work twice. */
    bool input_half_is_twice;
    /* It is over statistics of each micro-batch by itself, and the weights' gradient falls out of the input's. */
    bool is_norm;
    /* Last of all but ReLU it adds its second input, where it has one, whose gradient is then that of the output. */
    bool adds_second;
    bool fuses_relu;   /* it can do so at once */
    bool draws;        /* random numbers in training, other ones for each mini-batch */
    bool reads_tokens; /* int32_t where others read floats, and alone may read them */
};

/* The row of a kind; the kind of that name in network files, -1 if there is none. */
const struct layer_type *layer_type_of(enum layer_kind kind);
int layer_kind_find(const char *name);

/* The types' names, for messages. */
void layer_types_list(char *text, size_t size);

void layer_set_argument(struct layer *layer, const struct layer_argument *argument, int value);
int layer_argument_value(const struct layer *layer, const struct layer_argument *argument);

/* The layer's tensors; their number. */
int layer_tensors(const struct layer *layer, struct layer_tensor tensors[LAYER_TENSORS_MAX]);

/* Works out everything behind `padding` but the offsets, and `out`, from the rest. -1 and what would be right. */
int layer_complete(struct layer *layer, struct error *error);

/* What input k of a complete layer is to look like. */
struct shape layer_input_shape(const struct layer *layer, int k);

/* A linear layer is one matrix product, of so many rows for each sample. */
static inline int layer_linear_rows(const struct layer *layer)
{
    return layer->per_position ? shape_positions(layer->in) : 1;
}

/* Whether channels divide into so many heads; if not, what would be right. */
int layer_check_heads(const struct layer *layer, struct error *error);

/* For the rows of types that work on each element by itself: `complete` that gives `out` the shape of `in`, `flops` of one an
 * element. */
int layer_keep_shape(struct layer *layer, struct error *error);
double layer_flop_per_element(const struct layer *layer);

extern const struct layer_type layer_convolution, layer_batch_norm, layer_linear, layer_average_pool, layer_max_pool,
    layer_relu, layer_add, layer_dropout, layer_embedding, layer_rms_norm, layer_rope, layer_attention, layer_silu,
    layer_gelu, layer_multiply, layer_layer_norm;

#endif
