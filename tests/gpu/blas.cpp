/* cuBLAS: each call is one kernel on the handle's stream. */
#include <cublas_v2.h>

#include "tests/gpu/context.h"
#include "tests/gpu/library.h"
#include "tests/gpu/multiply.h"
#include "tests/gpu/stream.h"

struct cublasContext {
    int device;
    cudaStream_t stream;
    gpu::workspace workspace;
};

using namespace gpu;

namespace
{

const struct {
    cublasStatus_t status;
    const char *text;
} statuses[] = {
    {CUBLAS_STATUS_SUCCESS, "success"},
    {CUBLAS_STATUS_NOT_INITIALIZED, "the library was not initialized"},
    {CUBLAS_STATUS_ALLOC_FAILED, "the resource allocation failed"},
    {CUBLAS_STATUS_INVALID_VALUE, "an invalid value was used as input"},
    {CUBLAS_STATUS_EXECUTION_FAILED, "the function failed to launch on the GPU"},
    {CUBLAS_STATUS_INTERNAL_ERROR, "an internal operation failed"},
    {CUBLAS_STATUS_NOT_SUPPORTED, "the functionality is not supported"},
};

struct batch {
    product first;
    int count;
    long long a_step, b_step, c_step;
};

void run(const batch &b)
{
    for (int i = 0; i < b.count; i++) {
        product p = b.first;
        p.a.data += i * b.a_step;
        p.b.data += i * b.b_step;
        p.d += i * b.c_step;
        p.c = p.d;
        multiply(p);
    }
}

/* Is a stride long enough for the columns as they are stored? */
bool stride_fits(const operand &matrix, int64_t rows, int64_t columns)
{
    return matrix.stride >= 1 && matrix.stride >= (matrix.transposed ? columns : rows);
}

cublasStatus_t start(cublasHandle_t handle, const batch &b)
{
    const product &p = b.first;

    if (handle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if (p.m < 0 || p.n < 0 || p.k < 0 || b.count < 0 || !stride_fits(p.a, p.m, p.k) || !stride_fits(p.b, p.k, p.n) ||
        !stride_fits({p.d, p.d_stride, false}, p.m, p.n))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (p.m == 0 || p.n == 0 || b.count == 0)
        return CUBLAS_STATUS_SUCCESS;
    auto bytes = [&b](size_t matrix, long long step) {
        return matrix + (size_t)(b.count - 1) * (size_t)step * sizeof(float);
    };
    cudaError_t error = queue_kernel(handle->device, handle->stream, [b] { run(b); }, handle->workspace,
                                     {{p.a.data, bytes(matrix_bytes(p.a, p.m, p.k), b.a_step)},
                                      {p.b.data, bytes(matrix_bytes(p.b, p.k, p.n), b.b_step)},
                                      {p.d, bytes(matrix_bytes(p.m, p.n, p.d_stride), b.c_step)}});
    return error == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}

} // namespace

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    if (call([] { return not_while_capturing(); }) != cudaSuccess)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = new cublasContext{current_device(), nullptr, {}};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    if (handle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    cudaDeviceSynchronize();
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

/* As cuBLAS does, it forgets the workspace. */
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t streamId)
{
    if (handle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->stream = streamId;
    handle->workspace = {};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t workspaceSizeInBytes)
{
    if (handle == nullptr)
        return CUBLAS_STATUS_NOT_INITIALIZED;
    if ((uintptr_t)workspace % 256 != 0 || !usable({workspace, workspaceSizeInBytes}))
        return CUBLAS_STATUS_INVALID_VALUE;
    handle->workspace = {workspace, workspaceSizeInBytes};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t)
{
    return handle == nullptr ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    for (const auto &row : statuses) {
        if (row.status == status)
            return row.text;
    }
    return "unknown status";
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb,
                                         int m, int n, int k, const float *alpha, const float *A, int lda,
                                         long long int strideA, const float *B, int ldb, long long int strideB,
                                         const float *beta, float *C, int ldc, long long int strideC, int batchCount)
{
    product p = {};

    p.m = m;
    p.n = n;
    p.k = k;
    p.alpha = *alpha;
    p.beta = *beta;
    p.a = {A, lda, transa != CUBLAS_OP_N};
    p.b = {B, ldb, transb != CUBLAS_OP_N};
    p.d = C;
    p.c_stride = p.d_stride = ldc;
    return start(handle, {p, batchCount, strideA, strideB, strideC});
}

cublasStatus_t cublasSgemm_v2(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n,
                              int k, const float *alpha, const float *A, int lda, const float *B, int ldb,
                              const float *beta, float *C, int ldc)
{
    return cublasSgemmStridedBatched(handle, transa, transb, m, n, k, alpha, A, lda, 0, B, ldb, 0, beta, C, ldc, 0, 1);
}
