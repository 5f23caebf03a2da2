#include "tests/gpu/multiply.h"

#include <algorithm>
#include <vector>

namespace gpu
{
namespace
{

/* A tile of D, whose sums fit into registers. Each element is summed by itself, in the order of k. */
constexpr int64_t ROWS = 8, COLUMNS = 8;

typedef float rows __attribute__((vector_size(ROWS * sizeof(float))));

float element(const operand &matrix, int64_t row, int64_t column)
{
    return matrix.transposed ? matrix.data[column + row * matrix.stride] : matrix.data[row + column * matrix.stride];
}

/* op(A) as tiles of ROWS rows, [k] columns each, with zeros beyond the last row. */
std::vector<rows> pack_a(const product &p)
{
    std::vector<rows> packed((size_t)((p.m + ROWS - 1) / ROWS * p.k));

    for (int64_t i = 0; i < p.m; i++) {
        for (int64_t l = 0; l < p.k; l++)
            packed[(size_t)(i / ROWS * p.k + l)][i % ROWS] = element(p.a, i, l);
    }
    return packed;
}

/* Some columns of op(B), [k][COLUMNS], with zeros beyond the last column. */
void pack_b(const product &p, int64_t first, std::vector<float> &packed)
{
    for (int64_t l = 0; l < p.k; l++) {
        for (int64_t j = 0; j < COLUMNS; j++)
            packed[(size_t)(l * COLUMNS + j)] = first + j < p.n ? element(p.b, l, first + j) : 0;
    }
}

void sum(int64_t k, const rows *a, const float *b, rows *sums)
{
    rows s[COLUMNS] = {};

    for (int64_t l = 0; l < k; l++) {
        for (int64_t j = 0; j < COLUMNS; j++)
            s[j] += a[l] * b[l * COLUMNS + j];
    }
    std::copy(s, s + COLUMNS, sums);
}

void finish(const product &p, int64_t i, int64_t j, float sum)
{
    float value = p.alpha * sum;

    if (p.beta != 0)
        value += p.beta * p.c[i + j * p.c_stride];
    if (p.bias != nullptr)
        value += p.bias[i];
    p.d[i + j * p.d_stride] = p.relu && value < 0 ? 0 : value;
}

} // namespace

void multiply(const product &p)
{
    std::vector<rows> a = pack_a(p);
    std::vector<float> b((size_t)(p.k * COLUMNS));
    rows sums[COLUMNS];

    for (int64_t column = 0; column < p.n; column += COLUMNS) {
        pack_b(p, column, b);
        for (int64_t row = 0; row < p.m; row += ROWS) {
            sum(p.k, a.data() + row / ROWS * p.k, b.data(), sums);
            for (int64_t j = column; j < std::min(p.n, column + COLUMNS); j++) {
                for (int64_t i = row; i < std::min(p.m, row + ROWS); i++)
                    finish(p, i, j, sums[j - column][i - row]);
            }
        }
    }
}

} // namespace gpu
