/* The rounds of Philox4x32-10 (base/random.h), for plain C and for CUDA. */
#ifndef TP_BASE_PHILOX_H
#define TP_BASE_PHILOX_H

#include <stdint.h>

#ifdef __CUDACC__
#define TP_PHILOX static __device__ inline
#else
#define TP_PHILOX static inline
#endif

/* The paper's multipliers and key increments (golden ratio and sqrt(3) - 1). */
TP_PHILOX void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < 10; round++) {
        const uint64_t product0 = (uint64_t)0xD2511F53u * c0;
        const uint64_t product1 = (uint64_t)0xCD9E8D57u * c2;

        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

#endif
