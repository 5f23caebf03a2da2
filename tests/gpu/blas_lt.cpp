/* cuBLASLt: a product with an epilogue is one kernel. The one algorithm that the heuristic knows wants some workspace if it
 * may have any, and operands aligned as was promised, so that who forgets to give them fails here as well. */
#include <algorithm>
#include <cstring>
#include <cublasLt.h>

#include "tests/gpu/context.h"
#include "tests/gpu/library.h"
#include "tests/gpu/multiply.h"
#include "tests/gpu/stream.h"

struct cublasLtContext {
    int device;
};

struct cublasLtMatmulDescOpaque {
    int32_t a_operation, b_operation;
    uint32_t epilogue;
    const float *bias;
};

struct cublasLtMatrixLayoutOpaque {
    int64_t rows, columns, stride;
};

struct cublasLtMatmulPreferenceOpaque {
    uint64_t most_workspace;
    uint32_t alignments[4]; /* of A, B, C, D */
};

using namespace gpu;

namespace
{

constexpr uint64_t WORKSPACE = 16 << 10;

/* Reads an attribute of exactly its size. */
template <class T> cublasStatus_t set(T &attribute, const void *buffer, size_t bytes)
{
    if (buffer == nullptr || bytes != sizeof attribute)
        return CUBLAS_STATUS_INVALID_VALUE;
    memcpy(&attribute, buffer, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

template <class T> cublasStatus_t destroy(T *descriptor)
{
    delete descriptor;
    return descriptor == nullptr ? CUBLAS_STATUS_INVALID_VALUE : CUBLAS_STATUS_SUCCESS;
}

/* Everything but pointers and factors. False if the shapes do not fit together. */
bool describe(product &p, const cublasLtMatmulDescOpaque &operation, const cublasLtMatrixLayoutOpaque &a,
              const cublasLtMatrixLayoutOpaque &b, const cublasLtMatrixLayoutOpaque &c,
              const cublasLtMatrixLayoutOpaque &d)
{
    p.a = {nullptr, a.stride, operation.a_operation != CUBLAS_OP_N};
    p.b = {nullptr, b.stride, operation.b_operation != CUBLAS_OP_N};
    p.m = d.rows;
    p.n = d.columns;
    p.k = p.a.transposed ? a.rows : a.columns;
    p.c_stride = c.stride;
    p.d_stride = d.stride;
    p.relu = (operation.epilogue & CUBLASLT_EPILOGUE_RELU) != 0;
    p.bias = (operation.epilogue & CUBLASLT_EPILOGUE_BIAS) != 0 ? operation.bias : nullptr;
    return p.m == (p.a.transposed ? a.columns : a.rows) && p.n == (p.b.transposed ? b.rows : b.columns) &&
           p.k == (p.b.transposed ? b.columns : b.rows) && c.rows == p.m && c.columns == p.n && p.m > 0 && p.n > 0 &&
           p.k > 0;
}

bool aligned(const cublasLtMatmulAlgo_t *algorithm, std::initializer_list<const void *> operands)
{
    const uint64_t *alignment = algorithm != nullptr ? algorithm->data + 1 : nullptr;

    for (const void *operand : operands) {
        if (alignment != nullptr && (uintptr_t)operand % *alignment++ != 0)
            return false;
    }
    return true;
}

} // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t *lightHandle)
{
    if (call([] { return not_while_capturing(); }) != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *lightHandle = new cublasLtContext{current_device()};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t lightHandle)
{
    return destroy(lightHandle);
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *matmulDesc, cublasComputeType_t computeType,
                                        cudaDataType_t scaleType)
{
    if (computeType != CUBLAS_COMPUTE_32F && computeType != CUBLAS_COMPUTE_32F_PEDANTIC &&
        computeType != CUBLAS_COMPUTE_32F_FAST_TF32)
        fatal("cublasLtMatmulDescCreate: compute type %d is not done here", (int)computeType);
    if (scaleType != CUDA_R_32F)
        return CUBLAS_STATUS_INVALID_VALUE;
    *matmulDesc = new cublasLtMatmulDescOpaque{CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT, nullptr};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t matmulDesc)
{
    return destroy(matmulDesc);
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t matmulDesc, cublasLtMatmulDescAttributes_t attr,
                                              const void *buf, size_t sizeInBytes)
{
    switch (attr) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
        return set(matmulDesc->a_operation, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
        return set(matmulDesc->b_operation, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
        return set(matmulDesc->epilogue, buf, sizeInBytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
        return set(matmulDesc->bias, buf, sizeInBytes);
    }
    fatal("cublasLtMatmulDescSetAttribute: attribute %d is not known here", (int)attr);
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *matLayout, cudaDataType type, uint64_t rows,
                                          uint64_t cols, int64_t ld)
{
    if (type != CUDA_R_32F)
        fatal("cublasLtMatrixLayoutCreate: type %d is not done here", (int)type);
    if (ld < (int64_t)rows)
        return CUBLAS_STATUS_INVALID_VALUE;
    *matLayout = new cublasLtMatrixLayoutOpaque{(int64_t)rows, (int64_t)cols, ld};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t matLayout)
{
    return destroy(matLayout);
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *pref)
{
    *pref = new cublasLtMatmulPreferenceOpaque{0, {256, 256, 256, 256}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t pref)
{
    return destroy(pref);
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t pref,
                                                    cublasLtMatmulPreferenceAttributes_t attr, const void *buf,
                                                    size_t sizeInBytes)
{
    if (attr >= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES && attr <= CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES)
        return set(pref->alignments[attr - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES], buf, sizeInBytes);
    if (attr != CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES)
        fatal("cublasLtMatmulPreferenceSetAttribute: attribute %d is not known here", (int)attr);
    return set(pref->most_workspace, buf, sizeInBytes);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t operationDesc,
                                              cublasLtMatrixLayout_t Adesc, cublasLtMatrixLayout_t Bdesc,
                                              cublasLtMatrixLayout_t Cdesc, cublasLtMatrixLayout_t Ddesc,
                                              cublasLtMatmulPreference_t preference, int requestedAlgoCount,
                                              cublasLtMatmulHeuristicResult_t heuristicResultsArray[],
                                              int *returnAlgoCount)
{
    product p = {};

    *returnAlgoCount = 0;
    if (lightHandle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (requestedAlgoCount < 1 || !describe(p, *operationDesc, *Adesc, *Bdesc, *Cdesc, *Ddesc))
        return CUBLAS_STATUS_INVALID_VALUE;
    cublasLtMatmulHeuristicResult_t *result = heuristicResultsArray;
    *result = {};
    result->algo.data[0] = result->workspaceSize = std::min(WORKSPACE, preference->most_workspace);
    std::copy_n(preference->alignments, 4, result->algo.data + 1);
    result->state = CUBLAS_STATUS_SUCCESS;
    result->wavesCount = 1;
    *returnAlgoCount = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t lightHandle, cublasLtMatmulDesc_t computeDesc, const void *alpha,
                              const void *A, cublasLtMatrixLayout_t Adesc, const void *B, cublasLtMatrixLayout_t Bdesc,
                              const void *beta, const void *C, cublasLtMatrixLayout_t Cdesc, void *D,
                              cublasLtMatrixLayout_t Ddesc, const cublasLtMatmulAlgo_t *algo, void *workspace,
                              size_t workspaceSizeInBytes, cudaStream_t stream)
{
    product p = {};
    size_t wanted = algo != nullptr ? algo->data[0] : 0;

    if (lightHandle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!describe(p, *computeDesc, *Adesc, *Bdesc, *Cdesc, *Ddesc) || workspaceSizeInBytes < wanted ||
        !usable({workspace, workspaceSizeInBytes}) || !aligned(algo, {A, B, C, D}))
        return CUBLAS_STATUS_INVALID_VALUE;
    if ((computeDesc->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0 && computeDesc->bias == nullptr)
        return CUBLAS_STATUS_INVALID_VALUE;
    p.alpha = *(const float *)alpha;
    p.beta = *(const float *)beta;
    p.a.data = (const float *)A;
    p.b.data = (const float *)B;
    p.c = (const float *)C;
    p.d = (float *)D;
    cudaError_t error = queue_kernel(lightHandle->device, stream, [p] { multiply(p); }, {workspace, wanted},
                                     {{A, matrix_bytes(p.a, p.m, p.k)},
                                      {B, matrix_bytes(p.b, p.k, p.n)},
                                      {p.beta != 0 ? C : nullptr, matrix_bytes(p.m, p.n, p.c_stride)},
                                      {D, matrix_bytes(p.m, p.n, p.d_stride)},
                                      {p.bias, (size_t)p.m * sizeof(float)}});
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
