/* Matrix products whose operands lie in a cache, such as those of one head's attention: what the library does to make large
 * products fast takes longer there than the product. */
#ifndef TP_KERNELS_ONEDNN_SMALL_PRODUCT_H
#define TP_KERNELS_ONEDNN_SMALL_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

/* A multiple of the columns of b and c that are computed side by side: with so many, or a multiple, no rest is done one by
 * one. */
enum { SMALL_PRODUCT_LANES = 16 };

/* c [m][n] = a b, or c + a b if `add`. Element (i, l) of a [m][k] is a[i * a_row + l * a_column], so that a transposed
 * matrix is one with the two exchanged; rows of b [k][n] and c are b_row and c_row floats apart. */
struct small_product {
    size_t m, n, k;
    const float *a;
    size_t a_row, a_column;
    const float *b;
    size_t b_row;
    float *c;
    size_t c_row;
    bool add;
};
void small_product(const struct small_product *product);

#endif
