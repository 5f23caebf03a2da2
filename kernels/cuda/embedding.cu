/* Embeddings: an element of the output a thread, and back a column of the table, whose tokens it goes through in order. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __device__ int token_at(const float *tokens, size_t i)
{
    return ((const int *)tokens)[i];
}

static __global__ void look_up(size_t count, int vocabulary, int units, const float *tokens, const float *table,
                               float *output)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    const int token = token_at(tokens, i / units);

    output[i] = token >= 0 && token < vocabulary ? table[(size_t)token * units + i % units] : NAN;
}

static __global__ void scatter(size_t count, int vocabulary, int units, const float *tokens, const float *gradient,
                               float *table)
{
    const size_t unit = element_of_thread();

    for (size_t i = 0; i < count && unit < (size_t)units; i++) {
        const int token = token_at(tokens, i);

        if (token >= 0 && token < vocabulary)
            table[(size_t)token * units + unit] += gradient[i * units + unit];
    }
}

cudaError_t launch_embedding(const struct layer *layer, int rows, const float *tokens, const float *table,
                             float *output, cudaStream_t stream)
{
    const size_t count = (size_t)rows * shape_size(layer->out);

    return launch(look_up, blocks_for(count), THREADS, stream, count, layer->vocabulary, layer->units, tokens, table,
                  output);
}

cudaError_t launch_embedding_backward(const struct layer *layer, int rows, const float *tokens, const float *gradient,
                                      float *table_gradient, cudaStream_t stream)
{
    return launch(scatter, blocks_for(layer->units), THREADS, stream, (size_t)rows * shape_size(layer->in),
                  layer->vocabulary, layer->units, tokens, gradient, table_gradient);
}
