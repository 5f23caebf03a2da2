/* Sums and maxima in lanes side by side, so that they vectorise: compilers do not reorder a sum of floats by themselves. The
 * order of additions depends on the count alone. */
#ifndef TP_KERNELS_ONEDNN_LANES_H
#define TP_KERNELS_ONEDNN_LANES_H

#include <math.h>
#include <stddef.h>

enum { LANES = 16 };

static inline float lanes_sum(const float lanes[LANES])
{
    float sum = 0.0f;

    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}

static inline float sum_of(size_t count, const float *x)
{
    float lanes[LANES] = {0.0f};
    size_t i = 0;

    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += x[i + lane];
    for (; i < count; i++)
        lanes[i % LANES] += x[i];
    return lanes_sum(lanes);
}

static inline float sum_of_products(size_t count, const float *x, const float *y)
{
    float lanes[LANES] = {0.0f};
    size_t i = 0;

    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] += x[i + lane] * y[i + lane];
    for (; i < count; i++)
        lanes[i % LANES] += x[i] * y[i];
    return lanes_sum(lanes);
}

/* -infinity of none; NaN is larger than nothing. */
static inline float largest_of(size_t count, const float *x)
{
    float lanes[LANES], largest;
    size_t i = 0;

    for (int lane = 0; lane < LANES; lane++)
        lanes[lane] = -INFINITY;
    for (; i + LANES <= count; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            lanes[lane] = x[i + lane] > lanes[lane] ? x[i + lane] : lanes[lane];
    for (; i < count; i++)
        lanes[i % LANES] = x[i] > lanes[i % LANES] ? x[i] : lanes[i % LANES];
    largest = lanes[0];
    for (int lane = 1; lane < LANES; lane++)
        largest = lanes[lane] > largest ? lanes[lane] : largest;
    return largest;
}

#endif
