#include "base/random.h"

#include <math.h>

#include "base/philox.h"

void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4])
{
    philox(counter, key, out);
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
