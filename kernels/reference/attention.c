/* Causal attention. For each sample and head, with queries q, keys k, values v of size d and positions i, j <= i:
 *
 *   p_ij = softmax over j of q_i k_j / sqrt(d)          y_i = sum over j of p_ij v_j
 *   dp_ij = dy_i v_j         ds_ij = p_ij (dp_ij - sum over j of p_ij dp_ij) / sqrt(d)
 *   dq_i = sum over j of ds_ij k_j      dk_j = sum over i of ds_ij q_i      dv_j = sum over i of p_ij dy_i
 *
 * Nothing is kept: the backward computes p again. */
#include <math.h>
#include <string.h>

#include "kernels/reference/multiply.h"
#include "kernels/reference/reference.h"

/* p_ij and dp_ij of one i. */
size_t reference_attention_workspace_bytes(const struct layer *layer)
{
    return 2 * (size_t)shape_positions(layer->in) * sizeof(float);
}

/* Where a sample's head begins in queries and output, and in keys and values; floats from one position to the next. */
struct head {
    size_t query, key;
    size_t query_stride, key_stride;
    int positions, size;
    float scale;
};

static struct head head_of(const struct layer *layer, int row, int head)
{
    const int size = layer->in.channels / layer->heads, positions = shape_positions(layer->in);
    const size_t query_stride = (size_t)layer->in.channels, key_stride = (size_t)(layer->kv_heads * size);
    const int shared = head / (layer->heads / layer->kv_heads);

    return (struct head){
        .query = (size_t)row * (size_t)positions * query_stride + (size_t)(head * size),
        .key = (size_t)row * (size_t)positions * key_stride + (size_t)(shared * size),
        .query_stride = query_stride,
        .key_stride = key_stride,
        .positions = positions,
        .size = size,
        .scale = 1.0f / sqrtf((float)size),
    };
}

/* p_ij of position i, for j = 0 .. i. */
static void softmax_of(const struct head *of, int i, const float *query, const float *keys, float *p)
{
    float largest = -INFINITY;
    double sum = 0.0;

    for (int j = 0; j <= i; j++) {
        p[j] = of->scale * multiply_dot(query, keys + (size_t)j * of->key_stride, of->size);
        largest = p[j] > largest ? p[j] : largest;
    }
    for (int j = 0; j <= i; j++) {
        p[j] = expf(p[j] - largest);
        sum += (double)p[j];
    }
    for (int j = 0; j <= i; j++)
        p[j] /= (float)sum;
}

void reference_attention_forward(const struct layer *layer, const struct forward_call *call)
{
    float *p = call->workspace;

    for (int n = 0; n < call->rows * layer->heads; n++) {
        const struct head of = head_of(layer, n / layer->heads, n % layer->heads);

        for (int i = 0; i < of.positions; i++) {
            const size_t at = of.query + (size_t)i * of.query_stride;

            softmax_of(&of, i, call->inputs[0] + at, call->inputs[1] + of.key, p);
            memset(call->output + at, 0, (size_t)of.size * sizeof(float));
            multiply_add(p, i + 1, call->inputs[2] + of.key, of.key_stride, of.size, call->output + at);
        }
    }
}

/* Adds position i's share to the gradients. */
static void backward_position(const struct head *of, const struct backward_call *call, int i)
{
    const size_t at = of->query + (size_t)i * of->query_stride;
    const float *query = call->inputs[0] + at, *keys = call->inputs[1] + of->key,
                *gradient = call->output_gradient + at;
    float *p = call->workspace, *dp = p + of->positions;
    double sum = 0.0;

    softmax_of(of, i, query, keys, p);
    for (int j = 0; j <= i; j++) {
        dp[j] = multiply_dot(gradient, call->inputs[2] + of->key + (size_t)j * of->key_stride, of->size);
        sum += (double)p[j] * (double)dp[j];
    }
    for (int j = 0; j <= i; j++)
        dp[j] = of->scale * p[j] * (dp[j] - (float)sum);
    if (call->input_gradients[2])
        multiply_outer_add(p, i + 1, gradient, of->size, call->input_gradients[2] + of->key, of->key_stride);
    if (call->input_gradients[1])
        multiply_outer_add(dp, i + 1, query, of->size, call->input_gradients[1] + of->key, of->key_stride);
    if (call->input_gradients[0])
        multiply_add(dp, i + 1, keys, of->key_stride, of->size, call->input_gradients[0] + at);
}

void reference_attention_backward(const struct layer *layer, const struct backward_call *call)
{
    const int rows = call->group_start[call->groups];

    for (int k = 0; k < layer->input_count; k++)
        if (call->input_gradients[k] && !call->add_input_gradients[k])
            memset(call->input_gradients[k], 0, (size_t)rows * shape_size(layer_input_shape(layer, k)) * sizeof(float));
    for (int n = 0; n < rows * layer->heads; n++) {
        const struct head of = head_of(layer, n / layer->heads, n % layer->heads);

        for (int i = 0; i < of.positions; i++)
            backward_position(&of, call, i);
    }
}
