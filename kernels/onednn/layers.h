/* The layers of the oneDNN backend that are not its convolutions. Calls are those of kernels/backend.h. */
#ifndef TP_KERNELS_ONEDNN_LAYERS_H
#define TP_KERNELS_ONEDNN_LAYERS_H

#include "kernels/backend.h"
#include "kernels/onednn/descriptors.h"

/* c [m][n] = a b, or c + a b if `add`. Letters say which factors are transposed: 'N' or 'T'. The layer is for messages. */
int linear_product(const struct layer *layer, char transpose_a, char transpose_b, dnnl_dim_t m, dnnl_dim_t n,
                   dnnl_dim_t k, const float *a, const float *b, bool add, float *c, struct error *error);

int linear_forward(const struct layer *layer, const struct forward_call *call, struct error *error);
int linear_backward_input(const struct layer *layer, const struct backward_call *call, struct error *error);
int linear_backward_weights(const struct layer *layer, const struct backward_call *call, struct error *error);

/* Whether a convolution is one of 1 x 1 and stride 1; and it, with the operands of convolution_run. */
bool pointwise_is(const struct layer *layer);
int pointwise_run(const struct layer *layer, enum direction direction, int rows, const float *first,
                  const float *second, float *output, bool add, struct error *error);

size_t batch_norm_workspace_bytes(const struct layer *layer);
void batch_norm_forward(const struct layer *layer, const struct forward_call *call);
void batch_norm_backward(const struct layer *layer, const struct backward_call *call);

size_t attention_workspace_bytes(const struct layer *layer);
void attention_forward(const struct layer *layer, const struct forward_call *call);
void attention_backward(const struct layer *layer, const struct backward_call *call);

void rms_norm_forward(const struct layer *layer, const struct forward_call *call);
void rms_norm_backward_input(const struct layer *layer, const struct backward_call *call);
void rms_norm_backward_weights(const struct layer *layer, const struct backward_call *call);

void layer_norm_forward(const struct layer *layer, const struct forward_call *call);
void layer_norm_backward_input(const struct layer *layer, const struct backward_call *call);
void layer_norm_backward_weights(const struct layer *layer, const struct backward_call *call);

size_t rope_workspace_bytes(const struct layer *layer);
void rope_forward(const struct layer *layer, const struct forward_call *call);
void rope_backward(const struct layer *layer, const struct backward_call *call);

void silu_forward(const struct layer *layer, const struct forward_call *call);
void silu_backward(const struct layer *layer, const struct backward_call *call);

void multiply_forward(const struct layer *layer, const struct forward_call *call);
void multiply_backward(const struct layer *layer, const struct backward_call *call);

int softmax_cross_entropy(struct engine *engine, int rows, int classes, const float *logits, const int32_t *targets,
                          float scale, float *gradient, struct loss_result *result, struct error *error);

#endif
