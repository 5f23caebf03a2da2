/* The CUDA backend's own kernels. Each call queues them on the stream and says whether that went well; what they compute
 * is as kernels/backend.h says. Sums are added in an order that depends on the shapes alone. For C and CUDA C++. */
#ifndef TP_KERNELS_CUDA_KERNELS_H
#define TP_KERNELS_CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#include "kernels/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

cudaError_t launch_nothing(cudaStream_t stream);

/* Sums for batch norm over one group are made in so many parts at most. A backward is over so many groups at a time. */
enum { BATCH_NORM_PARTS = 128, BATCH_NORM_GROUPS = 16 };

struct batch_norm_groups {
    int count;
    int start[BATCH_NORM_GROUPS + 1]; /* in pixels */
};

/* `parts` is [BATCH_NORM_PARTS][2][C], in the backward for each group. Other operands are those of the call; residual, state, input_gradient and residual_gradient may be NULL. */
cudaError_t launch_batch_norm_train(int pixels, int channels, const float *input, const float *residual,
                                    const float *weights, bool relu, float *output, float *saved, float *state,
                                    double *parts, cudaStream_t stream);
cudaError_t launch_batch_norm_infer(int pixels, int channels, const float *input, const float *residual,
                                    const float *weights, bool relu, float *output, const float *state,
                                    cudaStream_t stream);

/* Both halves, of groups that are not all empty. `output` is NULL where there is no ReLU; `saved` is the first group's. */
cudaError_t launch_batch_norm_backward(const struct batch_norm_groups *groups, int channels, const float *input,
                                       const float *output, const float *gradient, const float *saved,
                                       const float *weights, float *input_gradient, bool add_input,
                                       float *residual_gradient, bool add_residual, float *weight_gradient,
                                       bool add_weight, double *parts, cudaStream_t stream);

/* [samples][P][Q][R][R][C] from the layer's images [samples][H][W][C], with zeros around them. */
cudaError_t launch_image_to_columns(const struct layer *layer, int samples, const float *images, float *columns,
                                    cudaStream_t stream);

/* Each element of the images gets, or is added, the sum of the columns' elements that came from it. */
cudaError_t launch_columns_to_image(const struct layer *layer, int samples, const float *columns, bool add,
                                    float *images, cudaStream_t stream);

cudaError_t launch_average_pool(int rows, int pixels, int channels, const float *input, float *output,
                                cudaStream_t stream);
cudaError_t launch_average_pool_backward(int rows, int pixels, int channels, const float *output_gradient, bool add,
                                         float *input_gradient, cudaStream_t stream);

cudaError_t launch_max_pool(const struct layer *layer, int rows, const float *input, float *output,
                            cudaStream_t stream);
cudaError_t launch_max_pool_backward(const struct layer *layer, int rows, const float *input,
                                     const float *output_gradient, bool add, float *input_gradient,
                                     cudaStream_t stream);

/* output = input + other, which may be NULL, then ReLU if asked. And back: the gradient becomes 0 where an output that is given
 * is not positive, and is written to, or added to, what is not NULL of the two. */
cudaError_t launch_add(size_t count, const float *input, const float *other, bool relu, float *output,
                       cudaStream_t stream);
cudaError_t launch_add_backward(size_t count, const float *output, float *gradient, float *other, bool add_other,
                                float *input, bool add_input, cudaStream_t stream);

/* to [rows][the layer's] = from, times what dropout has for each element; or that is added. */
cudaError_t launch_dropout(const struct layer *layer, const struct draw *draw, int rows, const float *from, bool add,
                           float *to, cudaStream_t stream);

/* Tokens lie where other layers have floats; one that the table does not have gives NaN. The table's gradient is added to. */
cudaError_t launch_embedding(const struct layer *layer, int rows, const float *tokens, const float *table,
                             float *output, cudaStream_t stream);
cudaError_t launch_embedding_backward(const struct layer *layer, int rows, const float *tokens, const float *gradient,
                                      float *table_gradient, cudaStream_t stream);

/* `roots` [rows][positions], 1 / the root mean square, is scratch. */
cudaError_t launch_rms_norm(const struct layer *layer, int rows, const float *input, const float *weights,
                            float *output, cudaStream_t stream);
cudaError_t launch_rms_norm_backward(const struct layer *layer, int rows, const float *input, const float *gradient,
                                     const float *weights, bool add, float *input_gradient, cudaStream_t stream);
cudaError_t launch_rms_norm_weights(const struct layer *layer, int rows, const float *input, const float *gradient,
                                    bool add, float *weight_gradient, float *roots, cudaStream_t stream);

/* `moments` [2][rows][positions] is scratch. */
cudaError_t launch_layer_norm(const struct layer *layer, int rows, const float *input, const float *weights,
                              float *output, cudaStream_t stream);
cudaError_t launch_layer_norm_backward(const struct layer *layer, int rows, const float *input, const float *gradient,
                                       const float *weights, bool add, float *input_gradient, cudaStream_t stream);
cudaError_t launch_layer_norm_weights(const struct layer *layer, int rows, const float *input, const float *gradient,
                                      bool add, float *weight_gradient, float *moments, cudaStream_t stream);

/* Turns pairs of channels by their position, or back. */
cudaError_t launch_rope(const struct layer *layer, int rows, bool back, const float *from, bool add, float *to,
                        cudaStream_t stream);

/* `sums` [2][rows][heads][positions] is scratch. Input gradients may be NULL. */
cudaError_t launch_attention(const struct layer *layer, const struct forward_call *call, cudaStream_t stream);
cudaError_t launch_attention_backward(const struct layer *layer, const struct backward_call *call, float *sums,
                                      cudaStream_t stream);

/* SiLU and GELU, and the product of two tensors, of whose gradients either may be NULL. */
cudaError_t launch_silu(size_t count, const float *input, float *output, cudaStream_t stream);
cudaError_t launch_silu_backward(size_t count, const float *input, const float *gradient, bool add,
                                 float *input_gradient, cudaStream_t stream);
cudaError_t launch_gelu(size_t count, const float *input, float *output, cudaStream_t stream);
cudaError_t launch_gelu_backward(size_t count, const float *input, const float *gradient, bool add,
                                 float *input_gradient, cudaStream_t stream);
cudaError_t launch_multiply(size_t count, const float *a, const float *b, float *output, cudaStream_t stream);
cudaError_t launch_multiply_backward(size_t count, const float *a, const float *b, const float *gradient, bool add_a,
                                     float *gradient_a, bool add_b, float *gradient_b, cudaStream_t stream);

/* gradient[i] becomes 0 where output[i] is not positive. */
cudaError_t launch_relu_backward(size_t count, const float *output, float *gradient, cudaStream_t stream);

/* Adds bias [columns], which may be NULL, to each row, then takes ReLU if asked. */
cudaError_t launch_bias(int rows, int columns, const float *bias, bool relu, float *output, cudaStream_t stream);

/* sums[columns] of a matrix [rows][columns], written or added. */
cudaError_t launch_column_sums(int rows, int columns, const float *matrix, bool add, float *sums, cudaStream_t stream);

cudaError_t launch_softmax_cross_entropy(int rows, int classes, const float *logits, const int32_t *targets,
                                         float scale, float *gradient, struct loss_result *result, cudaStream_t stream);

cudaError_t launch_update(const struct update *update, const struct update_call *call, cudaStream_t stream);
cudaError_t launch_correct(const struct correction *correction, const struct correction_call *call,
                           cudaStream_t stream);

/* sum = base + the term; `sum` may be `base`. */
cudaError_t launch_add_term(size_t count, const float *base, const struct combine_term *term, float *sum,
                            cudaStream_t stream);

/* One block adds up; the sum is added to *sum. */
cudaError_t launch_sum_of_squares(size_t count, const float *vector, double *sum, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
