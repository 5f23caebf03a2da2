/* The three small matrix products that convolutions and linear layers are made of, with inner loops that vectorise. */
#ifndef TP_KERNELS_REFERENCE_MULTIPLY_H
#define TP_KERNELS_REFERENCE_MULTIPLY_H

#include <stddef.h>

/* y[j] += sum over i of x[i] * matrix[i * stride + j], for i < rows, j < columns. */
void multiply_add(const float *x, int rows, const float *matrix, size_t stride, int columns, float *y);

/* matrix[i * stride + j] += x[i] * y[j], for i < rows, j < columns. */
void multiply_outer_add(const float *x, int rows, const float *y, int columns, float *matrix, size_t stride);

/* Sum over i < count of x[i] * y[i]. */
float multiply_dot(const float *x, const float *y, int count);

#endif
