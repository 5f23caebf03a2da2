/* Rotary positions, pairs side by side. Cosines and sines of a position follow from those of the one before it: so they take
 * no table, and in doubles what thousands of positions add up to is far below a float's last digit. */
#include <math.h>

#include "kernels/onednn/layers.h"

/* For each pair of a head: where it stands, and by how much a position turns it; and the former as floats. */
struct turns {
    int half;
    double *cosine, *sine, *cosine_step, *sine_step;
    float *turned_cosine, *turned_sine;
};

static int half_head(const struct layer *layer)
{
    return layer->in.channels / layer->heads / 2;
}

size_t rope_workspace_bytes(const struct layer *layer)
{
    return (size_t)half_head(layer) * (4 * sizeof(double) + 2 * sizeof(float));
}

/* Turns by no angle at the first position; the other way round to turn back. */
static struct turns first_turns(const struct layer *layer, bool back, void *workspace)
{
    const int half = half_head(layer);
    double *doubles = workspace;
    float *floats = (void *)(doubles + 4 * half);
    const struct turns turns = {half,   doubles,      doubles + half, doubles + 2 * half, doubles + 3 * half,
                                floats, floats + half};

    for (int pair = 0; pair < half; pair++) {
        const double angle = pow((double)layer->theta, -(double)pair / half);

        turns.cosine[pair] = 1.0;
        turns.sine[pair] = 0.0;
        turns.cosine_step[pair] = cos(angle);
        turns.sine_step[pair] = back ? -sin(angle) : sin(angle);
    }
    return turns;
}

/* Leaves this position's turns as floats, and goes on to the next position. */
static void next_turns(const struct turns *turns)
{
    const double *restrict cosine_step = turns->cosine_step, *restrict sine_step = turns->sine_step;
    double *restrict cosine = turns->cosine, *restrict sine = turns->sine;

    for (int pair = 0; pair < turns->half; pair++) {
        const double c = cosine[pair], s = sine[pair];

        turns->turned_cosine[pair] = (float)c;
        turns->turned_sine[pair] = (float)s;
        cosine[pair] = c * cosine_step[pair] - s * sine_step[pair];
        sine[pair] = s * cosine_step[pair] + c * sine_step[pair];
    }
}

/* to = a head of `from`, turned; or that much more. */
static void turn_head(const struct turns *turns, const float *restrict from, bool add, float *restrict to)
{
    const float *restrict cosine = turns->turned_cosine, *restrict sine = turns->turned_sine;
    const int half = turns->half;

    for (int pair = 0; pair < half; pair++) {
        const float x = from[pair], y = from[half + pair];
        const float first = x * cosine[pair] - y * sine[pair], second = y * cosine[pair] + x * sine[pair];

        to[pair] = add ? to[pair] + first : first;
        to[half + pair] = add ? to[half + pair] + second : second;
    }
}

static void turn(const struct layer *layer, const struct turns *turns, int rows, const float *from, bool add, float *to)
{
    const size_t channels = (size_t)layer->in.channels, positions = (size_t)shape_positions(layer->in);

    for (size_t position = 0; position < positions; position++) {
        next_turns(turns);
        for (size_t row = 0; row < (size_t)rows; row++) {
            const size_t start = (row * positions + position) * channels;

            for (size_t c = 0; c < channels; c += 2 * (size_t)turns->half)
                turn_head(turns, from + start + c, add, to + start + c);
        }
    }
}

void rope_forward(const struct layer *layer, const struct forward_call *call)
{
    const struct turns turns = first_turns(layer, false, call->workspace);

    turn(layer, &turns, call->rows, call->inputs[0], false, call->output);
}

void rope_backward(const struct layer *layer, const struct backward_call *call)
{
    const struct turns turns = first_turns(layer, true, call->workspace);

    if (call->input_gradients[0])
        turn(layer, &turns, call->group_start[call->groups], call->output_gradient, call->add_input_gradients[0],
             call->input_gradients[0]);
}
