#include "kernels/cuda/engine.h"
#include "kernels/cuda/kernels.h"

static int forward(struct layer_kernel *kernel, const struct forward_call *call, struct error *error)
{
    const size_t count = (size_t)call->rows * shape_size(kernel->layer.out);
    const cudaStream_t stream = kernel->engine->stream;

    return cuda_check(call->training ? launch_dropout(&kernel->layer, &call->draw, call->rows, call->inputs[0], false,
                                                      call->output, stream)
                                     : launch_add(count, call->inputs[0], NULL, false, call->output, stream),
                      "dropout", error);
}

static int backward_input(struct layer_kernel *kernel, const struct backward_call *call, struct error *error)
{
    if (!call->input_gradients[0])
        return 0;
    return cuda_check(launch_dropout(&kernel->layer, &call->draw, call_rows(call), call->output_gradient,
                                     call->add_input_gradients[0], call->input_gradients[0], kernel->engine->stream),
                      "dropout", error);
}

const struct layer_functions cuda_dropout = {.forward = forward, .backward_input = backward_input};
