/* The CUDA backend: matrix products by cuBLAS and cuBLASLt, convolutions by these or cuDNN, everything else by kernels of
 * its own. All of it is queued on the device's stream. */
#include <stdlib.h>

#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/engine.h"
#include "kernels/cuda/graphs.h"
#include "kernels/cuda/kernels.h"

/* What NVIDIA recommends as cuBLAS's workspace, which begins at such a boundary. */
enum { WORKSPACE_BYTES = 4 << 20, HOPPER_WORKSPACE_BYTES = 32 << 20, HOPPER = 9, WORKSPACE_ALIGNMENT = 256 };

static const struct layer_functions *const kinds[] = {
    [LAYER_CONVOLUTION] = &cuda_convolution,
    [LAYER_BATCH_NORM] = &cuda_batch_norm,
    [LAYER_LINEAR] = &cuda_linear,
    [LAYER_AVERAGE_POOL] = &cuda_average_pool,
    [LAYER_MAX_POOL] = &cuda_max_pool,
    [LAYER_RELU] = &cuda_relu,
    [LAYER_ADD] = &cuda_add,
    [LAYER_DROPOUT] = &cuda_dropout,
    [LAYER_EMBEDDING] = &cuda_embedding,
    [LAYER_RMS_NORM] = &cuda_rms_norm,
    [LAYER_ROPE] = &cuda_rope,
    [LAYER_ATTENTION] = &cuda_attention,
    [LAYER_SILU] = &cuda_silu,
    [LAYER_GELU] = &cuda_gelu,
    [LAYER_MULTIPLY] = &cuda_multiply,
    [LAYER_LAYER_NORM] = &cuda_layer_norm,
};

static const struct layer_functions *functions(const struct layer_kernel *kernel)
{
    return kinds[kernel->layer.kind];
}

int cublas_check(const struct engine *engine, cublasStatus_t status, const char *what, struct error *error)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return 0;
    /* The library says no more than that it failed where an earlier kernel has. */
    const cudaError_t cause = cudaGetLastError();
    if (cause != cudaSuccess)
        return error_set(error, "%s: %s: %s (%s)", what, engine->libraries.cublasGetStatusString(status),
                         cudaGetErrorName(cause), cudaGetErrorString(cause));
    return error_set(error, "%s: %s", what, engine->libraries.cublasGetStatusString(status));
}

int cuda_need_workspace(struct layer_kernel *kernel, size_t bytes)
{
    kernel->workspace_bytes = bytes > kernel->workspace_bytes ? bytes : kernel->workspace_bytes;
    return 0;
}

int cuda_check_workspace(const struct layer_kernel *kernel, int rows, size_t bytes, struct error *error)
{
    if (bytes <= kernel->workspace_bytes)
        return 0;
    return error_set(error, "%s: %d rows were not prepared, and need %zu bytes of workspace where %zu were prepared",
                     kernel->layer.name, rows, bytes, kernel->workspace_bytes);
}

/* Whether the kernels run on the first GPU: they may have been compiled for newer ones. */
static int try_kernels(struct error *error)
{
    struct device *device;
    int failed;

    if (device_cuda.open(&device, 0, error))
        return -1;
    failed = cuda_check(launch_nothing(cuda_device_stream(device)), "GPU 0 cannot run this program's kernels", error) ||
             device_finish(device, error);
    device_cuda.close(device);
    return failed ? -1 : 0;
}

static int available(struct error *error)
{
    struct libraries libraries;

    return device_cuda.count(error) == 0 || libraries_load(&libraries, error) || try_kernels(error) ? -1 : 0;
}

static void close_engine(struct engine *engine)
{
    if (!engine)
        return;
    graphs_destroy(engine->graphs);
    cudnn_close(engine);
    if (engine->cublas_lt)
        engine->libraries.cublasLtDestroy(engine->cublas_lt);
    if (engine->cublas)
        engine->libraries.cublasDestroy_v2(engine->cublas);
    engine->device->type->release(engine->device, engine->memory);
    free(engine);
}

static int allocate_workspace(struct engine *engine, struct error *error)
{
    int ordinal, major = 0;
    uintptr_t start;

    if (cuda_check(cudaGetDevice(&ordinal), "cudaGetDevice", error) ||
        cuda_check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal), "cudaDeviceGetAttribute",
                   error))
        return -1;
    engine->library_workspace_bytes = major >= HOPPER ? HOPPER_WORKSPACE_BYTES : WORKSPACE_BYTES;
    if (engine->device->type->allocate(engine->device, &engine->memory,
                                       engine->library_workspace_bytes + WORKSPACE_ALIGNMENT,
                                       "the matrix products' workspace", error))
        return -1;
    start = ((uintptr_t)engine->memory + WORKSPACE_ALIGNMENT - 1) / WORKSPACE_ALIGNMENT * WORKSPACE_ALIGNMENT;
    engine->library_workspace = (void *)start;
    return 0;
}

static int open_cublas(struct engine *engine, struct error *error)
{
    const struct libraries *blas = &engine->libraries;
    const cublasMath_t math = engine->options.tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH;

    if (cublas_check(engine, blas->cublasCreate_v2(&engine->cublas), "cublasCreate", error) ||
        cublas_check(engine, blas->cublasSetStream_v2(engine->cublas, engine->stream), "cublasSetStream", error) ||
        cublas_check(
            engine,
            blas->cublasSetWorkspace_v2(engine->cublas, engine->library_workspace, engine->library_workspace_bytes),
            "cublasSetWorkspace", error) ||
        cublas_check(engine, blas->cublasSetMathMode(engine->cublas, math), "cublasSetMathMode", error))
        return -1;
    return cublas_check(engine, blas->cublasLtCreate(&engine->cublas_lt), "cublasLtCreate", error);
}

static int open_engine(struct engine **out, struct device *device, const struct engine_options *options,
                       struct error *error)
{
    struct engine *engine = calloc(1, sizeof(*engine));

    *out = NULL;
    if (!engine)
        return error_set(error, "out of memory");
    engine->device = device;
    engine->stream = cuda_device_stream(device);
    engine->options = *options;
    if (libraries_load(&engine->libraries, error) || allocate_workspace(engine, error) || open_cublas(engine, error) ||
        (options->graphs && graphs_create(&engine->graphs, engine->stream, error))) {
        close_engine(engine);
        return -1;
    }
    cudnn_open(engine);
    *out = engine;
    return 0;
}

static size_t engine_bytes(const struct engine *engine)
{
    return engine->library_workspace_bytes + WORKSPACE_ALIGNMENT;
}

static int layer_create(struct layer_kernel **out, struct engine *engine, const struct layer *layer,
                        struct error *error)
{
    struct layer_kernel *kernel = calloc(1, sizeof(*kernel));

    *out = kernel;
    if (!kernel)
        return error_set(error, "%s: out of memory", layer->name);
    kernel->engine = engine;
    kernel->layer = *layer;
    if (functions(kernel)->create)
        functions(kernel)->create(kernel);
    return 0;
}

static void layer_destroy(struct layer_kernel *kernel)
{
    if (kernel && functions(kernel)->destroy)
        functions(kernel)->destroy(kernel);
    free(kernel);
}

static int prepare_forward(struct layer_kernel *kernel, int rows, struct error *error)
{
    return functions(kernel)->prepare_forward ? functions(kernel)->prepare_forward(kernel, rows, error) : 0;
}

static int prepare_backward(struct layer_kernel *kernel, int rows, struct error *error)
{
    return functions(kernel)->prepare_backward ? functions(kernel)->prepare_backward(kernel, rows, error) : 0;
}

static size_t saved_floats(const struct layer_kernel *kernel)
{
    return layer_type_of(kernel->layer.kind)->is_norm ? 2 * (size_t)kernel->layer.in.channels : 0;
}

static size_t workspace_bytes(const struct layer_kernel *kernel)
{
    return kernel->workspace_bytes;
}

/* A call that failed is not part of a pass that is being recorded. */
static int done(const struct layer_kernel *kernel, int result)
{
    if (result && kernel->engine->graphs)
        graphs_spoil(kernel->engine->graphs);
    return result;
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return call->rows == 0 ? 0 : done(kernel, functions(kernel)->forward(kernel, call, error));
}

/* The weight gradient of no rows, which the half that computes it writes. */
static int no_rows(const struct layer_kernel *kernel, const struct backward_call *call, bool writes_weights,
                   struct error *error)
{
    if (!writes_weights || call->add_weight_gradient)
        return 0;
    return cuda_check(
        cudaMemsetAsync(call->weight_gradient, 0, kernel->layer.parameters * sizeof(float), kernel->engine->stream),
        "clearing a gradient", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const bool whole = layer_type_of(kernel->layer.kind)->is_norm;

    return done(kernel, call_rows(call) == 0 ? no_rows(kernel, call, whole, error)
                                             : functions(kernel)->backward_input(kernel, call, error));
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    if (!functions(kernel)->backward_weights)
        return 0;
    return done(kernel, call_rows(call) == 0 ? no_rows(kernel, call, true, error)
                                             : functions(kernel)->backward_weights(kernel, call, error));
}

static int loss(struct engine *engine, int rows, int classes, const float *logits, const int32_t *targets, float scale,
                float *gradient, struct loss_result *result, struct error *error)
{
    for (int row = 0; row < rows; row++)
        if (targets[row] < 0 || targets[row] >= classes)
            return error_set(error, "row %d has target %d, but there are only %d classes", row, targets[row], classes);
    if (rows == 0)
        return 0;
    return cuda_check(
        launch_softmax_cross_entropy(rows, classes, logits, targets, scale, gradient, result, engine->stream), "loss",
        error);
}

static int update(struct engine *engine, const struct update *numbers, const struct update_call *call,
                  struct error *error)
{
    if (update_check(numbers, call, error))
        return -1;
    return call->count == 0 ? 0
                            : cuda_check(launch_update(numbers, call, engine->stream), "update of the weights", error);
}

static int correct(struct engine *engine, const struct correction *correction, const struct correction_call *call,
                   struct error *error)
{
    return call->count == 0
               ? 0
               : cuda_check(launch_correct(correction, call, engine->stream), "correction of a gradient", error);
}

static int combine(struct engine *engine, size_t count, const float *base, const struct combine_term *terms,
                   int term_count, float *combined, struct error *error)
{
    for (int k = 0; k < term_count && count > 0; k++)
        if (cuda_check(launch_add_term(count, k == 0 ? base : combined, &terms[k], combined, engine->stream),
                       "sum of weight vectors", error))
            return -1;
    return 0;
}

static int sum_of_squares(struct engine *engine, size_t count, const float *vector, double *sum, struct error *error)
{
    return cuda_check(launch_sum_of_squares(count, vector, sum, engine->stream), "sum of squares", error);
}

static int pass_begin(struct engine *engine, const struct pass_key *key, bool *repeated, struct error *error)
{
    *repeated = false;
    return engine->graphs ? graphs_begin(engine->graphs, key, repeated, error) : 0;
}

static int pass_end(struct engine *engine, struct error *error)
{
    return engine->graphs ? graphs_end(engine->graphs, error) : 0;
}

const struct backend backend_cuda = {
    .name = "cuda",
    .available = available,
    .device = &device_cuda,
    .open = open_engine,
    .close = close_engine,
    .engine_bytes = engine_bytes,
    .layer_create = layer_create,
    .layer_destroy = layer_destroy,
    .prepare_forward = prepare_forward,
    .prepare_backward = prepare_backward,
    .saved_floats = saved_floats,
    .workspace_bytes = workspace_bytes,
    .forward = forward,
    .backward_input = backward_input,
    .backward_weights = backward_weights,
    .softmax_cross_entropy = loss,
    .update = update,
    .correct = correct,
    .combine = combine,
    .sum_of_squares = sum_of_squares,
    .pass_begin = pass_begin,
    .pass_end = pass_end,
};
