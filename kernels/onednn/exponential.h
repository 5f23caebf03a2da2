/* exp as a polynomial, right to two units in the last place. Of vectors, as compilers make branches of a float's bounds. */
#ifndef TP_KERNELS_ONEDNN_EXPONENTIAL_H
#define TP_KERNELS_ONEDNN_EXPONENTIAL_H

#include "kernels/onednn/vector.h"

/* exp(x) = 2^n exp(r) with n = x / log 2, rounded, and r = x - n log 2. Adding 1.5 2^23 rounds to a whole number, and leaves
 * it in the lowest bits. log 2 is subtracted in two parts, the first of few digits. Beyond 87 to both sides x counts as 87. */
static inline vector exponential(vector x)
{
    const float whole = 12582912.0f;
    const vector low = choose(x < -87.0f, all(-87.0f), x), within = choose(low > 87.0f, all(87.0f), low);
    const vector shifted = within * 1.44269504f + whole, n = shifted - whole;
    const vector r = within - n * 0.693359375f + n * 2.12194440e-4f;
    const vector tail =
        ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r +
         1.6666665459e-1f) *
            r +
        5.0000001201e-1f;
    const bits_vector power = ((bits_vector)shifted - 0x4B400000 + 127) << 23;

    return (tail * r * r + r + 1.0f) * (vector)power;
}

#endif
