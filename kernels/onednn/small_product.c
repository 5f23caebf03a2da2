/* A tile of c stays in registers while k passes by. The Makefile lets the compiler contract products and sums here. */
#include "kernels/onednn/small_product.h"

#include "kernels/onednn/vector.h"

/* A tile's rows and vectors: so many sums hide the latency of an addition, and leave registers for the factors. */
#if defined __AVX512F__
enum { ROWS = 8, VECTORS = 2 };
#elif defined __AVX__
enum { ROWS = 6, VECTORS = 2 };
#else
enum { ROWS = 4, VECTORS = 2 };
#endif

/* With constant `rows` and `vectors`: the tile whose first element is (i, j). */
static inline __attribute__((always_inline)) void multiply_tile(const struct small_product *of, size_t i, size_t j,
                                                                const int rows, const int vectors)
{
    const float *a = of->a + i * of->a_row, *b = of->b + j;
    float *c = of->c + i * of->c_row + j;
    vector sums[ROWS][VECTORS] = {{{0.0f}}};

    for (size_t l = 0; l < of->k; l++, a += of->a_column, b += of->b_row) {
        vector factors[VECTORS];

        for (int v = 0; v < vectors; v++)
            factors[v] = keep(load(b + v * WIDTH));
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < vectors; v++)
                sums[r][v] += a[(size_t)r * of->a_row] * factors[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < vectors; v++) {
            float *to = c + (size_t)r * of->c_row + v * WIDTH;

            if (of->add)
                sums[r][v] += load(to);
            store(sums[r][v], to);
        }
}

/* ROWS rows from i on, or one. */
static inline __attribute__((always_inline)) void multiply_rows(const struct small_product *of, size_t i,
                                                                const int rows)
{
    size_t j = 0;

    for (; j + VECTORS * WIDTH <= of->n; j += VECTORS * WIDTH)
        multiply_tile(of, i, j, rows, VECTORS);
    for (; j + WIDTH <= of->n; j += WIDTH)
        multiply_tile(of, i, j, rows, 1);
    for (; j < of->n; j++)
        for (size_t r = i; r < i + (size_t)rows; r++) {
            float sum = 0.0f;

            for (size_t l = 0; l < of->k; l++)
                sum += of->a[r * of->a_row + l * of->a_column] * of->b[l * of->b_row + j];
            of->c[r * of->c_row + j] = of->add ? of->c[r * of->c_row + j] + sum : sum;
        }
}

void small_product(const struct small_product *product)
{
    size_t i = 0;

    for (; i + ROWS <= product->m; i += ROWS)
        multiply_rows(product, i, ROWS);
    for (; i + 4 <= product->m; i += 4)
        multiply_rows(product, i, 4);
    for (; i + 2 <= product->m; i += 2)
        multiply_rows(product, i, 2);
    for (; i < product->m; i++)
        multiply_rows(product, i, 1);
}
