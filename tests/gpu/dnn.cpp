/* cuDNN: convolutions of floats, channels-last. In each direction there is an algorithm that wants workspace and gives the
 * same bits every time, and one that wants none and, backward, says that it does not. */
#include <cudnn.h>

#include "tests/gpu/context.h"
#include "tests/gpu/convolve.h"
#include "tests/gpu/library.h"
#include "tests/gpu/stream.h"

struct cudnnContext {
    int device;
    cudaStream_t stream;
};

struct cudnnTensorStruct {
    int n, c, h, w;
};

struct cudnnFilterStruct {
    int k, c, h, w;
};

struct cudnnConvolutionStruct {
    int pad_h, pad_w, stride_h, stride_w, dilation_h, dilation_w;
};

using namespace gpu;

namespace
{

constexpr size_t WORKSPACE = 32 << 10;
constexpr int THOROUGH = 1; /* the number of the algorithm that wants it, whatever the direction */

void demand(cudnnTensorFormat_t format, cudnnDataType_t type, const char *what)
{
    if (format != CUDNN_TENSOR_NHWC || type != CUDNN_DATA_FLOAT)
        fatal("%s: only floats, channels-last, are done here, not type %d in format %d", what, (int)type, (int)format);
}

template <class T> cudnnStatus_t destroy(T *descriptor)
{
    delete descriptor;
    return CUDNN_STATUS_SUCCESS;
}

int output_size(int input, int filter, int padding, int stride, int dilation)
{
    return (input + 2 * padding - (filter - 1) * dilation - 1) / stride + 1;
}

/* False if the shapes do not fit together. */
bool describe(convolution &v, const cudnnTensorStruct &x, const cudnnFilterStruct &f, const cudnnConvolutionStruct &c,
              const cudnnTensorStruct &y)
{
    v = {x.n, x.h,     x.w,     x.c,        f.k,        f.h,          f.w,         y.h,
         y.w, c.pad_h, c.pad_w, c.stride_h, c.stride_w, c.dilation_h, c.dilation_w};
    return f.c == x.c && y.n == x.n && y.c == f.k && y.h == output_size(x.h, f.h, c.pad_h, c.stride_h, c.dilation_h) &&
           y.w == output_size(x.w, f.w, c.pad_w, c.stride_w, c.dilation_w);
}

cudnnStatus_t workspace_size(bool shapes_fit, int algorithm, size_t *bytes)
{
    if (!shapes_fit)
        return CUDNN_STATUS_BAD_PARAM;
    if (algorithm > THOROUGH)
        return CUDNN_STATUS_NOT_SUPPORTED;
    *bytes = algorithm == THOROUGH ? WORKSPACE : 0;
    return CUDNN_STATUS_SUCCESS;
}

template <class Result>
cudnnStatus_t list_algorithms(bool shapes_fit, bool forward, int wanted, int *count, Result *results)
{
    using algorithm = decltype(results->algo);

    if (!shapes_fit || wanted < 1)
        return CUDNN_STATUS_BAD_PARAM;
    *count = wanted < 2 ? wanted : 2;
    for (int i = 0; i < *count; i++) {
        results[i] = {};
        results[i].algo = (algorithm)(THOROUGH - i);
        results[i].time = -1;
        results[i].memory = i == 0 ? WORKSPACE : 0;
        results[i].determinism = i == 0 || forward ? CUDNN_DETERMINISTIC : CUDNN_NON_DETERMINISTIC;
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t start(cudnnHandle_t handle, const convolution_call &c, int algorithm, const workspace &w)
{
    const size_t wanted = algorithm == THOROUGH ? WORKSPACE : 0;

    if (algorithm > THOROUGH)
        return CUDNN_STATUS_NOT_SUPPORTED;
    if (w.bytes < wanted || !usable(w))
        return CUDNN_STATUS_BAD_PARAM;
    const size_t counts[] = {c.shape.y_count(), c.shape.x_count(), c.shape.filter_count()};
    cudaError_t error = queue_kernel(handle->device, handle->stream, [c] { convolve(c); }, {w.data, wanted},
                                     {{c.x, c.shape.x_count() * sizeof(float)},
                                      {c.filter, c.shape.filter_count() * sizeof(float)},
                                      {c.y, c.shape.y_count() * sizeof(float)},
                                      {c.result, counts[(int)c.direction] * sizeof(float)}});
    return error == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

float factor(const void *pointer)
{
    return *(const float *)pointer;
}

} // namespace

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle)
{
    if (!configured().cudnn || call([] { return not_while_capturing(); }) != cudaSuccess)
        return CUDNN_STATUS_NOT_INITIALIZED;
    *handle = new cudnnContext{current_device(), nullptr};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle)
{
    return destroy(handle);
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId)
{
    handle->stream = streamId;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensorDesc)
{
    *tensorDesc = new cudnnTensorStruct{};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensorDesc, cudnnTensorFormat_t format,
                                         cudnnDataType_t dataType, int n, int c, int h, int w)
{
    demand(format, dataType, "cudnnSetTensor4dDescriptor");
    *tensorDesc = {n, c, h, w};
    return n > 0 && c > 0 && h > 0 && w > 0 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensorDesc)
{
    return destroy(tensorDesc);
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filterDesc)
{
    *filterDesc = new cudnnFilterStruct{};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filterDesc, cudnnDataType_t dataType,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w)
{
    demand(format, dataType, "cudnnSetFilter4dDescriptor");
    *filterDesc = {k, c, h, w};
    return k > 0 && c > 0 && h > 0 && w > 0 ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filterDesc)
{
    return destroy(filterDesc);
}

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *convDesc)
{
    *convDesc = new cudnnConvolutionStruct{};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t convDesc, int pad_h, int pad_w, int u, int v,
                                              int dilation_h, int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t computeType)
{
    demand(CUDNN_TENSOR_NHWC, computeType, "cudnnSetConvolution2dDescriptor");
    if (mode != CUDNN_CROSS_CORRELATION)
        fatal("cudnnSetConvolution2dDescriptor: only CUDNN_CROSS_CORRELATION is done here, not mode %d", (int)mode);
    *convDesc = {pad_h, pad_w, u, v, dilation_h, dilation_w};
    return pad_h >= 0 && pad_w >= 0 && u > 0 && v > 0 && dilation_h > 0 && dilation_w > 0 ? CUDNN_STATUS_SUCCESS
                                                                                          : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t, cudnnMathType_t)
{
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t convDesc)
{
    return destroy(convDesc);
}

cudnnStatus_t cudnnGetConvolutionForwardAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t srcDesc,
                                                     const cudnnFilterDescriptor_t filterDesc,
                                                     const cudnnConvolutionDescriptor_t convDesc,
                                                     const cudnnTensorDescriptor_t destDesc,
                                                     const int requestedAlgoCount, int *returnedAlgoCount,
                                                     cudnnConvolutionFwdAlgoPerf_t *perfResults)
{
    convolution v;

    return list_algorithms(describe(v, *srcDesc, *filterDesc, *convDesc, *destDesc), true, requestedAlgoCount,
                           returnedAlgoCount, perfResults);
}

cudnnStatus_t cudnnGetConvolutionForwardWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t xDesc,
                                                      const cudnnFilterDescriptor_t wDesc,
                                                      const cudnnConvolutionDescriptor_t convDesc,
                                                      const cudnnTensorDescriptor_t yDesc,
                                                      cudnnConvolutionFwdAlgo_t algo, size_t *sizeInBytes)
{
    convolution v;

    return workspace_size(describe(v, *xDesc, *wDesc, *convDesc, *yDesc), (int)algo, sizeInBytes);
}

cudnnStatus_t cudnnConvolutionForward(cudnnHandle_t handle, const void *alpha, const cudnnTensorDescriptor_t xDesc,
                                      const void *x, const cudnnFilterDescriptor_t wDesc, const void *w,
                                      const cudnnConvolutionDescriptor_t convDesc, cudnnConvolutionFwdAlgo_t algo,
                                      void *workSpace, size_t workSpaceSizeInBytes, const void *beta,
                                      const cudnnTensorDescriptor_t yDesc, void *y)
{
    convolution_call c = {{},      direction::forward, factor(alpha), factor(beta), (const float *)x, (const float *)w,
                          nullptr, (float *)y};

    return describe(c.shape, *xDesc, *wDesc, *convDesc, *yDesc)
               ? start(handle, c, (int)algo, {workSpace, workSpaceSizeInBytes})
               : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnGetConvolutionBackwardDataAlgorithm_v7(cudnnHandle_t, const cudnnFilterDescriptor_t filterDesc,
                                                          const cudnnTensorDescriptor_t diffDesc,
                                                          const cudnnConvolutionDescriptor_t convDesc,
                                                          const cudnnTensorDescriptor_t gradDesc,
                                                          const int requestedAlgoCount, int *returnedAlgoCount,
                                                          cudnnConvolutionBwdDataAlgoPerf_t *perfResults)
{
    convolution v;

    return list_algorithms(describe(v, *gradDesc, *filterDesc, *convDesc, *diffDesc), false, requestedAlgoCount,
                           returnedAlgoCount, perfResults);
}

cudnnStatus_t cudnnGetConvolutionBackwardDataWorkspaceSize(cudnnHandle_t, const cudnnFilterDescriptor_t wDesc,
                                                           const cudnnTensorDescriptor_t dyDesc,
                                                           const cudnnConvolutionDescriptor_t convDesc,
                                                           const cudnnTensorDescriptor_t dxDesc,
                                                           cudnnConvolutionBwdDataAlgo_t algo, size_t *sizeInBytes)
{
    convolution v;

    return workspace_size(describe(v, *dxDesc, *wDesc, *convDesc, *dyDesc), (int)algo, sizeInBytes);
}

cudnnStatus_t cudnnConvolutionBackwardData(cudnnHandle_t handle, const void *alpha, const cudnnFilterDescriptor_t wDesc,
                                           const void *w, const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                           const cudnnConvolutionDescriptor_t convDesc,
                                           cudnnConvolutionBwdDataAlgo_t algo, void *workSpace,
                                           size_t workSpaceSizeInBytes, const void *beta,
                                           const cudnnTensorDescriptor_t dxDesc, void *dx)
{
    convolution_call c = {{},      direction::backward_data, factor(alpha),     factor(beta),
                          nullptr, (const float *)w,         (const float *)dy, (float *)dx};

    return describe(c.shape, *dxDesc, *wDesc, *convDesc, *dyDesc)
               ? start(handle, c, (int)algo, {workSpace, workSpaceSizeInBytes})
               : CUDNN_STATUS_BAD_PARAM;
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterAlgorithm_v7(cudnnHandle_t, const cudnnTensorDescriptor_t srcDesc,
                                                            const cudnnTensorDescriptor_t diffDesc,
                                                            const cudnnConvolutionDescriptor_t convDesc,
                                                            const cudnnFilterDescriptor_t gradDesc,
                                                            const int requestedAlgoCount, int *returnedAlgoCount,
                                                            cudnnConvolutionBwdFilterAlgoPerf_t *perfResults)
{
    convolution v;

    return list_algorithms(describe(v, *srcDesc, *gradDesc, *convDesc, *diffDesc), false, requestedAlgoCount,
                           returnedAlgoCount, perfResults);
}

cudnnStatus_t cudnnGetConvolutionBackwardFilterWorkspaceSize(cudnnHandle_t, const cudnnTensorDescriptor_t xDesc,
                                                             const cudnnTensorDescriptor_t dyDesc,
                                                             const cudnnConvolutionDescriptor_t convDesc,
                                                             const cudnnFilterDescriptor_t gradDesc,
                                                             cudnnConvolutionBwdFilterAlgo_t algo, size_t *sizeInBytes)
{
    convolution v;

    return workspace_size(describe(v, *xDesc, *gradDesc, *convDesc, *dyDesc), (int)algo, sizeInBytes);
}

cudnnStatus_t cudnnConvolutionBackwardFilter(cudnnHandle_t handle, const void *alpha,
                                             const cudnnTensorDescriptor_t xDesc, const void *x,
                                             const cudnnTensorDescriptor_t dyDesc, const void *dy,
                                             const cudnnConvolutionDescriptor_t convDesc,
                                             cudnnConvolutionBwdFilterAlgo_t algo, void *workSpace,
                                             size_t workSpaceSizeInBytes, const void *beta,
                                             const cudnnFilterDescriptor_t dwDesc, void *dw)
{
    convolution_call c = {{},      direction::backward_filter, factor(alpha), factor(beta), (const float *)x,
                          nullptr, (const float *)dy,          (float *)dw};

    return describe(c.shape, *xDesc, *dwDesc, *convDesc, *dyDesc)
               ? start(handle, c, (int)algo, {workSpace, workSpaceSizeInBytes})
               : CUDNN_STATUS_BAD_PARAM;
}
