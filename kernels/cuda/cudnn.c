#include "kernels/cuda/cudnn.h"

#include <stdlib.h>

#if TP_CUDNN

/* No algorithm is asked for more: the gain is small, and all layers' workspace is as large as the largest. */
enum { WORKSPACE_LIMIT = 64 << 20, CANDIDATES = 8 };

/* Filters are [K][R][R][C] and images channels-last, here as everywhere. */
struct cudnn_convolution {
    enum direction direction;
    cudnnTensorDescriptor_t input, output;
    cudnnFilterDescriptor_t filters;
    cudnnConvolutionDescriptor_t convolution;
    int algorithm; /* of its direction's own enum */
    size_t workspace_bytes;
};

void cudnn_open(struct engine *engine)
{
    const struct libraries *dnn = &engine->libraries;
    cudnnHandle_t handle;

    if (!dnn->cudnn || dnn->cudnnCreate(&handle) != CUDNN_STATUS_SUCCESS)
        return;
    if (dnn->cudnnSetStream(handle, engine->stream) == CUDNN_STATUS_SUCCESS)
        engine->cudnn = handle;
    else
        dnn->cudnnDestroy(handle);
}

void cudnn_close(struct engine *engine)
{
    if (engine->cudnn)
        engine->libraries.cudnnDestroy(engine->cudnn);
}

/* Each direction has its own functions, and its own enum of algorithms, which is an int here. `propose`: those that give the
 * same bits every time, best first, and how many. */
struct functions {
    int (*propose)(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                   int algorithms[CANDIDATES]);
    cudnnStatus_t (*workspace)(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                               int algorithm, size_t *bytes);
    cudnnStatus_t (*run)(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                         const float *first, const float *second, const float *beta, float *output, void *workspace);
};

/* The repeatable ones of the library's proposals; three structures have the same members. */
#define LIST_REPEATABLE(algorithms, listed, proposals, count)                                                          \
    for (int i = 0; i < (count); i++)                                                                                  \
        if ((proposals)[i].status == CUDNN_STATUS_SUCCESS && (proposals)[i].determinism == CUDNN_DETERMINISTIC)        \
            (algorithms)[(listed)++] = (int)(proposals)[i].algo;

static int forward_propose(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                           int algorithms[CANDIDATES])
{
    cudnnConvolutionFwdAlgoPerf_t proposals[CANDIDATES];
    int count = 0, listed = 0;

    if (dnn->cudnnGetConvolutionForwardAlgorithm_v7(handle, it->input, it->filters, it->convolution, it->output,
                                                    CANDIDATES, &count, proposals) != CUDNN_STATUS_SUCCESS)
        return 0;
    LIST_REPEATABLE(algorithms, listed, proposals, count)
    return listed;
}

static cudnnStatus_t forward_workspace(const struct libraries *dnn, cudnnHandle_t handle,
                                       const struct cudnn_convolution *it, int algorithm, size_t *bytes)
{
    return dnn->cudnnGetConvolutionForwardWorkspaceSize(handle, it->input, it->filters, it->convolution, it->output,
                                                        (cudnnConvolutionFwdAlgo_t)algorithm, bytes);
}

static cudnnStatus_t forward_run(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                                 const float *input, const float *weights, const float *beta, float *output,
                                 void *workspace)
{
    const float one = 1.0f;

    return dnn->cudnnConvolutionForward(handle, &one, it->input, input, it->filters, weights, it->convolution,
                                        (cudnnConvolutionFwdAlgo_t)it->algorithm, workspace, it->workspace_bytes, beta,
                                        it->output, output);
}

static int input_propose(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                         int algorithms[CANDIDATES])
{
    cudnnConvolutionBwdDataAlgoPerf_t proposals[CANDIDATES];
    int count = 0, listed = 0;

    if (dnn->cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, it->filters, it->output, it->convolution, it->input,
                                                         CANDIDATES, &count, proposals) != CUDNN_STATUS_SUCCESS)
        return 0;
    LIST_REPEATABLE(algorithms, listed, proposals, count)
    return listed;
}

static cudnnStatus_t input_workspace(const struct libraries *dnn, cudnnHandle_t handle,
                                     const struct cudnn_convolution *it, int algorithm, size_t *bytes)
{
    return dnn->cudnnGetConvolutionBackwardDataWorkspaceSize(
        handle, it->filters, it->output, it->convolution, it->input, (cudnnConvolutionBwdDataAlgo_t)algorithm, bytes);
}

static cudnnStatus_t input_run(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                               const float *gradient, const float *weights, const float *beta, float *input_gradient,
                               void *workspace)
{
    const float one = 1.0f;

    return dnn->cudnnConvolutionBackwardData(handle, &one, it->filters, weights, it->output, gradient, it->convolution,
                                             (cudnnConvolutionBwdDataAlgo_t)it->algorithm, workspace,
                                             it->workspace_bytes, beta, it->input, input_gradient);
}

static int weights_propose(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                           int algorithms[CANDIDATES])
{
    cudnnConvolutionBwdFilterAlgoPerf_t proposals[CANDIDATES];
    int count = 0, listed = 0;

    if (dnn->cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, it->input, it->output, it->convolution, it->filters,
                                                           CANDIDATES, &count, proposals) != CUDNN_STATUS_SUCCESS)
        return 0;
    LIST_REPEATABLE(algorithms, listed, proposals, count)
    return listed;
}

static cudnnStatus_t weights_workspace(const struct libraries *dnn, cudnnHandle_t handle,
                                       const struct cudnn_convolution *it, int algorithm, size_t *bytes)
{
    return dnn->cudnnGetConvolutionBackwardFilterWorkspaceSize(
        handle, it->input, it->output, it->convolution, it->filters, (cudnnConvolutionBwdFilterAlgo_t)algorithm, bytes);
}

static cudnnStatus_t weights_run(const struct libraries *dnn, cudnnHandle_t handle, const struct cudnn_convolution *it,
                                 const float *input, const float *gradient, const float *beta, float *weight_gradient,
                                 void *workspace)
{
    const float one = 1.0f;

    return dnn->cudnnConvolutionBackwardFilter(handle, &one, it->input, input, it->output, gradient, it->convolution,
                                               (cudnnConvolutionBwdFilterAlgo_t)it->algorithm, workspace,
                                               it->workspace_bytes, beta, it->filters, weight_gradient);
}

static const struct functions directions[] = {
    [DIRECTION_FORWARD] = {forward_propose, forward_workspace, forward_run},
    [DIRECTION_BACKWARD_INPUT] = {input_propose, input_workspace, input_run},
    [DIRECTION_BACKWARD_WEIGHTS] = {weights_propose, weights_workspace, weights_run},
};

/* Takes the first algorithm that does with the workspace that it may have. */
static bool choose(const struct engine *engine, struct cudnn_convolution *it)
{
    const struct functions *functions = &directions[it->direction];
    int algorithms[CANDIDATES];
    const int count = functions->propose(&engine->libraries, engine->cudnn, it, algorithms);

    for (int i = 0; i < count; i++) {
        size_t bytes;

        if (functions->workspace(&engine->libraries, engine->cudnn, it, algorithms[i], &bytes) !=
                CUDNN_STATUS_SUCCESS ||
            bytes > WORKSPACE_LIMIT)
            continue;
        it->algorithm = algorithms[i];
        it->workspace_bytes = bytes;
        return true;
    }
    return false;
}

static bool describe_images(const struct libraries *dnn, cudnnTensorDescriptor_t *images, int rows, struct shape shape)
{
    return dnn->cudnnCreateTensorDescriptor(images) == CUDNN_STATUS_SUCCESS &&
           dnn->cudnnSetTensor4dDescriptor(*images, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, rows, shape.channels,
                                           shape.height, shape.width) == CUDNN_STATUS_SUCCESS;
}

static bool describe(const struct engine *engine, const struct layer *layer, int rows, struct cudnn_convolution *it)
{
    const struct libraries *dnn = &engine->libraries;
    const int size = layer->kernel, padding = layer->padding, stride = layer->stride;

    return describe_images(dnn, &it->input, rows, layer->in) && describe_images(dnn, &it->output, rows, layer->out) &&
           dnn->cudnnCreateFilterDescriptor(&it->filters) == CUDNN_STATUS_SUCCESS &&
           dnn->cudnnSetFilter4dDescriptor(it->filters, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, layer->out.channels,
                                           layer->in.channels, size, size) == CUDNN_STATUS_SUCCESS &&
           dnn->cudnnCreateConvolutionDescriptor(&it->convolution) == CUDNN_STATUS_SUCCESS &&
           dnn->cudnnSetConvolution2dDescriptor(it->convolution, padding, padding, stride, stride, 1, 1,
                                                CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT) == CUDNN_STATUS_SUCCESS &&
           dnn->cudnnSetConvolutionMathType(
               it->convolution, engine->options.tf32 ? CUDNN_DEFAULT_MATH : CUDNN_FMA_MATH) == CUDNN_STATUS_SUCCESS;
}

struct cudnn_convolution *cudnn_convolution_create(const struct engine *engine, const struct layer *layer,
                                                   enum direction direction, int rows)
{
    struct cudnn_convolution *it = engine->cudnn ? calloc(1, sizeof(*it)) : NULL;

    if (!it)
        return NULL;
    it->direction = direction;
    if (describe(engine, layer, rows, it) && choose(engine, it))
        return it;
    cudnn_convolution_destroy(engine, it);
    return NULL;
}

void cudnn_convolution_destroy(const struct engine *engine, struct cudnn_convolution *it)
{
    const struct libraries *dnn = &engine->libraries;

    if (!it)
        return;
    if (it->input)
        dnn->cudnnDestroyTensorDescriptor(it->input);
    if (it->output)
        dnn->cudnnDestroyTensorDescriptor(it->output);
    if (it->filters)
        dnn->cudnnDestroyFilterDescriptor(it->filters);
    if (it->convolution)
        dnn->cudnnDestroyConvolutionDescriptor(it->convolution);
    free(it);
}

size_t cudnn_convolution_workspace_bytes(const struct cudnn_convolution *it)
{
    return it->workspace_bytes;
}

bool cudnn_convolution_run(const struct engine *engine, const struct cudnn_convolution *it, const float *first,
                           const float *second, bool add, float *output, void *workspace)
{
    const float beta = add ? 1.0f : 0.0f;

    return directions[it->direction].run(&engine->libraries, engine->cudnn, it, first, second, &beta, output,
                                         workspace) == CUDNN_STATUS_SUCCESS;
}

#else

void cudnn_open(struct engine *engine)
{
    (void)engine;
}

void cudnn_close(struct engine *engine)
{
    (void)engine;
}

struct cudnn_convolution *cudnn_convolution_create(const struct engine *engine, const struct layer *layer,
                                                   enum direction direction, int rows)
{
    (void)engine, (void)layer, (void)direction, (void)rows;
    return NULL;
}

void cudnn_convolution_destroy(const struct engine *engine, struct cudnn_convolution *convolution)
{
    (void)engine, (void)convolution;
}

size_t cudnn_convolution_workspace_bytes(const struct cudnn_convolution *convolution)
{
    (void)convolution;
    return 0;
}

bool cudnn_convolution_run(const struct engine *engine, const struct cudnn_convolution *convolution, const float *first,
                           const float *second, bool add, float *output, void *workspace)
{
    (void)engine, (void)convolution, (void)first, (void)second, (void)add, (void)output, (void)workspace;
    return false;
}

#endif
