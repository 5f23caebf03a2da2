/* Floats that the processor computes with at once. A vector wider than its registers would be cut in pieces, and kept in
 * memory. */
#ifndef TP_KERNELS_ONEDNN_VECTOR_H
#define TP_KERNELS_ONEDNN_VECTOR_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined __AVX512F__
enum { WIDTH = 16 };
#elif defined __AVX__
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif

typedef float vector __attribute__((vector_size(WIDTH * sizeof(float))));
typedef int32_t bits_vector __attribute__((vector_size(WIDTH * sizeof(int32_t))));

static inline vector load(const float *from)
{
    vector values;

    memcpy(&values, from, sizeof(values));
    return values;
}

/* Keeps a vector in a register, where the compiler would rather read it again for each use. */
static inline vector keep(vector values)
{
#if defined __x86_64__
    __asm__("" : "+v"(values));
#endif
    return values;
}

static inline void store(vector values, float *to)
{
    memcpy(to, &values, sizeof(values));
}

/* Of an array's last numbers, which may be fewer than a vector has: the others are 0, and are not stored. */
static inline vector load_some(const float *from, size_t count)
{
    vector values = {0.0f};

    if (count >= WIDTH)
        return load(from);
    memcpy(&values, from, count * sizeof(float));
    return values;
}

static inline void store_some(vector values, size_t count, float *to)
{
    if (count >= WIDTH)
        store(values, to);
    else
        memcpy(to, &values, count * sizeof(float));
}

static inline vector all(float value)
{
    return (vector){0.0f} + value;
}

/* By the outcome of a comparison. */
static inline vector choose(bits_vector which, vector yes, vector no)
{
    return (vector)((which & (bits_vector)yes) | (~which & (bits_vector)no));
}

#endif
