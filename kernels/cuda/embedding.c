#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    return cuda_check(launch_embedding(&kernel->layer, call->rows, call->inputs[0], call->weights, call->output,
                                       kernel->engine->stream),
                      "embedding", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    (void)kernel, (void)call, (void)error;
    return 0;
}

static int backward_weights(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    const cudaStream_t stream = kernel->engine->stream;

    if (!call->add_weight_gradient &&
        cuda_check(cudaMemsetAsync(call->weight_gradient, 0, kernel->layer.parameters * sizeof(float), stream),
                   "clearing a gradient", error))
        return -1;
    return cuda_check(launch_embedding_backward(&kernel->layer, call_rows(call), call->inputs[0], call->output_gradient,
                                                call->weight_gradient, stream),
                      "embedding", error);
}

const struct layer_functions cuda_embedding = {
    .forward = forward, .backward_input = backward_input, .backward_weights = backward_weights};
