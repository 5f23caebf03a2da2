/* Causal attention by blocks of queries: the library multiplies each block with the keys up to its last query, loops of our
 * own take the softmax of its rows. kernels/reference/attention.c has the formulas. */
#include <math.h>
#include <oneapi/dnnl/dnnl_debug.h>
#include <string.h>

#include "base/numbers.h"
#include "kernels/onednn/exponential.h"
#include "kernels/onednn/layers.h"

/* As few as keep what lies beyond the diagonal few, and the products large. */
enum { BLOCK = 64 };

/* p and dp of a block, [BLOCK][positions] each. */
size_t attention_workspace_bytes(const struct layer *layer)
{
    return 2 * BLOCK * (size_t)shape_positions(layer->in) * sizeof(float);
}

/* A block of a sample's head: where it begins in queries and output, and its head in keys and values; floats from one
 * position to the next; how many queries, and keys up to the last of them. */
struct tile {
    const struct layer *layer;
    size_t query, key;
    dnnl_dim_t query_stride, key_stride, size;
    int first, queries, keys;
    float scale;
    struct error *error;
};

/* c [m][n] (+)= a b, in rows of these strides. */
static int multiply(const struct tile *of, char transpose_a, char transpose_b, dnnl_dim_t m, dnnl_dim_t n, dnnl_dim_t k,
                    const float *a, dnnl_dim_t row_a, const float *b, dnnl_dim_t row_b, bool add, float *c,
                    dnnl_dim_t row_c)
{
    const dnnl_status_t status =
        dnnl_sgemm(transpose_a, transpose_b, m, n, k, 1.0f, a, row_a, b, row_b, add ? 1.0f : 0.0f, c, row_c);

    if (status != dnnl_success)
        return error_set(of->error, "%s: oneDNN failed to multiply matrices: %s", of->layer->name,
                         dnnl_status2str(status));
    return 0;
}

/* The softmax of count scores times `scale`, in place. */
static void softmax(int count, float scale, float *p)
{
    float largest = -INFINITY, sum = 0.0f;

    for (int j = 0; j < count; j++)
        largest = p[j] > largest ? p[j] : largest;
    for (int j = 0; j < count; j++)
        p[j] = exponential(scale * (p[j] - largest));
    for (int j = 0; j < count; j++)
        sum += p[j];
    for (int j = 0; j < count; j++)
        p[j] /= sum;
}

/* p [queries][keys], 0 beyond each query's own position. */
static int find_probabilities(const struct tile *of, const float *queries, const float *keys, float *p)
{
    if (multiply(of, 'N', 'T', of->queries, of->keys, of->size, queries + of->query, of->query_stride, keys + of->key,
                 of->key_stride, false, p, of->keys))
        return -1;
    for (int i = 0; i < of->queries; i++) {
        float *row = p + (size_t)i * (size_t)of->keys;
        const int seen = of->first + i + 1;

        softmax(seen, of->scale, row);
        memset(row + seen, 0, (size_t)(of->keys - seen) * sizeof(float));
    }
    return 0;
}

static int forward_block(const struct tile *of, const struct forward_call *call)
{
    float *p = call->workspace;

    if (find_probabilities(of, call->inputs[0], call->inputs[1], p))
        return -1;
    return multiply(of, 'N', 'N', of->queries, of->size, of->keys, p, of->keys, call->inputs[2] + of->key,
                    of->key_stride, false, call->output + of->query, of->query_stride);
}

/* ds = scale p (dp - sum p dp), in dp's place. */
static void differentiate_softmax(const struct tile *of, const float *p, float *dp)
{
    for (int i = 0; i < of->queries; i++) {
        const float *restrict row = p + (size_t)i * (size_t)of->keys;
        float *restrict d = dp + (size_t)i * (size_t)of->keys;
        float sum = 0.0f;

        for (int j = 0; j < of->keys; j++)
            sum += row[j] * d[j];
        for (int j = 0; j < of->keys; j++)
            d[j] = of->scale * row[j] * (d[j] - sum);
    }
}

/* Adds to the gradients of keys and values, which other blocks have as well, and to that of its own queries. */
static int backward_block(const struct tile *of, const struct backward_call *call)
{
    const float *gradient = call->output_gradient + of->query;
    float *p = call->workspace, *dp = p + (size_t)BLOCK * (size_t)shape_positions(of->layer->in);

    if (find_probabilities(of, call->inputs[0], call->inputs[1], p) ||
        multiply(of, 'N', 'T', of->queries, of->keys, of->size, gradient, of->query_stride, call->inputs[2] + of->key,
                 of->key_stride, false, dp, of->keys))
        return -1;
    differentiate_softmax(of, p, dp);
    if (call->input_gradients[2] &&
        multiply(of, 'T', 'N', of->keys, of->size, of->queries, p, of->keys, gradient, of->query_stride, true,
                 call->input_gradients[2] + of->key, of->key_stride))
        return -1;
    if (call->input_gradients[1] &&
        multiply(of, 'T', 'N', of->keys, of->size, of->queries, dp, of->keys, call->inputs[0] + of->query,
                 of->query_stride, true, call->input_gradients[1] + of->key, of->key_stride))
        return -1;
    if (!call->input_gradients[0])
        return 0;
    return multiply(of, 'N', 'N', of->queries, of->size, of->keys, dp, of->keys, call->inputs[1] + of->key,
                    of->key_stride, true, call->input_gradients[0] + of->query, of->query_stride);
}

/* The n-th head, counted over all samples, from a position on. */
static struct tile tile_of(const struct layer *layer, int n, int first, struct error *error)
{
    const int size = layer->in.channels / layer->heads, positions = shape_positions(layer->in);
    const int shared = n % layer->heads / (layer->heads / layer->kv_heads), queries = min_int(BLOCK, positions - first);
    const size_t query_stride = (size_t)layer->in.channels, key_stride = (size_t)(layer->kv_heads * size);
    const size_t row = (size_t)(n / layer->heads) * (size_t)positions;

    return (struct tile){
        .layer = layer,
        .query = (row + (size_t)first) * query_stride + (size_t)(n % layer->heads * size),
        .key = row * key_stride + (size_t)(shared * size),
        .query_stride = (dnnl_dim_t)query_stride,
        .key_stride = (dnnl_dim_t)key_stride,
        .size = size,
        .first = first,
        .queries = queries,
        .keys = first + queries,
        .scale = 1.0f / sqrtf((float)size),
        .error = error,
    };
}

int attention_forward(const struct layer *layer, const struct forward_call *call, struct error *error)
{
    for (int n = 0; n < call->rows * layer->heads; n++)
        for (int first = 0; first < shape_positions(layer->in); first += BLOCK) {
            const struct tile tile = tile_of(layer, n, first, error);

            if (forward_block(&tile, call))
                return -1;
        }
    return 0;
}

int attention_backward(const struct layer *layer, const struct backward_call *call, struct error *error)
{
    const int rows = call->group_start[call->groups];

    for (int k = 0; k < layer->input_count; k++)
        if (call->input_gradients[k] && !call->add_input_gradients[k])
            memset(call->input_gradients[k], 0, (size_t)rows * shape_size(layer_input_shape(layer, k)) * sizeof(float));
    for (int n = 0; n < rows * layer->heads; n++)
        for (int first = 0; first < shape_positions(layer->in); first += BLOCK) {
            const struct tile tile = tile_of(layer, n, first, error);

            if (backward_block(&tile, call))
                return -1;
        }
    return 0;
}
