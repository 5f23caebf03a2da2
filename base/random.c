#include "base/random.h"

#include <math.h>

enum { ROUNDS = 10 };

/* The paper's multipliers and key increments (golden ratio and sqrt(3) - 1). */
static const uint32_t MULTIPLIER[2] = {0xD2511F53, 0xCD9E8D57};
static const uint32_t WEYL[2] = {0x9E3779B9, 0xBB67AE85};

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];

    for (int round = 0; round < ROUNDS; round++) {
        uint64_t product0 = (uint64_t)MULTIPLIER[0] * c0;
        uint64_t product1 = (uint64_t)MULTIPLIER[1] * c2;
        c0 = (uint32_t)(product1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)product1;
        c2 = (uint32_t)(product0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)product0;
        k0 += WEYL[0];
        k1 += WEYL[1];
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

void random_block(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)(index >> 32), substream, (uint32_t)purpose};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};

    random_philox(counter, key, out);
}

float random_uniform(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index)
{
    uint32_t words[4];

    random_block(seed, purpose, substream, index, words);
    return (float)(words[0] >> 8) * 0x1p-24f;
}

float random_normal(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index)
{
    uint32_t words[4];

    random_block(seed, purpose, substream, index, words);
    double radius = sqrt(-2.0 * log(((double)words[0] + 1.0) * 0x1p-32)); /* of a uniform in (0, 1] */
    double angle = 2.0 * M_PI * ((double)words[1] * 0x1p-32);
    return (float)(radius * cos(angle));
}

uint32_t random_below(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index, uint32_t bound)
{
    uint32_t words[4];

    /* floor(fraction * bound) for the 64-bit fraction 0.words[0]words[1]: off uniform by less than bound / 2^64. */
    random_block(seed, purpose, substream, index, words);
    return (uint32_t)(((uint64_t)words[0] * bound + ((uint64_t)words[1] * bound >> 32)) >> 32);
}
