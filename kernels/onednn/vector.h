/* Floats that the processor computes with at once. A vector wider than its registers would be cut in pieces, and kept in
 * memory. */
#ifndef TP_KERNELS_ONEDNN_VECTOR_H
#define TP_KERNELS_ONEDNN_VECTOR_H

#include <string.h>

#if defined __AVX512F__
enum { WIDTH = 16 };
#elif defined __AVX__
enum { WIDTH = 8 };
#else
enum { WIDTH = 4 };
#endif

typedef float vector __attribute__((vector_size(WIDTH * sizeof(float))));

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

#endif
