/* One direction of one convolution for one number of rows, ready to run: winograd.c's, or the library's primitive and
 * reorders between the project's layouts (channels-last activations, filters [K][R][S][C]) and those that it likes best. */
#ifndef TP_KERNELS_ONEDNN_CONVOLUTION_H
#define TP_KERNELS_ONEDNN_CONVOLUTION_H

#include "base/error.h"
#include "kernels/onednn/descriptors.h"
#include "network/network.h"

struct convolution;

int convolution_create(struct convolution **out, const struct layer *layer, enum direction direction, int rows,
                       dnnl_engine_t engine, struct error *error);
void convolution_destroy(struct convolution *convolution);

/* Bytes of scratch for a run. */
size_t convolution_workspace_bytes(const struct convolution *convolution);

/* The output is written, or added to if `add`. Operands by direction:
 *
 *   forward            first: input              second: weights            output: output
 *   backward input     first: output gradient    second: weights            output: input gradient
 *   backward weights   first: input              second: output gradient    output: weight gradient */
int convolution_run(const struct convolution *convolution, const float *first, const float *second, float *output,
                    bool add, void *workspace, dnnl_stream_t stream, struct error *error);

#endif
