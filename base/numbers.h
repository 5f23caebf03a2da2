/* The smaller and the larger of two ints. */
#ifndef TP_BASE_NUMBERS_H
#define TP_BASE_NUMBERS_H

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

#endif
