/* Softmax and cross entropy, and how many rows were right. */
#include <math.h>

#include "kernels/reference/reference.h"

/* How many classes beat `target`. Ties go to the lower class; whatever cannot be compared (NaN) beats the target. */
static int rank_of(int target, int classes, const float *logits)
{
    int rank = 0;

    for (int k = 0; k < classes; k++) {
        const bool behind = logits[k] < logits[target] || (k >= target && logits[k] == logits[target]);

        rank += !behind;
    }
    return rank;
}

static int first_largest(int classes, const float *logits)
{
    int best = 0;

    for (int k = 1; k < classes; k++)
        best = logits[k] > logits[best] ? k : best;
    return best;
}

/* log of the sum over classes of exp(logit - largest): nothing overflows, and a certain class keeps its digits. */
static double log_sum_exp(int classes, const float *logits, int best)
{
    double others = 0.0;

    for (int k = 0; k < classes; k++)
        if (k != best)
            others += exp((double)logits[k] - (double)logits[best]);
    return log1p(others);
}

int reference_softmax_cross_entropy(struct engine *engine, int rows, int classes, const float *logits,
                                    const int32_t *targets, float scale, float *gradient, struct loss_result *result,
                                    struct error *error)
{
    (void)engine;
    for (int row = 0; row < rows; row++, logits += classes) {
        const int target = targets[row];

        if (target < 0 || target >= classes)
            return error_set(error, "row %d has target %d, but there are only %d classes", row, target, classes);

        const int best = first_largest(classes, logits);
        const double largest = (double)logits[best], log_sum = log_sum_exp(classes, logits, best);
        const int rank = rank_of(target, classes, logits);

        result->loss_sum += log_sum - ((double)logits[target] - largest);
        result->top1 += rank < 1;
        result->top5 += rank < 5;
        for (int k = 0; gradient && k < classes; k++) {
            const double probability = exp((double)logits[k] - largest - log_sum);

            gradient[(size_t)row * (size_t)classes + (size_t)k] =
                (float)((probability - (k == target ? 1.0 : 0.0)) * (double)scale);
        }
    }
    return 0;
}
