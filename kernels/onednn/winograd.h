/* Convolutions of 3 x 3 filters, stride 1 and padding 1, in a third of the multiplications or less: F(4 x 4, 3 x 3) of Lavin
 * and Gray (CVPR 2016). */
#ifndef TP_KERNELS_ONEDNN_WINOGRAD_H
#define TP_KERNELS_ONEDNN_WINOGRAD_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/onednn/descriptors.h"
#include "network/network.h"

/* Whether it is such a convolution, of whole vectors of channels. */
bool winograd_can(const struct layer *layer);

/* Bytes of scratch for a run. */
size_t winograd_workspace_bytes(const struct layer *layer, enum direction direction, int rows);

/* Operands are those of convolution_run. The order of additions depends on the layer and `rows` alone. */
void winograd_run(const struct layer *layer, enum direction direction, int rows, const float *first,
                  const float *second, float *output, bool add, float *workspace);

#endif
