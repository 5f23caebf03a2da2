/* Linear layers. The forward's bias, if there is one, and ReLU are part of the product where cuBLASLt has one for operands that are aligned as
 * is usual; otherwise they follow it. */
#include <stdlib.h>

#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

/* output^T [out][rows] = W [out][in] input^T [in][rows], by columns: W and input lie as they are needed. */
struct forward {
    struct forward *next;
    int rows;
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t weights, input, output;
    bool fused; /* by this algorithm */
    cublasLtMatmulAlgo_t algorithm;
};

/* Numbers that each output reads, and rows of the product for so many samples. */
static int inputs(const struct layer *layer)
{
    return (int)shape_size(layer->in) / layer_linear_rows(layer);
}

static int product_rows(const struct layer *layer, int samples)
{
    return samples * layer_linear_rows(layer);
}

static void destroy_forward(const struct libraries *lt, struct forward *forward)
{
    if (forward->product)
        lt->cublasLtMatmulDescDestroy(forward->product);
    if (forward->weights)
        lt->cublasLtMatrixLayoutDestroy(forward->weights);
    if (forward->input)
        lt->cublasLtMatrixLayoutDestroy(forward->input);
    if (forward->output)
        lt->cublasLtMatrixLayoutDestroy(forward->output);
    free(forward);
}

static void destroy(struct layer_kernel *kernel)
{
    for (struct forward *forward = kernel->prepared, *next; forward; forward = next) {
        next = forward->next;
        destroy_forward(&kernel->engine->libraries, forward);
    }
}

static cublasStatus_t set(const struct libraries *lt, const struct forward *forward,
                          cublasLtMatmulDescAttributes_t attribute, const void *value, size_t bytes)
{
    return lt->cublasLtMatmulDescSetAttribute(forward->product, attribute, value, bytes);
}

static cublasStatus_t describe(const struct engine *engine, const struct layer *layer, struct forward *forward)
{
    const struct libraries *lt = &engine->libraries;
    const cublasComputeType_t type = engine->options.tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    const uint64_t in = (uint64_t)inputs(layer), out = (uint64_t)layer->units;
    const uint64_t rows = (uint64_t)product_rows(layer, forward->rows);
    const cublasOperation_t transposed = CUBLAS_OP_T;
    const cublasLtEpilogue_t epilogue = layer->relu ? CUBLASLT_EPILOGUE_RELU_BIAS : CUBLASLT_EPILOGUE_BIAS;
    cublasStatus_t status;

    if ((status = lt->cublasLtMatmulDescCreate(&forward->product, type, CUDA_R_32F)) != CUBLAS_STATUS_SUCCESS ||
        (status = set(lt, forward, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof(transposed))) !=
            CUBLAS_STATUS_SUCCESS ||
        (status = set(lt, forward, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof(epilogue))) !=
            CUBLAS_STATUS_SUCCESS ||
        (status = lt->cublasLtMatrixLayoutCreate(&forward->weights, CUDA_R_32F, in, out, (int64_t)in)) !=
            CUBLAS_STATUS_SUCCESS ||
        (status = lt->cublasLtMatrixLayoutCreate(&forward->input, CUDA_R_32F, in, rows, (int64_t)in)) !=
            CUBLAS_STATUS_SUCCESS)
        return status;
    return lt->cublasLtMatrixLayoutCreate(&forward->output, CUDA_R_32F, out, rows, (int64_t)out);
}

/* How much workspace it may use, and that A, B, C and D are aligned. */
static cublasStatus_t prefer(const struct engine *engine, cublasLtMatmulPreference_t preference)
{
    static const cublasLtMatmulPreferenceAttributes_t operands[] = {
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
        CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES};
    const uint32_t alignment = VECTOR_BYTES;
    const struct libraries *lt = &engine->libraries;
    cublasStatus_t status = lt->cublasLtMatmulPreferenceSetAttribute(
        preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &engine->library_workspace_bytes, sizeof(size_t));

    for (size_t i = 0; i < sizeof(operands) / sizeof(operands[0]) && status == CUBLAS_STATUS_SUCCESS; i++)
        status = lt->cublasLtMatmulPreferenceSetAttribute(preference, operands[i], &alignment, sizeof(alignment));
    return status;
}

/* The library takes the bias's alignment from its pointer, which is not read here. */
static cublasStatus_t choose(const struct engine *engine, struct forward *forward)
{
    const struct libraries *lt = &engine->libraries;
    const void *bias = (const void *)(uintptr_t)VECTOR_BYTES;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t best;
    int count = 0;
    cublasStatus_t status = lt->cublasLtMatmulPreferenceCreate(&preference);

    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if ((status = prefer(engine, preference)) == CUBLAS_STATUS_SUCCESS &&
        (status = set(lt, forward, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias))) == CUBLAS_STATUS_SUCCESS)
        status =
            lt->cublasLtMatmulAlgoGetHeuristic(engine->cublas_lt, forward->product, forward->weights, forward->input,
                                               forward->output, forward->output, preference, 1, &best, &count);
    lt->cublasLtMatmulPreferenceDestroy(preference);
    forward->fused = status == CUBLAS_STATUS_SUCCESS && count > 0;
    if (forward->fused)
        forward->algorithm = best.algo;
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? CUBLAS_STATUS_SUCCESS : status;
}

static struct forward *find(const struct layer_kernel *kernel, int rows)
{
    struct forward *forward = kernel->prepared;

    while (forward && forward->rows != rows)
        forward = forward->next;
    return forward;
}

static int prepare_forward(struct layer_kernel *kernel, int rows, struct error *error)
{
    const struct engine *engine = kernel->engine;
    struct forward *forward;
    cublasStatus_t status;

    if (rows == 0 || !kernel->layer.bias || find(kernel, rows))
        return 0;
    forward = calloc(1, sizeof(*forward));
    if (!forward)
        return error_set(error, "%s: out of memory", kernel->layer.name);
    forward->rows = rows;
    if ((status = describe(engine, &kernel->layer, forward)) != CUBLAS_STATUS_SUCCESS ||
        (status = choose(engine, forward)) != CUBLAS_STATUS_SUCCESS) {
        destroy_forward(&engine->libraries, forward);
        return cublas_check(engine, status, "cuBLASLt", error);
    }
    forward->next = kernel->prepared;
    kernel->prepared = forward;
    return 0;
}

static cublasStatus_t multiply_fused(const struct engine *engine, const struct forward *it,
                                     const struct forward_call *call, const float *bias)
{
    const struct libraries *lt = &engine->libraries;
    const float one = 1.0f, zero = 0.0f;
    const cublasStatus_t status = set(lt, it, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof(bias));

    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    return lt->cublasLtMatmul(engine->cublas_lt, it->product, &one, call->weights, it->weights, call->inputs[0],
                              it->input, &zero, call->output, it->output, call->output, it->output, &it->algorithm,
                              engine->library_workspace, engine->library_workspace_bytes, engine->stream);
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const struct engine *engine = kernel->engine;
    const int in = inputs(&kernel->layer), out = kernel->layer.units;
    const int rows = product_rows(&kernel->layer, call->rows);
    const float *bias = kernel->layer.bias ? call->weights + (size_t)out * (size_t)in : NULL;
    const struct forward *it;

    if (prepare_forward(kernel, call->rows, error))
        return -1;
    it = find(kernel, call->rows);
    if (it && it->fused && aligned(call->inputs[0]) && aligned(call->weights) && aligned(bias) && aligned(call->output))
        return cublas_check(engine, multiply_fused(engine, it, call, bias), "cublasLtMatmul", error);
    if (cublas_multiply(engine, rows, out, in, (struct matrix){call->inputs[0], false},
                        (struct matrix){call->weights, true}, false, call->output, error))
        return -1;
    if (!bias && !kernel->layer.relu)
        return 0;
    return cuda_check(launch_bias(rows, out, bias, kernel->layer.relu, call->output, engine->stream), "bias", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct engine *engine = kernel->engine;
    const int in = inputs(&kernel->layer), out = kernel->layer.units;
    const int rows = product_rows(&kernel->layer, call_rows(call));

    if (kernel->layer.relu && cuda_check(launch_relu_backward((size_t)rows * (size_t)out, call->output,
                                                              call->output_gradient, engine->stream),
                                         "ReLU", error))
        return -1;
    if (!call->input_gradients[0])
        return 0;
    return cublas_multiply(engine, rows, in, out, (struct matrix){call->output_gradient, false},
                           (struct matrix){call->weights, false}, call->add_input_gradients[0],
                           call->input_gradients[0], error);
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const struct engine *engine = kernel->engine;
    const int in = inputs(&kernel->layer), out = kernel->layer.units;
    const int rows = product_rows(&kernel->layer, call_rows(call));

    if (cublas_multiply(engine, out, in, rows, (struct matrix){call->output_gradient, true},
                        (struct matrix){call->inputs[0], false}, call->add_weight_gradient, call->weight_gradient,
                        error))
        return -1;
    if (!kernel->layer.bias)
        return 0;
    return cuda_check(launch_column_sums(rows, out, call->output_gradient, call->add_weight_gradient,
                                         call->weight_gradient + (size_t)out * (size_t)in, engine->stream),
                      "sums of a bias's gradient", error);
}

const struct layer_functions cuda_linear = {
    .destroy = destroy,
    .prepare_forward = prepare_forward,
    .forward = forward,
    .backward_input = backward_input,
    .backward_weights = backward_weights,
};
