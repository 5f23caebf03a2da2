/* What a stage has learned, as a safetensors file that other tools read. */
#ifndef TP_STAGES_CHECKPOINT_H
#define TP_STAGES_CHECKPOINT_H

#include "base/error.h"
#include "model/model.h"

/* Writes <folder>/<name>/stage-<stage>.safetensors, making the folder; through a temporary name, so that the file is
 * whole or absent. Tensors are named by global layer ("block3.conv1.weight", "block3.bn1.running_mean") and laid out
 * as PyTorch has them: filters [out][in][height][width]. */
int checkpoint_write(const char *folder, const char *name, int stage, const struct network *network,
                     const struct slice *slice, const float *weights, const float *state, struct error *error);

#endif
