/* Rotary positions, a pair of channels a thread: kernels/reference/rope.c has the formula. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

static __global__ void turn(size_t pairs, int positions, int half, int heads, int theta, bool back, const float *from,
                            bool add, float *to)
{
    const size_t n = element_of_thread();

    if (n >= pairs)
        return;

    const int pair = (int)(n % half), position = (int)(n / half / heads % positions);
    const size_t first = n / half * 2 * half + pair, second = first + half;
    const double angle = position * pow((double)theta, -(double)pair / half);
    const float cosine = (float)cos(angle), sine = back ? -(float)sin(angle) : (float)sin(angle);
    const float x = from[first], y = from[second];

    to[first] = (add ? to[first] : 0.0f) + (x * cosine - y * sine);
    to[second] = (add ? to[second] : 0.0f) + (y * cosine + x * sine);
}

cudaError_t launch_rope(const struct layer *layer, int rows, bool back, const float *from, bool add, float *to,
                        cudaStream_t stream)
{
    const size_t pairs = (size_t)rows * shape_size(layer->in) / 2;

    return launch(turn, blocks_for(pairs), THREADS, stream, pairs, shape_positions(layer->in),
                  layer->in.channels / layer->heads / 2, layer->heads, layer->theta, back, from, add, to);
}
