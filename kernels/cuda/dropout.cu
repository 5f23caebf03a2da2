/* Dropout, four elements a thread: what is drawn at once. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __global__ void drop(struct draw draw, int percent, int size, int blocks, size_t threads, const float *from,
                            bool add, float *to)
{
    const size_t i = element_of_thread();

    if (i >= threads)
        return;

    const size_t row = i / blocks;
    const int block = (int)(i % blocks), first = block * DROPOUT_BLOCK;
    float factors[DROPOUT_BLOCK];

    dropout_factors(&draw, percent, (uint32_t)row, (uint32_t)blocks, (uint32_t)block, factors);
    for (int k = 0; k < DROPOUT_BLOCK && first + k < size; k++) {
        const size_t at = row * size + first + k;

        to[at] = (add ? to[at] : 0.0f) + from[at] * factors[k];
    }
}

cudaError_t launch_dropout(const struct layer *layer, const struct draw *draw, int rows, const float *from, bool add,
                           float *to, cudaStream_t stream)
{
    const int size = (int)shape_size(layer->out), blocks = (size + DROPOUT_BLOCK - 1) / DROPOUT_BLOCK;
    const size_t threads = (size_t)rows * blocks;

    return launch(drop, blocks_for(threads), THREADS, stream, *draw, layer->percent, size, blocks, threads, from, add,
                  to);
}
