/* The tensors of a stage's layers as files have them: named by global layer ("block3.conv1.weight",
 * "block3.bn1.running_mean") and laid out as in PyTorch: what reads an image, filters and
 * linear layers alike, as [out][channels][height][width]. */
#ifndef TP_CHECKPOINT_TENSORS_H
#define TP_CHECKPOINT_TENSORS_H

#include "base/error.h"
#include "network/network.h"

enum { TENSOR_NAME_MAX = LAYER_NAME_MAX + 16 };

struct tensor {
    char name[TENSOR_NAME_MAX];
    bool state;    /* it lies among the slice's running statistics, not its parameters; */
    size_t offset; /* there, in floats */
    size_t count;
    int dimensions;
    int shape[TENSOR_DIMENSIONS_MAX]; /* of the file */
    int channels;                     /* of what each output reads: [channels][positions] in the file, the other way
                                         round here; 1 if that is the same */
};

struct tensors {
    int count;
    struct tensor *list; /* [count], in layer order */
};

int tensors_create(struct tensors *tensors, const struct network *network, const struct slice *slice,
                   struct error *error);
void tensors_release(struct tensors *tensors);

/* Where the file's element i lies in the slice's array. */
size_t tensor_element(const struct tensor *tensor, size_t i);

#endif
