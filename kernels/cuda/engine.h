/* The CUDA backend's engine, and its layers, one file for each kind. */
#ifndef TP_KERNELS_CUDA_ENGINE_H
#define TP_KERNELS_CUDA_ENGINE_H

#include "device/cuda.h"
#include "kernels/backend.h"
#include "kernels/cuda/libraries.h"

struct graphs; /* graphs.h */

struct engine {
    struct device *device;
    cudaStream_t stream;
    struct engine_options options;
    struct libraries libraries;
    cublasHandle_t cublas;
    cublasLtHandle_t cublas_lt;
    void *cudnn;                      /* its handle, or NULL: convolutions do without */
    void *memory, *library_workspace; /* that cuBLAS and cuBLASLt may use, one call at a time */
    size_t library_workspace_bytes;
    struct graphs *graphs; /* NULL: passes are not recorded */
};

struct layer_kernel {
    struct engine *engine;
    struct layer layer;
    size_t workspace_bytes; /* of the rows that were prepared */
    void *prepared;         /* what the layer's file keeps for them, a list */
};

int cublas_check(const struct engine *engine, cublasStatus_t status, const char *what, struct error *error);

/* For layers whose workspace grows with the rows: prepares bytes, and refuses a call that needs more than were prepared. */
int cuda_need_workspace(struct layer_kernel *kernel, size_t bytes);
int cuda_check_workspace(const struct layer_kernel *kernel, int rows, size_t bytes, struct error *error);

/* NULL: nothing to do. Calls have rows. */
struct layer_functions {
    void (*create)(struct layer_kernel *kernel);
    void (*destroy)(struct layer_kernel *kernel);
    int (*prepare_forward)(struct layer_kernel *kernel, int rows, struct error *error);
    int (*prepare_backward)(struct layer_kernel *kernel, int rows, struct error *error);
    int (*forward)(struct layer_kernel *kernel, const struct forward_call *call, struct error *error);
    int (*backward_input)(struct layer_kernel *kernel, const struct backward_call *call, struct error *error);
    int (*backward_weights)(struct layer_kernel *kernel, const struct backward_call *call, struct error *error);
};

extern const struct layer_functions cuda_convolution, cuda_batch_norm, cuda_linear, cuda_average_pool, cuda_max_pool,
    cuda_relu, cuda_add, cuda_dropout, cuda_embedding, cuda_rms_norm, cuda_rope, cuda_attention, cuda_silu, cuda_gelu,
    cuda_multiply, cuda_layer_norm;

static inline int call_rows(const struct backward_call *call)
{
    return call->group_start[call->groups];
}

/* Libraries have their fastest algorithms for operands that are aligned like this. */
enum { VECTOR_BYTES = 16 };

static inline bool aligned(const void *pointer)
{
    return (uintptr_t)pointer % VECTOR_BYTES == 0;
}

/* A matrix by rows, [m][k] as the product reads it; transposed: it lies as [k][m]. */
struct matrix {
    const float *values;
    bool transposed;
};

/* product[m][n] = a[m][k] b[k][n], or that is added to it. */
int cublas_multiply(const struct engine *engine, int m, int n, int k, struct matrix a, struct matrix b, bool add,
                    float *product, struct error *error);

#endif
