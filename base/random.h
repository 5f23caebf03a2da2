/* Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011): a counter-based
 * generator. A number is a pure function of (seed, stream, index), so weights do not depend on the partition and an
 * image's augmentation does not depend on who loads it. */
#ifndef TP_BASE_RANDOM_H
#define TP_BASE_RANDOM_H

#include <stdint.h>

/* What a stream of numbers is used for; the low 32 bits of a stream are the caller's (layer, epoch, ...). */
enum random_purpose {
    RANDOM_WEIGHTS = 1,
    RANDOM_ORDER = 2,
    RANDOM_AUGMENT = 3,
    RANDOM_SYNTHETIC = 4,
    RANDOM_TEST = 5,
    RANDOM_DROPOUT = 6,
    RANDOM_SAMPLE = 7,
};

/* The generator's block function: ten rounds on a 128-bit counter with a 64-bit key. */
void random_philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* Four 32-bit words for block `index` of stream (purpose, substream). */
void random_block(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index, uint32_t out[4]);

/* Uniform in [0, 1), with 24 bits. */
float random_uniform(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index);

/* Standard normal (Box-Muller). */
float random_normal(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index);

/* Uniform in [0, bound), bound >= 1, without bias to speak of (64-bit multiply). */
uint32_t random_below(uint64_t seed, enum random_purpose purpose, uint32_t substream, uint64_t index, uint32_t bound);

#endif
