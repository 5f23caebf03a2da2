/* Dropout, inverted: elements become 0 or are scaled up, and so do their gradients. */
#include <string.h>

#include "base/numbers.h"
#include "kernels/reference/reference.h"

/* Blocks at a time. */
enum { BLOCKS = 64 };

/* to[rows][row] = from times the factors, or that is added. */
static void multiply(const struct layer *layer, const struct draw *draw, int rows, const float *from, bool add,
                     float *to)
{
    const int size = (int)shape_size(layer->out), blocks = (size + DROPOUT_BLOCK - 1) / DROPOUT_BLOCK;
    float factors[BLOCKS * DROPOUT_BLOCK];

    for (int row = 0; row < rows; row++)
        for (int first = 0; first < blocks; first += BLOCKS) {
            const int count = min_int(size - first * DROPOUT_BLOCK, BLOCKS * DROPOUT_BLOCK);

            for (int block = 0; block < min_int(blocks - first, BLOCKS); block++)
                dropout_factors(draw, layer->percent, (uint32_t)row, (uint32_t)blocks, (uint32_t)(first + block),
                                factors + block * DROPOUT_BLOCK);
            for (int i = 0; i < count; i++)
                to[i] = (add ? to[i] : 0.0f) + from[i] * factors[i];
            from += count;
            to += count;
        }
}

void reference_dropout_forward(const struct layer *layer, const struct forward_call *call)
{
    if (call->training)
        multiply(layer, &call->draw, call->rows, call->inputs[0], false, call->output);
    else
        memcpy(call->output, call->inputs[0], (size_t)call->rows * shape_size(layer->out) * sizeof(float));
}

void reference_dropout_backward(const struct layer *layer, const struct backward_call *call)
{
    if (call->input_gradients[0])
        multiply(layer, &call->draw, call->group_start[call->groups], call->output_gradient,
                 call->add_input_gradients[0], call->input_gradients[0]);
}
