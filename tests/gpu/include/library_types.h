/* Types of numbers, as the double has them. */
#ifndef TESTS_GPU_LIBRARY_TYPES_H
#define TESTS_GPU_LIBRARY_TYPES_H

typedef enum cudaDataType_t {
    CUDA_R_32F = 0,
    CUDA_R_64F = 1,
} cudaDataType;

#ifndef __cplusplus
typedef cudaDataType cudaDataType_t;
#endif

#endif
