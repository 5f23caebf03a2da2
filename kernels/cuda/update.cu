/* What becomes of weight vectors, one element a thread: an optimizer's step, the correction of a gradient, what a pass reads
 * in place of a version. The formulas are kernels/elements.h's. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

/* New and old weights may be one array. */
static __global__ void step(struct update update, size_t count, const float *weights, const float *gradient,
                            float *first, float *second, float *differences, float keep, float *new_weights)
{
    const size_t i = element_of_thread();
    float to;

    if (i >= count)
        return;

    const float from = weights[i];

    switch (update.kind) {
    case UPDATE_MOMENTUM:
        to = update_momentum(&update, from, gradient[i], &first[i]);
        break;
    case UPDATE_MOMENTS:
        to = update_moments(&update, from, gradient[i], &first[i], &second[i]);
        break;
    default:
        to = update_gradient(&update, from, gradient[i]);
        break;
    }
    if (differences)
        differences[i] = keep * differences[i] + (1.0f - keep) * (to - from);
    new_weights[i] = to;
}

static __global__ void change(struct correction correction, size_t count, const float *live, const float *forward,
                              const float *momentum, float *average, float *gradient)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;
    gradient[i] = correction.kind == CORRECTION_GAP
                      ? correct_gap(&correction, gradient[i], live[i], forward[i], momentum[i], &average[i])
                      : correct_taylor(&correction, gradient[i], live[i], forward[i]);
}

/* sum = base + the term; `sum` may be `base`. */
static __global__ void add_term(size_t count, const float *base, float coefficient, const float *plus,
                                const float *minus, const float *square, float root, float epsilon, float *sum)
{
    const size_t i = element_of_thread();

    if (i >= count)
        return;

    float value = plus[i];

    if (square)
        value = value / combine_divisor(square[i], root, epsilon);
    else if (minus)
        value = value - minus[i];
    sum[i] = base[i] + coefficient * value;
}

static __global__ void add_squares(size_t count, const float *vector, double *sum)
{
    __shared__ double sums[THREADS];
    double own = 0.0;

    for (size_t i = threadIdx.x; i < count; i += THREADS)
        own += (double)vector[i] * (double)vector[i];
    sums[threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    for (int thread = 1; thread < THREADS; thread++)
        own += sums[thread];
    *sum += own;
}

cudaError_t launch_update(const struct update *update, const struct update_call *call, cudaStream_t stream)
{
    return launch(step, blocks_for(call->count), THREADS, stream, *update, call->count, call->weights, call->gradient,
                  call->slots[0], call->slots[1], call->differences, call->keep_differences, call->new_weights);
}

cudaError_t launch_correct(const struct correction *correction, const struct correction_call *call, cudaStream_t stream)
{
    return launch(change, blocks_for(call->count), THREADS, stream, *correction, call->count, call->live, call->forward,
                  call->momentum, call->average, call->gradient);
}

cudaError_t launch_add_term(size_t count, const float *base, const struct combine_term *term, float *sum,
                            cudaStream_t stream)
{
    return launch(add_term, blocks_for(count), THREADS, stream, count, base, term->coefficient, term->plus, term->minus,
                  term->square, term->root, term->epsilon, sum);
}

cudaError_t launch_sum_of_squares(size_t count, const float *vector, double *sum, cudaStream_t stream)
{
    return launch(add_squares, 1, THREADS, stream, count, vector, sum);
}
