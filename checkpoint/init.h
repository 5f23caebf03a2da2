/* Weights that a run begins with (model.init): a safetensors file, or a folder of them, such as a checkpoint of another run
 * or a model in several files. Tensors are found by the names that layers have in files, in PyTorch's layouts; running
 * statistics may lack, and then begin as always. What checkpoints hold beside the weights is passed over. */
#ifndef TP_CHECKPOINT_INIT_H
#define TP_CHECKPOINT_INIT_H

#include "checkpoint/tensors.h"

/* -1 unless they fit the network, and in one line all tensors that lack, that are too many, or that have another shape or no
 * floats; or why the files cannot be read. */
int init_check(const char *path, const struct network *network, struct error *error);

/* Fills a slice's parameters, and its running statistics as far as they are there. -1 likewise, with the first of them. */
int init_read(const char *path, const struct tensors *tensors, float *parameters, float *state, struct error *error);

#endif
