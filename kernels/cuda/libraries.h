/* NVIDIA's libraries, found at run time: cuBLAS and cuBLASLt, and cuDNN where there is one. They are large, and a program
 * that was built with CUDA must start on machines without them. */
#ifndef TP_KERNELS_CUDA_LIBRARIES_H
#define TP_KERNELS_CUDA_LIBRARIES_H

#include <cublas_v2.h>
#include <cublasLt.h>
#include <stdbool.h>

#include "base/error.h"

#if __has_include(<cudnn.h>)
#define TP_CUDNN 1
#include <cudnn.h>
#else
#define TP_CUDNN 0
#endif

#define CUBLAS_FUNCTIONS(_)                                                                                            \
    _(cublasCreate_v2)                                                                                                 \
    _(cublasDestroy_v2)                                                                                                \
    _(cublasGetStatusString)                                                                                           \
    _(cublasSetMathMode)                                                                                               \
    _(cublasSetStream_v2)                                                                                              \
    _(cublasSetWorkspace_v2)                                                                                           \
    _(cublasSgemm_v2)

#define CUBLAS_LT_FUNCTIONS(_)                                                                                         \
    _(cublasLtCreate)                                                                                                  \
    _(cublasLtDestroy)                                                                                                 \
    _(cublasLtMatmul)                                                                                                  \
    _(cublasLtMatmulAlgoGetHeuristic)                                                                                  \
    _(cublasLtMatmulDescCreate)                                                                                        \
    _(cublasLtMatmulDescDestroy)                                                                                       \
    _(cublasLtMatmulDescSetAttribute)                                                                                  \
    _(cublasLtMatmulPreferenceCreate)                                                                                  \
    _(cublasLtMatmulPreferenceDestroy)                                                                                 \
    _(cublasLtMatmulPreferenceSetAttribute)                                                                            \
    _(cublasLtMatrixLayoutCreate)                                                                                      \
    _(cublasLtMatrixLayoutDestroy)

#if TP_CUDNN
#define CUDNN_FUNCTIONS(_)                                                                                             \
    _(cudnnCreate)                                                                                                     \
    _(cudnnDestroy)                                                                                                    \
    _(cudnnSetStream)                                                                                                  \
    _(cudnnCreateTensorDescriptor)                                                                                     \
    _(cudnnSetTensor4dDescriptor)                                                                                      \
    _(cudnnDestroyTensorDescriptor)                                                                                    \
    _(cudnnCreateFilterDescriptor)                                                                                     \
    _(cudnnSetFilter4dDescriptor)                                                                                      \
    _(cudnnDestroyFilterDescriptor)                                                                                    \
    _(cudnnCreateConvolutionDescriptor)                                                                                \
    _(cudnnSetConvolution2dDescriptor)                                                                                 \
    _(cudnnSetConvolutionMathType)                                                                                     \
    _(cudnnDestroyConvolutionDescriptor)                                                                               \
    _(cudnnGetConvolutionForwardAlgorithm_v7)                                                                          \
    _(cudnnGetConvolutionForwardWorkspaceSize)                                                                         \
    _(cudnnGetConvolutionBackwardDataAlgorithm_v7)                                                                     \
    _(cudnnGetConvolutionBackwardDataWorkspaceSize)                                                                    \
    _(cudnnGetConvolutionBackwardFilterAlgorithm_v7)                                                                   \
    _(cudnnGetConvolutionBackwardFilterWorkspaceSize)                                                                  \
    _(cudnnConvolutionForward)                                                                                         \
    _(cudnnConvolutionBackwardData)                                                                                    \
    _(cudnnConvolutionBackwardFilter)
#else
#define CUDNN_FUNCTIONS(_)
#endif

/* The functions, each under its own name. */
struct libraries {
#define LIBRARY_MEMBER(function) __typeof__(&function) function;
    CUBLAS_FUNCTIONS(LIBRARY_MEMBER)
    CUBLAS_LT_FUNCTIONS(LIBRARY_MEMBER)
    CUDNN_FUNCTIONS(LIBRARY_MEMBER)
#undef LIBRARY_MEMBER
    bool cudnn; /* was found, all of it */
};

/* -1 if cuBLAS or cuBLASLt was not found. Libraries once loaded stay. */
int libraries_load(struct libraries *libraries, struct error *error);

#endif
