/* Matrix products in plain loops of a fixed order, column-major as cuBLAS has them. */
#ifndef TESTS_GPU_MULTIPLY_H
#define TESTS_GPU_MULTIPLY_H

#include <cstddef>
#include <cstdint>

namespace gpu
{

struct operand {
    const float *data;
    int64_t stride; /* the leading dimension */
    bool transposed;
};

/* D[m][n] = alpha op(A)[m][k] op(B)[k][n] + beta C, plus a bias [m] in each column, then ReLU. C may be D, and is not read
 * if beta is 0. */
struct product {
    int64_t m, n, k;
    float alpha, beta;
    operand a, b;
    const float *c;
    int64_t c_stride;
    float *d;
    int64_t d_stride;
    const float *bias; /* or NULL */
    bool relu;
};

void multiply(const product &p);

/* From the first element of so many columns to the last. */
inline size_t matrix_bytes(int64_t rows, int64_t columns, int64_t stride)
{
    return (size_t)(rows > 0 && columns > 0 ? (columns - 1) * stride + rows : 0) * sizeof(float);
}

inline size_t matrix_bytes(const operand &matrix, int64_t rows, int64_t columns)
{
    return matrix.transposed ? matrix_bytes(columns, rows, matrix.stride) : matrix_bytes(rows, columns, matrix.stride);
}

} // namespace gpu

#endif
