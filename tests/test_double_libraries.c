/* cuBLAS, cuBLASLt and cuDNN of the double compute what they are defined to. Integers in floats, so that every order of
 * summation gives the same. */
#include <check.h>
#include <cublas_v2.h>
#include <cublasLt.h>
#include <cudnn.h>
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/gpu/double.h"
#include "tests/gpu/test_support.h"
#include "tests/support/suite.h"

#define done(call) ck_assert_int_eq((int)(call), 0) /* of any of the three */

static void multiply_beyond_the_end(void)
{
    float one = 1, *memory = gpu_floats(NULL, 5);
    cublasHandle_t handle;

    cublasCreate(&handle);
    cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 1, &one, memory, 2, memory, 1, &one, memory + 2, 2);
}

START_TEST(operands_must_be_there)
{
    is_fatal(multiply_beyond_the_end, "(16 bytes)");
}
END_TEST

START_TEST(matrix_products)
{
    enum { M = 70, N = 3, K = 5, COUNT = 2 };
    bool a_transposed = _i & 1, b_transposed = _i & 2;
    float a[COUNT * M * K], b[COUNT * K * N], c[COUNT * M * N], alpha = 2, beta = _i & 4 ? -1 : 0;
    float *da, *db, *dc;
    cublasHandle_t handle;
    cudaStream_t stream = stream_create();

    for (int i = 0; i < COUNT * M * K; i++)
        a[i] = (float)(i % 7 - 3);
    for (int i = 0; i < COUNT * K * N; i++)
        b[i] = (float)(i % 5 - 2);
    for (int i = 0; i < COUNT * M * N; i++)
        c[i] = beta == 0 ? NAN : (float)(i % 11);
    da = gpu_floats(a, COUNT * M * K);
    db = gpu_floats(b, COUNT * K * N);
    dc = gpu_floats(c, COUNT * M * N);
    done(cublasCreate(&handle));
    done(cublasSetStream(handle, stream));
    ck_assert_int_eq(cublasSgemmStridedBatched(handle, a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N,
                                               b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, M, N, K, &alpha, da,
                                               a_transposed ? K : M, M * K, db, b_transposed ? N : K, K * N, &beta, dc,
                                               M, M * N, COUNT),
                     CUBLAS_STATUS_SUCCESS);
    alpha = beta = 100; /* read at the call */
    ok(cudaStreamSynchronize(stream));
    ok(cudaMemcpy(c, dc, sizeof c, cudaMemcpyDeviceToHost));
    for (int p = 0; p < COUNT; p++) {
        for (int i = 0; i < M; i++) {
            for (int j = 0; j < N; j++) {
                int index = p * M * N + i + j * M;
                float expected = _i & 4 ? -(float)(index % 11) : 0;

                for (int l = 0; l < K; l++)
                    expected += 2 * a[p * M * K + (a_transposed ? l + i * K : i + l * M)] *
                                b[p * K * N + (b_transposed ? j + l * N : l + j * K)];
                is(c[index], expected);
            }
        }
    }
    ck_assert_int_eq(cublasSgemm(handle, CUBLAS_OP_N, CUBLAS_OP_N, M, N, K, &alpha, da, M - 1, db, K, &beta, dc, M),
                     CUBLAS_STATUS_INVALID_VALUE);
    done(cublasDestroy(handle));
    ck_assert_uint_eq(double_launches(), 1);
}
END_TEST

static const cublasLtEpilogue_t epilogues[] = {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS,
                                               CUBLASLT_EPILOGUE_RELU_BIAS};

/* A linear layer of rows: Y[rows][out] = ReLU(X[rows][in] W[out][in]^T + b), row-major, is Y^T = W X^T, column-major. */
START_TEST(products_with_epilogues)
{
    enum { ROWS = 3, IN = 4, OUT = 5, WORKSPACE = 1 << 16 };
    float x[ROWS * IN], w[OUT * IN], bias[OUT], y[ROWS * OUT], one = 1, zero = 0;
    float *dx, *dw, *dbias, *dy, *workspace;
    cublasOperation_t transposed = CUBLAS_OP_T;
    uint64_t most = WORKSPACE;
    cublasLtHandle_t handle;
    cublasLtMatmulDesc_t operation;
    cublasLtMatrixLayout_t w_layout, x_layout, y_layout;
    cublasLtMatmulPreference_t preference;
    cublasLtMatmulHeuristicResult_t found;
    cudaStream_t stream = stream_create();
    int count;

    for (int i = 0; i < ROWS * IN; i++)
        x[i] = (float)(i % 5 - 2);
    for (int i = 0; i < OUT * IN; i++)
        w[i] = (float)(i % 7 - 3);
    for (int i = 0; i < OUT; i++)
        bias[i] = (float)(i - 2);
    dx = gpu_floats(x, ROWS * IN);
    dw = gpu_floats(w, OUT * IN);
    dbias = gpu_floats(bias, OUT);
    dy = gpu_floats(NULL, ROWS * OUT);
    workspace = gpu_floats(NULL, WORKSPACE / sizeof(float));
    ok(cudaMemsetAsync(workspace, 0, WORKSPACE, stream));
    done(cublasLtCreate(&handle));
    done(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    done(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &transposed, sizeof transposed));
    done(
        cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogues[_i], sizeof epilogues[_i]));
    done(cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &dbias, sizeof dbias));
    done(cublasLtMatrixLayoutCreate(&w_layout, CUDA_R_32F, IN, OUT, IN));
    done(cublasLtMatrixLayoutCreate(&x_layout, CUDA_R_32F, IN, ROWS, IN));
    done(cublasLtMatrixLayoutCreate(&y_layout, CUDA_R_32F, OUT, ROWS, OUT));
    done(cublasLtMatmulPreferenceCreate(&preference));
    done(
        cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &most, sizeof most));
    done(cublasLtMatmulAlgoGetHeuristic(handle, operation, w_layout, x_layout, y_layout, y_layout, preference, 1,
                                        &found, &count));
    ck_assert_int_eq(count, 1);
    ck_assert_uint_gt(found.workspaceSize, 0);
    ck_assert_int_eq(cublasLtMatmul(handle, operation, &one, dw, w_layout, dx, x_layout, &zero, dy, y_layout, dy,
                                    y_layout, &found.algo, NULL, 0, stream),
                     CUBLAS_STATUS_INVALID_VALUE);
    done(cublasLtMatmul(handle, operation, &one, dw, w_layout, dx, x_layout, &zero, dy, y_layout, dy, y_layout,
                        &found.algo, workspace, found.workspaceSize, stream));
    ok(cudaStreamSynchronize(stream));
    ck_assert(isnan(first_float(workspace)));
    ok(cudaMemcpy(y, dy, sizeof y, cudaMemcpyDeviceToHost));
    for (int i = 0; i < ROWS; i++) {
        for (int o = 0; o < OUT; o++) {
            float expected = _i > 0 ? bias[o] : 0;

            for (int k = 0; k < IN; k++)
                expected += x[i * IN + k] * w[o * IN + k];
            is(y[i * OUT + o], _i == 2 && expected < 0 ? 0 : expected);
        }
    }
    done(cublasLtMatmulPreferenceDestroy(preference));
    done(cublasLtMatrixLayoutDestroy(w_layout));
    done(cublasLtMatrixLayoutDestroy(x_layout));
    done(cublasLtMatrixLayoutDestroy(y_layout));
    done(cublasLtMatmulDescDestroy(operation));
    done(cublasLtDestroy(handle));
}
END_TEST

enum { N = 2, H = 5, W = 4, C = 3, K = 2, R = 3, S = 2, PAD = 1, STRIDE = 2, P = 3, Q = 3 };
enum { X_COUNT = N * H * W * C, FILTER_COUNT = K * R * S * C, Y_COUNT = N * P * Q * K };

/* The definition: y of x and f, dx of dy and f, df of x and dy. */
static void define_convolution(const float *x, const float *f, const float *dy, float *y, float *dx, float *df)
{
    for (int i = 0; i < N * P * Q * K * R * S * C; i++) {
        int c = i % C, s = i / C % S, r = i / C / S % R, k = i / C / S / R % K;
        int q = i / C / S / R / K % Q, p = i / C / S / R / K / Q % P, n = i / C / S / R / K / Q / P;
        int h = p * STRIDE - PAD + r, w = q * STRIDE - PAD + s;
        int at_x = ((n * H + h) * W + w) * C + c, at_f = ((k * R + r) * S + s) * C + c;
        int at_y = ((n * P + p) * Q + q) * K + k;

        if (h < 0 || h >= H || w < 0 || w >= W)
            continue;
        y[at_y] += x[at_x] * f[at_f];
        dx[at_x] += dy[at_y] * f[at_f];
        df[at_f] += x[at_x] * dy[at_y];
    }
}

static void compare(const float *device, const float *expected, int count)
{
    float values[X_COUNT];

    ok(cudaMemcpy(values, device, (size_t)count * sizeof *values, cudaMemcpyDeviceToHost));
    for (int i = 0; i < count; i++)
        is(values[i], expected[i]);
}

START_TEST(convolutions)
{
    float x[X_COUNT], f[FILTER_COUNT], dy[Y_COUNT], y[Y_COUNT] = {0}, dx[X_COUNT] = {0}, df[FILTER_COUNT] = {0};
    float *on_device[6], *workspace, one = 1, zero = 0, two = 2;
    size_t bytes;
    cudnnHandle_t handle;
    cudnnTensorDescriptor_t x_shape, y_shape;
    cudnnFilterDescriptor_t f_shape;
    cudnnConvolutionDescriptor_t convolution;
    cudnnConvolutionFwdAlgoPerf_t forward[3];
    cudnnConvolutionBwdDataAlgoPerf_t data[3];
    cudnnConvolutionBwdFilterAlgoPerf_t filter[3];
    cudaStream_t stream = stream_create();
    int count;

    for (int i = 0; i < X_COUNT; i++)
        x[i] = (float)(i % 7 - 3);
    for (int i = 0; i < FILTER_COUNT; i++)
        f[i] = (float)(i % 5 - 2);
    for (int i = 0; i < Y_COUNT; i++)
        dy[i] = (float)(i % 11 - 5);
    define_convolution(x, f, dy, y, dx, df);
    on_device[0] = gpu_floats(x, X_COUNT);
    on_device[1] = gpu_floats(f, FILTER_COUNT);
    on_device[2] = gpu_floats(dy, Y_COUNT);
    on_device[3] = gpu_floats(NULL, Y_COUNT);
    on_device[4] = gpu_floats(NULL, X_COUNT);
    on_device[5] = gpu_floats(f, FILTER_COUNT);
    done(cudnnCreate(&handle));
    done(cudnnSetStream(handle, stream));
    done(cudnnCreateTensorDescriptor(&x_shape));
    done(cudnnCreateTensorDescriptor(&y_shape));
    done(cudnnCreateFilterDescriptor(&f_shape));
    done(cudnnCreateConvolutionDescriptor(&convolution));
    done(cudnnSetTensor4dDescriptor(x_shape, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, N, C, H, W));
    done(cudnnSetTensor4dDescriptor(y_shape, CUDNN_TENSOR_NHWC, CUDNN_DATA_FLOAT, N, K, P, Q));
    done(cudnnSetFilter4dDescriptor(f_shape, CUDNN_DATA_FLOAT, CUDNN_TENSOR_NHWC, K, C, R, S));
    done(cudnnSetConvolution2dDescriptor(convolution, PAD, PAD, STRIDE, STRIDE, 1, 1, CUDNN_CROSS_CORRELATION,
                                         CUDNN_DATA_FLOAT));
    done(cudnnGetConvolutionForwardAlgorithm_v7(handle, x_shape, f_shape, convolution, y_shape, 3, &count, forward));
    done(cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, f_shape, y_shape, convolution, x_shape, 3, &count, data));
    done(cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x_shape, y_shape, convolution, f_shape, 3, &count,
                                                       filter));
    ck_assert_int_eq(count, 2);
    done(cudnnGetConvolutionForwardWorkspaceSize(handle, x_shape, f_shape, convolution, y_shape, forward[0].algo,
                                                 &bytes));
    ck_assert_uint_eq(bytes, forward[0].memory);
    workspace = gpu_floats(NULL, (int)(bytes / sizeof(float)));

    /* With the algorithm that wants workspace, and with the other one. */
    for (int i = 0; i < 2; i++) {
        size_t given = i == 0 ? bytes : 0;

        if (i == 0)
            ck_assert_int_eq(cudnnConvolutionForward(handle, &one, x_shape, on_device[0], f_shape, on_device[1],
                                                     convolution, forward[i].algo, NULL, 0, &zero, y_shape,
                                                     on_device[3]),
                             CUDNN_STATUS_BAD_PARAM);
        done(cudnnConvolutionForward(handle, &one, x_shape, on_device[0], f_shape, on_device[1], convolution,
                                     forward[i].algo, workspace, given, &zero, y_shape, on_device[3]));
        done(cudnnConvolutionBackwardData(handle, &one, f_shape, on_device[1], y_shape, on_device[2], convolution,
                                          data[i].algo, workspace, given, &zero, x_shape, on_device[4]));
        ok(cudaStreamSynchronize(stream));
        compare(on_device[3], y, Y_COUNT);
        compare(on_device[4], dx, X_COUNT);
    }
    /* Twice the gradient is added to what is there. */
    done(cudnnConvolutionBackwardFilter(handle, &two, x_shape, on_device[0], y_shape, on_device[2], convolution,
                                        filter[0].algo, workspace, bytes, &one, f_shape, on_device[5]));
    ok(cudaStreamSynchronize(stream));
    for (int i = 0; i < FILTER_COUNT; i++)
        df[i] = 2 * df[i] + f[i];
    compare(on_device[5], df, FILTER_COUNT);
    ck_assert_int_eq(cudnnConvolutionForward(handle, &one, y_shape, on_device[3], f_shape, on_device[1], convolution,
                                             forward[1].algo, NULL, 0, &zero, x_shape, on_device[4]),
                     CUDNN_STATUS_BAD_PARAM);
    done(cudnnDestroyConvolutionDescriptor(convolution));
    done(cudnnDestroyFilterDescriptor(f_shape));
    done(cudnnDestroyTensorDescriptor(x_shape));
    done(cudnnDestroyTensorDescriptor(y_shape));
    done(cudnnDestroy(handle));
}
END_TEST

/* As the program finds them. */
START_TEST(libraries_are_found_by_name)
{
    ck_assert_ptr_nonnull(dlsym(RTLD_DEFAULT, "cublasSgemm_v2"));
    ck_assert_ptr_nonnull(dlsym(RTLD_DEFAULT, "cublasLtMatmul"));
    ck_assert_ptr_nonnull(dlsym(RTLD_DEFAULT, "cudnnConvolutionForward"));
}
END_TEST

START_TEST(convolutions_may_be_missing)
{
    cudnnHandle_t handle;

    setenv("GPU_DOUBLE_CUDNN", "0", 1);
    ck_assert_int_eq(cudnnCreate(&handle), CUDNN_STATUS_NOT_INITIALIZED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gpu libraries");
    TCase *tcase = tcase_create("gpu libraries");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, operands_must_be_there);
    tcase_add_loop_test(tcase, matrix_products, 0, 8);
    tcase_add_loop_test(tcase, products_with_epilogues, 0, COUNT(epilogues));
    tcase_add_test(tcase, convolutions);
    tcase_add_test(tcase, libraries_are_found_by_name);
    tcase_add_test(tcase, convolutions_may_be_missing);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
