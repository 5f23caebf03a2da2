/* What dropout keeps: the one place that says so, for plain C and for CUDA. It follows from a draw and the element's place
 * in its sample alone, so that every pass of a mini-batch, however it is cut into calls and wherever it runs, finds the
 * same without keeping it. */
#ifndef TP_KERNELS_DROPOUT_H
#define TP_KERNELS_DROPOUT_H

#include "base/philox.h"
#include "base/random.h"

/* Of a call in training. */
struct draw {
    uint64_t seed;
    uint32_t minibatch; /* since the run began */
    uint32_t layer;     /* of the network */
    uint32_t row;       /* of the mini-batch, that is the call's first */
};

/* A block of numbers is for four elements that lie side by side; every row begins with a block of its own. */
enum { DROPOUT_BLOCK = 4 };

#ifdef __CUDACC__
#define TP_DROPOUT static __device__ inline
#else
#define TP_DROPOUT static inline
#endif

/* What elements 4 block .. 4 block + 3 of row `row` of the call are multiplied by: 0 for `percent` in a hundred of them, or
 * what makes up for these. Rows have so many blocks. The numbers are random_block's for RANDOM_DROPOUT, the layer, and index
 * minibatch 2^32 + (row of the mini-batch) blocks + block. */
TP_DROPOUT void dropout_factors(const struct draw *draw, int percent, uint32_t row, uint32_t blocks, uint32_t block,
                                float factors[DROPOUT_BLOCK])
{
    const uint32_t counter[4] = {(draw->row + row) * blocks + block, draw->minibatch, draw->layer, RANDOM_DROPOUT};
    const uint32_t key[2] = {(uint32_t)draw->seed, (uint32_t)(draw->seed >> 32)};
    const uint32_t threshold = (uint32_t)(((uint64_t)percent << 32) / 100);
    const float scale = 100.0f / (float)(100 - percent);
    uint32_t words[DROPOUT_BLOCK];

    philox(counter, key, words);
    for (int k = 0; k < DROPOUT_BLOCK; k++)
        factors[k] = words[k] < threshold ? 0.0f : scale;
}

#endif
