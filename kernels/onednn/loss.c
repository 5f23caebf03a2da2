/* Softmax and cross entropy by vectors, for vocabularies: kernels/reference/loss.c has the definitions. */
#include <math.h>

#include "base/numbers.h"
#include "kernels/onednn/exponential.h"
#include "kernels/onednn/lanes.h"
#include "kernels/onednn/layers.h"

/* Exponentials are floats, and so are their sums over blocks of this many; over blocks they are doubles. */
enum { BLOCK = 256 };

/* The lowest class with the largest logit; 0 if none compares with others (NaN). */
static int first_largest(int classes, const float *logits)
{
    const float largest = largest_of((size_t)classes, logits);

    for (int k = 0; k < classes; k++)
        if (logits[k] == largest)
            return k;
    return 0;
}

/* How many classes beat `target`. Ties go to the lower class; whatever cannot be compared (NaN) beats the target. */
static int rank_of(int target, int classes, const float *logits)
{
    const float own = logits[target];
    int rank = 0;

    for (int k = 0; k < target; k++)
        rank += !(logits[k] < own);
    for (int k = target; k < classes; k++)
        rank += !(logits[k] <= own);
    return rank;
}

/* The sum over all classes but `best` of exp(logit - best's): so nothing overflows, and a certain class keeps its digits. Each
 * class's is written to `exponentials` [classes], if that is not NULL; best's as 0. */
static double sum_exponentials(int classes, const float *logits, int best, float *exponentials)
{
    double others = 0.0;

    for (int start = 0; start < classes; start += BLOCK) {
        const int count = min_int(BLOCK, classes - start);
        float block[BLOCK];

        for (int k = 0; k < count; k += WIDTH)
            store(exponential(load_some(logits + start + k, (size_t)(count - k)) - logits[best]), block + k);
        if (best >= start && best < start + count)
            block[best - start] = 0.0f;
        others += (double)sum_of((size_t)count, block);
        for (int k = 0; exponentials && k < count; k++)
            exponentials[start + k] = block[k];
    }
    return others;
}

/* From exponentials, in their place: (softmax - onehot) * scale. */
static void differentiate(int classes, int target, int best, double others, double scale, float *gradient)
{
    const double sum = 1.0 + others;
    const float factor = (float)(scale / sum);

    for (int k = 0; k < classes; k++)
        gradient[k] *= factor;
    gradient[best] = factor;
    if (target == best)
        gradient[target] = (float)(-scale * others / sum);
    else
        gradient[target] -= (float)scale;
}

int softmax_cross_entropy(struct engine *engine, int rows, int classes, const float *logits, const int32_t *targets,
                          float scale, float *gradient, struct loss_result *result, struct error *error)
{
    (void)engine;
    for (int row = 0; row < rows; row++, logits += classes) {
        float *own = gradient ? gradient + (size_t)row * (size_t)classes : NULL;
        const int target = targets[row];

        if (target < 0 || target >= classes)
            return error_set(error, "row %d has target %d, but there are only %d classes", row, target, classes);

        const int best = first_largest(classes, logits), rank = rank_of(target, classes, logits);
        const double others = sum_exponentials(classes, logits, best, own);

        result->loss_sum += log1p(others) - ((double)logits[target] - (double)logits[best]);
        result->top1 += rank < 1;
        result->top5 += rank < 5;
        if (own)
            differentiate(classes, target, best, others, (double)scale, own);
    }
    return 0;
}
