/* exp as a polynomial, in a form that compilers vectorise: right to two units in the last place. */
#ifndef TP_KERNELS_ONEDNN_EXPONENTIAL_H
#define TP_KERNELS_ONEDNN_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/* exp(x) = 2^n exp(r) with n = x / log 2, rounded, and r = x - n log 2. Adding 1.5 2^23 rounds to a whole number, and leaves
 * it in the lowest bits. log 2 is subtracted in two parts, the first of few digits. Beyond 87 to both sides x counts as 87. */
static inline float exponential(float x)
{
    const float whole = 12582912.0f, low = x < -87.0f ? -87.0f : x, within = low > 87.0f ? 87.0f : low;
    const float shifted = within * 1.44269504f + whole, n = shifted - whole;
    const float r = within - n * 0.693359375f + n * 2.12194440e-4f;
    const float tail =
        ((((1.9875691500e-4f * r + 1.3981999507e-3f) * r + 8.3334519073e-3f) * r + 4.1665795894e-2f) * r +
         1.6666665459e-1f) *
            r +
        5.0000001201e-1f;
    uint32_t bits;
    float power;

    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits - 0x4B400000u + 127u) << 23;
    memcpy(&power, &bits, sizeof(power));
    return (tail * r * r + r + 1.0f) * power;
}

#endif
