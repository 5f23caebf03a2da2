/* Kernels that the double's own test launches. */
#ifndef TESTS_GPU_TEST_KERNELS_H
#define TESTS_GPU_TEST_KERNELS_H

#include <cuda_runtime_api.h>

#ifdef __cplusplus
extern "C" {
#endif

/* value[i] = value[i] * factor + summand. */
cudaError_t test_scale(float *values, int count, float factor, float summand, cudaStream_t stream);

/* sums[b] = the sum of values[b * 64 ...], 64 at a time, by a tree with barriers. */
cudaError_t test_sum(const float *values, int blocks, float *sums, cudaStream_t stream);

/* Sets gate[1] and then waits until gate[0] is not 0, both in pinned memory: work behind it does not run before the host
 * wants it to. */
cudaError_t test_hold(volatile int *gate, cudaStream_t stream);

/* The halves of a block part: one comes to a barrier, and the other ends or comes to another one. */
enum test_divergence { UPPER_ENDS, LOWER_ENDS, TWO_BARRIERS };
cudaError_t test_diverge(enum test_divergence how, float *values, cudaStream_t stream);

#ifdef __cplusplus
}
#endif

#endif
