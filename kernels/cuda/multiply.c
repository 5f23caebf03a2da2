#include "kernels/cuda/engine.h"

/* cuBLAS has matrices by columns, so it computes the transposed product from the transposed factors. */
int cublas_multiply(const struct engine *engine, int m, int n, int k, struct matrix a, struct matrix b, bool add,
                    float *product, struct error *error)
{
    const float one = 1.0f, beta = add ? 1.0f : 0.0f;
    const cublasStatus_t status = engine->libraries.cublasSgemm_v2(
        engine->cublas, b.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, a.transposed ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k,
        &one, b.values, b.transposed ? k : n, a.values, a.transposed ? m : k, &beta, product, n);

    return cublas_check(engine, status, "cublasSgemm", error);
}
