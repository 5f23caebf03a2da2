/* Convolutions by cuDNN, where its header was found when this was built and the library is found when it runs. */
#ifndef TP_KERNELS_CUDA_CUDNN_H
#define TP_KERNELS_CUDA_CUDNN_H

#include "kernels/cuda/engine.h"

enum direction { DIRECTION_FORWARD, DIRECTION_BACKWARD_INPUT, DIRECTION_BACKWARD_WEIGHTS };

struct cudnn_convolution; /* one direction of a layer for a number of rows */

/* Sets engine->cudnn, if there is a cuDNN that works. */
void cudnn_open(struct engine *engine);
void cudnn_close(struct engine *engine);

/* NULL if cuDNN is not there, or has no algorithm that gives the same bits every time. */
struct cudnn_convolution *cudnn_convolution_create(const struct engine *engine, const struct layer *layer,
                                                   enum direction direction, int rows);
void cudnn_convolution_destroy(const struct engine *engine, struct cudnn_convolution *convolution);
size_t cudnn_convolution_workspace_bytes(const struct cudnn_convolution *convolution);

/* Forward: input, weights, output. Backward: output gradient, weights, input gradient; or input, output gradient, weight
 * gradient. False, and nothing was queued, if cuDNN does not do it: it may refuse operands that lie badly. */
bool cudnn_convolution_run(const struct engine *engine, const struct cudnn_convolution *convolution, const float *first,
                           const float *second, bool add, float *output, void *workspace);

#endif
