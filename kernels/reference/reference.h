/* The reference backend's layers, one file each. They read like their formulas and are the oracle for faster backends;
 * a CPU backend may also borrow those that a library could not speed up. Calls are those of kernels/backend.h. */
#ifndef TP_KERNELS_REFERENCE_H
#define TP_KERNELS_REFERENCE_H

#include "kernels/backend.h"

/* NULL: nothing to do, nothing needed. */
struct reference_layer {
    size_t (*workspace_bytes)(const struct layer *layer);
    void (*forward)(const struct layer *layer, const struct forward_call *call);
    void (*backward_input)(const struct layer *layer, const struct backward_call *call);
    void (*backward_weights)(const struct layer *layer, const struct backward_call *call);
};
const struct reference_layer *reference_layer(enum layer_kind kind);

size_t reference_convolution_workspace_bytes(const struct layer *layer);
void reference_convolution_forward(const struct layer *layer, const struct forward_call *call);
void reference_convolution_backward_input(const struct layer *layer, const struct backward_call *call);
void reference_convolution_backward_weights(const struct layer *layer, const struct backward_call *call);

/* What a convolution does beside its products, for backends whose products are others: adds the bias behind the filters in
 * `weights`, then takes ReLU, as the layer has them; and the bias's gradient. */
void reference_bias_forward(const struct layer *layer, int rows, const float *weights, float *output);
void reference_bias_backward(const struct layer *layer, const struct backward_call *call);

size_t reference_batch_norm_workspace_bytes(const struct layer *layer);
void reference_batch_norm_forward(const struct layer *layer, const struct forward_call *call);
void reference_batch_norm_backward(const struct layer *layer, const struct backward_call *call);

/* Mixes a call's statistics into the running mean [C] and variance [C]. */
void reference_batch_norm_update_state(const struct layer *layer, int rows, const float *saved, float *state);

void reference_linear_forward(const struct layer *layer, const struct forward_call *call);
void reference_linear_backward_input(const struct layer *layer, const struct backward_call *call);
void reference_linear_backward_weights(const struct layer *layer, const struct backward_call *call);

void reference_average_pool_forward(const struct layer *layer, const struct forward_call *call);
void reference_average_pool_backward(const struct layer *layer, const struct backward_call *call);

void reference_max_pool_forward(const struct layer *layer, const struct forward_call *call);
void reference_max_pool_backward(const struct layer *layer, const struct backward_call *call);

void reference_add_forward(const struct layer *layer, const struct forward_call *call);
void reference_add_backward(const struct layer *layer, const struct backward_call *call);

void reference_relu_layer_forward(const struct layer *layer, const struct forward_call *call);
void reference_relu_layer_backward(const struct layer *layer, const struct backward_call *call);

void reference_dropout_forward(const struct layer *layer, const struct forward_call *call);
void reference_dropout_backward(const struct layer *layer, const struct backward_call *call);

void reference_embedding_forward(const struct layer *layer, const struct forward_call *call);
void reference_embedding_backward_input(const struct layer *layer, const struct backward_call *call);
void reference_embedding_backward_weights(const struct layer *layer, const struct backward_call *call);

void reference_rms_norm_forward(const struct layer *layer, const struct forward_call *call);
void reference_rms_norm_backward_input(const struct layer *layer, const struct backward_call *call);
void reference_rms_norm_backward_weights(const struct layer *layer, const struct backward_call *call);

void reference_rope_forward(const struct layer *layer, const struct forward_call *call);
void reference_rope_backward(const struct layer *layer, const struct backward_call *call);

/* How far rope turns a pair of channels at a position. */
struct turn {
    float cosine, sine;
};
struct turn reference_rope_turn(const struct layer *layer, int position, int pair);

size_t reference_attention_workspace_bytes(const struct layer *layer);
void reference_attention_forward(const struct layer *layer, const struct forward_call *call);
void reference_attention_backward(const struct layer *layer, const struct backward_call *call);

void reference_silu_forward(const struct layer *layer, const struct forward_call *call);
void reference_silu_backward(const struct layer *layer, const struct backward_call *call);

void reference_gelu_forward(const struct layer *layer, const struct forward_call *call);
void reference_gelu_backward(const struct layer *layer, const struct backward_call *call);

void reference_multiply_forward(const struct layer *layer, const struct forward_call *call);
void reference_multiply_backward(const struct layer *layer, const struct backward_call *call);

void reference_layer_norm_forward(const struct layer *layer, const struct forward_call *call);
void reference_layer_norm_backward_input(const struct layer *layer, const struct backward_call *call);
void reference_layer_norm_backward_weights(const struct layer *layer, const struct backward_call *call);

/* Writes, or adds, one element of input k's gradient, if somebody needs it. */
static inline void reference_put(const struct backward_call *call, int k, size_t i, float value)
{
    float *gradient = call->input_gradients[k];

    if (gradient)
        gradient[i] = call->add_input_gradients[k] ? gradient[i] + value : value;
}

/* ReLU's backward in place: gradient[i] becomes 0 where output[i] is not positive. */
void reference_relu_backward(size_t count, const float *output, float *gradient);

int reference_softmax_cross_entropy(struct engine *engine, int rows, int classes, const float *logits,
                                    const int32_t *targets, float scale, float *gradient, struct loss_result *result,
                                    struct error *error);
int reference_update(struct engine *engine, const struct update *update, const struct update_call *call,
                     struct error *error);
int reference_correct(struct engine *engine, const struct correction *correction, const struct correction_call *call,
                      struct error *error);
int reference_combine(struct engine *engine, size_t count, const float *base, const struct combine_term *terms,
                      int term_count, float *combined, struct error *error);
int reference_sum_of_squares(struct engine *engine, size_t count, const float *vector, double *sum,
                             struct error *error);

#endif
