/* The team that OpenMP's loops run on, which is the library's: open_engine says how many. */
#ifndef TP_KERNELS_ONEDNN_THREADS_H
#define TP_KERNELS_ONEDNN_THREADS_H

#ifdef _OPENMP
#include <omp.h>
#endif

/* As many as a loop may have. */
static inline int threads_most(void)
{
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}

/* Which of them (0..) is computing. */
static inline int threads_own(void)
{
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

#endif
