/* Softmax and cross entropy, and how many rows were right: one block, each thread with every 256th row. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

/* How many classes beat `target`. Ties go to the lower class; whatever cannot be compared (NaN) beats the target. */
static __device__ int rank_of(int target, int classes, const float *logits)
{
    int rank = 0;

    for (int k = 0; k < classes; k++) {
        const bool behind = logits[k] < logits[target] || (k >= target && logits[k] == logits[target]);

        rank += !behind;
    }
    return rank;
}

static __device__ int first_largest(int classes, const float *logits)
{
    int best = 0;

    for (int k = 1; k < classes; k++)
        best = logits[k] > logits[best] ? k : best;
    return best;
}

/* log of the sum over classes of exp(logit - largest): nothing overflows, and a certain class keeps its digits. */
static __device__ double log_sum_exp(int classes, const float *logits, int best)
{
    double others = 0.0;

    for (int k = 0; k < classes; k++)
        if (k != best)
            others += exp((double)logits[k] - (double)logits[best]);
    return log1p(others);
}

static __device__ void add_row(int target, int classes, const float *logits, float scale, float *gradient,
                               struct loss_result *sum)
{
    const int best = first_largest(classes, logits), rank = rank_of(target, classes, logits);
    const double largest = (double)logits[best], log_sum = log_sum_exp(classes, logits, best);

    sum->loss_sum += log_sum - ((double)logits[target] - largest);
    sum->top1 += rank < 1;
    sum->top5 += rank < 5;
    for (int k = 0; gradient && k < classes; k++) {
        const double probability = exp((double)logits[k] - largest - log_sum);

        gradient[k] = (float)((probability - (k == target ? 1.0 : 0.0)) * (double)scale);
    }
}

static __global__ void add_loss(int rows, int classes, const float *logits, const int32_t *targets, float scale,
                                float *gradient, struct loss_result *result)
{
    __shared__ struct loss_result sums[THREADS];
    struct loss_result sum = {0.0, 0, 0};

    for (int row = (int)threadIdx.x; row < rows; row += THREADS) {
        const size_t start = (size_t)row * classes;

        add_row(targets[row], classes, logits + start, scale, gradient ? gradient + start : nullptr, &sum);
    }
    sums[threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    sum = *result;
    for (int thread = 0; thread < THREADS; thread++) {
        sum.loss_sum += sums[thread].loss_sum;
        sum.top1 += sums[thread].top1;
        sum.top5 += sums[thread].top5;
    }
    *result = sum;
}

cudaError_t launch_softmax_cross_entropy(int rows, int classes, const float *logits, const int32_t *targets,
                                         float scale, float *gradient, struct loss_result *result, cudaStream_t stream)
{
    return launch(add_loss, 1, THREADS, stream, rows, classes, logits, targets, scale, gradient, result);
}
