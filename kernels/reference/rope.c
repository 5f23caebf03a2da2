/* Rotary positions. At position p the pair of channels i and i + half of each head is turned by p theta^(-i / half); the
 * gradient is turned back. */
#include <math.h>

#include "kernels/reference/reference.h"

struct turn reference_rope_turn(const struct layer *layer, int position, int pair)
{
    const int half = layer->in.channels / layer->heads / 2;
    const double angle = position * pow((double)layer->theta, -(double)pair / half);

    return (struct turn){(float)cos(angle), (float)sin(angle)};
}

void reference_rope_forward(const struct layer *layer, const struct forward_call *call)
{
    const int size = layer->in.channels / layer->heads, half = size / 2, positions = shape_positions(layer->in);

    for (int position = 0; position < positions; position++)
        for (int pair = 0; pair < half; pair++) {
            const struct turn turn = reference_rope_turn(layer, position, pair);

            for (int head = 0; head < call->rows * layer->heads; head++) {
                const int row = head / layer->heads;
                const size_t first = ((size_t)row * (size_t)positions + (size_t)position) * (size_t)layer->in.channels +
                                     (size_t)(head % layer->heads * size + pair),
                             second = first + (size_t)half;
                const float x = call->inputs[0][first], y = call->inputs[0][second];

                call->output[first] = x * turn.cosine - y * turn.sine;
                call->output[second] = y * turn.cosine + x * turn.sine;
            }
        }
}

void reference_rope_backward(const struct layer *layer, const struct backward_call *call)
{
    const int size = layer->in.channels / layer->heads, half = size / 2, positions = shape_positions(layer->in);
    const int rows = call->group_start[call->groups];

    for (int position = 0; call->input_gradients[0] && position < positions; position++)
        for (int pair = 0; pair < half; pair++) {
            const struct turn turn = reference_rope_turn(layer, position, pair);

            for (int head = 0; head < rows * layer->heads; head++) {
                const int row = head / layer->heads;
                const size_t first = ((size_t)row * (size_t)positions + (size_t)position) * (size_t)layer->in.channels +
                                     (size_t)(head % layer->heads * size + pair),
                             second = first + (size_t)half;
                const float x = call->output_gradient[first], y = call->output_gradient[second];

                reference_put(call, 0, first, x * turn.cosine + y * turn.sine);
                reference_put(call, 0, second, y * turn.cosine - x * turn.sine);
            }
        }
}
