/* The layers of the oneDNN backend that are not convolutions. Calls are those of kernels/backend.h. */
#ifndef TP_KERNELS_ONEDNN_LAYERS_H
#define TP_KERNELS_ONEDNN_LAYERS_H

#include "kernels/backend.h"

int linear_forward(const struct layer *layer, const struct forward_call *call, struct error *error);
int linear_backward_input(const struct layer *layer, const struct backward_call *call, struct error *error);
int linear_backward_weights(const struct layer *layer, const struct backward_call *call, struct error *error);

size_t batch_norm_workspace_bytes(const struct layer *layer);
void batch_norm_forward(const struct layer *layer, const struct forward_call *call);
void batch_norm_backward(const struct layer *layer, const struct backward_call *call);

#endif
