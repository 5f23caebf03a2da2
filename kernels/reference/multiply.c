#include "kernels/reference/multiply.h"

void multiply_add(const float *x, int rows, const float *matrix, size_t stride, int columns, float *y)
{
    for (int i = 0; i < rows; i++) {
        const float factor = x[i];
        const float *restrict row = matrix + (size_t)i * stride;
        float *restrict sum = y;

        for (int j = 0; j < columns; j++)
            sum[j] += factor * row[j];
    }
}

void multiply_outer_add(const float *x, int rows, const float *y, int columns, float *matrix, size_t stride)
{
    for (int i = 0; i < rows; i++) {
        const float factor = x[i];
        const float *restrict values = y;
        float *restrict row = matrix + (size_t)i * stride;

        for (int j = 0; j < columns; j++)
            row[j] += factor * values[j];
    }
}

/* Sixteen partial sums: they vectorise without asking the compiler to reorder a sum, and round less than one. */
float multiply_dot(const float *x, const float *y, int count)
{
    enum { LANES = 16 };
    float lanes[LANES] = {0.0f};
    float sum = 0.0f;
    int i = 0;

    for (; i + LANES <= count; i += LANES)
        for (int lane = 0; lane < LANES; lane++)
            lanes[lane] += x[i + lane] * y[i + lane];
    for (; i < count; i++)
        lanes[i % LANES] += x[i] * y[i];
    for (int lane = 0; lane < LANES; lane++)
        sum += lanes[lane];
    return sum;
}
