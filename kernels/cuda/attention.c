#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

/* Two sums of each query. */
static size_t sums_bytes(const struct layer_kernel *kernel, int rows)
{
    return 2 * (size_t)rows * (size_t)shape_positions(kernel->layer.in) * (size_t)kernel->layer.heads * sizeof(float);
}

static int prepare_backward(struct layer_kernel *kernel, int rows, struct error *error)
{
    (void)error;
    return cuda_need_workspace(kernel, sums_bytes(kernel, rows));
}

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(launch_attention(&kernel->layer, call, kernel->engine->stream), "attention", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const int rows = call_rows(call);

    if (cuda_check_workspace(kernel, rows, sums_bytes(kernel, rows), error))
        return -1;
    return cuda_check(launch_attention_backward(&kernel->layer, call, call->workspace, kernel->engine->stream),
                      "attention", error);
}

const struct layer_functions cuda_attention = {
    .prepare_backward = prepare_backward, .forward = forward, .backward_input = backward_input};
