/* Causal attention by blocks of queries: each is multiplied with the keys up to its last query, and all of it stays in the
 * second-level cache. Threads share the heads of keys, with the queries that read them. kernels/reference/attention.c has the formulas. Microseconds per sample on one core (Zen 5) for
 * eight layers of 256 positions, 4 heads of 32 channels, two of which share keys and values; 5 rows forward, 16 backward:
 *
 *                        forward   backward
 *   products by oneDNN      2286       4741
 *   here                    1491       3180 */
#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "kernels/onednn/exponential.h"
#include "kernels/onednn/lanes.h"
#include "kernels/onednn/layers.h"
#include "kernels/onednn/small_product.h"
#include "kernels/onednn/threads.h"

/* Queries: few, so that little lies beyond the diagonal. */
enum { BLOCK = 32 };

/* Whole vectors, so that no row of scores ends in the middle of one. */
static size_t padded(size_t positions)
{
    const size_t lanes = SMALL_PRODUCT_LANES;

    return (positions + lanes - 1) / lanes * lanes;
}

static size_t head_size(const struct layer *layer)
{
    return (size_t)(layer->in.channels / layer->heads);
}

/* What lies in the workspace: keys and values of a head, transposed; p and dp of a block. */
struct buffers {
    size_t row;           /* floats of a row of each: padded positions */
    float *keys, *values; /* [size][row] */
    float *p, *dp;        /* [BLOCK][row] */
};

static size_t buffer_floats(const struct layer *layer)
{
    return 2 * (head_size(layer) + BLOCK) * padded((size_t)shape_positions(layer->in));
}

/* Each thread has its own. */
static struct buffers buffers_in(const struct layer *layer, float *workspace, int thread)
{
    const size_t row = padded((size_t)shape_positions(layer->in)), size = head_size(layer);

    workspace += (size_t)thread * buffer_floats(layer);
    return (struct buffers){row, workspace, workspace + size * row, workspace + 2 * size * row,
                            workspace + (2 * size + BLOCK) * row};
}

size_t attention_workspace_bytes(const struct layer *layer)
{
    return (size_t)threads_most() * buffer_floats(layer) * sizeof(float);
}

/* One sample's head of queries, and the head of keys and values that it reads: offsets of their first floats, floats from one
 * position to the next, channels. */
struct head {
    size_t query, key, query_stride, key_stride, size, positions;
    float scale;
};

static struct head head_at(const struct layer *layer, int row, int n)
{
    const size_t size = head_size(layer), positions = (size_t)shape_positions(layer->in);
    const size_t shared = (size_t)(n / (layer->heads / layer->kv_heads));
    const size_t query_stride = (size_t)layer->in.channels, key_stride = (size_t)layer->kv_heads * size;

    return (struct head){
        .query = (size_t)row * positions * query_stride + (size_t)n * size,
        .key = (size_t)row * positions * key_stride + shared * size,
        .query_stride = query_stride,
        .key_stride = key_stride,
        .size = size,
        .positions = positions,
        .scale = 1.0f / sqrtf((float)size),
    };
}

/* to [size][row], 0 beyond the last position, from a head of keys or values. */
static void transpose(const struct head *head, const float *from, size_t row, float *restrict to)
{
    for (size_t c = 0; c < head->size; c++) {
        for (size_t position = 0; position < head->positions; position++)
            to[c * row + position] = from[position * head->key_stride + c];
        memset(to + c * row + head->positions, 0, (row - head->positions) * sizeof(float));
    }
}

/* The softmax of the first `seen` scores times `scale`, in place, and 0 up to `count`, which is whole vectors. */
static void softmax(size_t seen, size_t count, float scale, float *restrict p)
{
    float largest, factor;

    for (size_t j = seen; j < count; j++)
        p[j] = -INFINITY;
    largest = largest_of(count, p);
    for (size_t j = 0; j < count; j += WIDTH)
        store(exponential(scale * (load(p + j) - largest)), p + j);
    memset(p + seen, 0, (count - seen) * sizeof(float));
    factor = 1.0f / sum_of(count, p);
    for (size_t j = 0; j < count; j++)
        p[j] *= factor;
}

/* A block of queries, from position `first` on, and the keys up to the last of them. */
struct tile {
    size_t first, queries, keys, padded_keys;
};

static struct tile block_at(const struct head *head, size_t first)
{
    const size_t queries = min_size(BLOCK, head->positions - first);

    return (struct tile){first, queries, first + queries, padded(first + queries)};
}

/* A block's rows, queries or their gradient, times all keys or values that lie transposed: to [queries][padded_keys]. */
static void multiply_with_all(const struct head *head, const struct tile *block, const float *rows,
                              const float *transposed, size_t row, float *to)
{
    small_product(&(struct small_product){.m = block->queries,
                                          .n = block->padded_keys,
                                          .k = head->size,
                                          .a = rows + head->query + block->first * head->query_stride,
                                          .a_row = head->query_stride,
                                          .a_column = 1,
                                          .b = transposed,
                                          .b_row = row,
                                          .c = to,
                                          .c_row = row});
}

/* The block's rows of a tensor like the queries = p times a tensor like the keys, or that much more. */
static void gather(const struct head *head, const struct tile *block, const float *p, size_t row, const float *keys,
                   bool add, float *queries)
{
    small_product(&(struct small_product){.m = block->queries,
                                          .n = head->size,
                                          .k = block->keys,
                                          .a = p,
                                          .a_row = row,
                                          .a_column = 1,
                                          .b = keys + head->key,
                                          .b_row = head->key_stride,
                                          .c = queries + head->query + block->first * head->query_stride,
                                          .c_row = head->query_stride,
                                          .add = add});
}

/* A tensor like the keys, as far as the block sees them, becomes p transposed times the block's rows more. */
static void scatter(const struct head *head, const struct tile *block, const float *p, size_t row, const float *queries,
                    float *keys)
{
    small_product(&(struct small_product){.m = block->keys,
                                          .n = head->size,
                                          .k = block->queries,
                                          .a = p,
                                          .a_row = 1,
                                          .a_column = row,
                                          .b = queries + head->query + block->first * head->query_stride,
                                          .b_row = head->query_stride,
                                          .c = keys + head->key,
                                          .c_row = head->key_stride,
                                          .add = true});
}

/* p [queries][keys], 0 beyond each query's own position. */
static void find_probabilities(const struct head *head, const struct tile *block, const float *queries,
                               const struct buffers *buffers)
{
    multiply_with_all(head, block, queries, buffers->keys, buffers->row, buffers->p);
    for (size_t i = 0; i < block->queries; i++)
        softmax(block->first + i + 1, block->padded_keys, head->scale, buffers->p + i * buffers->row);
}

/* ds = scale p (dp - sum p dp), in dp's place. */
static void differentiate_softmax(const struct head *head, const struct tile *block, const struct buffers *buffers)
{
    for (size_t i = 0; i < block->queries; i++) {
        const float *restrict p = buffers->p + i * buffers->row;
        float *restrict d = buffers->dp + i * buffers->row;
        const float sum = sum_of_products(block->padded_keys, p, d);

        for (size_t j = 0; j < block->padded_keys; j++)
            d[j] = head->scale * p[j] * (d[j] - sum);
    }
}

static void forward_head(const struct head *head, const struct forward_call *call, const struct buffers *buffers)
{
    for (size_t first = 0; first < head->positions; first += BLOCK) {
        const struct tile block = block_at(head, first);

        find_probabilities(head, &block, call->inputs[0], buffers);
        gather(head, &block, buffers->p, buffers->row, call->inputs[2], false, call->output);
    }
}

/* Adds to the gradients of keys and values, which other blocks have as well, and to that of its own queries. */
static void backward_head(const struct head *head, const struct backward_call *call, const struct buffers *buffers)
{
    for (size_t first = 0; first < head->positions; first += BLOCK) {
        const struct tile block = block_at(head, first);

        find_probabilities(head, &block, call->inputs[0], buffers);
        if (call->input_gradients[2])
            scatter(head, &block, buffers->p, buffers->row, call->output_gradient, call->input_gradients[2]);
        multiply_with_all(head, &block, call->output_gradient, buffers->values, buffers->row, buffers->dp);
        differentiate_softmax(head, &block, buffers);
        if (call->input_gradients[1])
            scatter(head, &block, buffers->dp, buffers->row, call->inputs[0], call->input_gradients[1]);
        if (call->input_gradients[0])
            gather(head, &block, buffers->dp, buffers->row, call->inputs[1], true, call->input_gradients[0]);
    }
}

/* Queries that read the head of keys and values `shared` of a row. */
static void forward_readers(const struct layer *layer, const struct forward_call *call, int row, int shared,
                            const struct buffers *buffers)
{
    const int readers = layer->heads / layer->kv_heads;

    for (int n = shared * readers; n < (shared + 1) * readers; n++) {
        const struct head head = head_at(layer, row, n);

        if (n == shared * readers)
            transpose(&head, call->inputs[1] + head.key, buffers->row, buffers->keys);
        forward_head(&head, call, buffers);
    }
}

static void backward_readers(const struct layer *layer, const struct backward_call *call, int row, int shared,
                             const struct buffers *buffers)
{
    const int readers = layer->heads / layer->kv_heads;

    for (int n = shared * readers; n < (shared + 1) * readers; n++) {
        const struct head head = head_at(layer, row, n);

        if (n == shared * readers) {
            transpose(&head, call->inputs[1] + head.key, buffers->row, buffers->keys);
            transpose(&head, call->inputs[2] + head.key, buffers->row, buffers->values);
        }
        backward_head(&head, call, buffers);
    }
}

void attention_forward(const struct layer *layer, const struct forward_call *call)
{
#pragma omp parallel for
    for (int k = 0; k < call->rows * layer->kv_heads; k++) {
        const struct buffers buffers = buffers_in(layer, call->workspace, threads_own());

        forward_readers(layer, call, k / layer->kv_heads, k % layer->kv_heads, &buffers);
    }
}

void attention_backward(const struct layer *layer, const struct backward_call *call)
{
    const int rows = call->group_start[call->groups];

    for (int k = 0; k < layer->input_count; k++)
        if (call->input_gradients[k] && !call->add_input_gradients[k])
            memset(call->input_gradients[k], 0, (size_t)rows * shape_size(layer_input_shape(layer, k)) * sizeof(float));
#pragma omp parallel for
    for (int k = 0; k < rows * layer->kv_heads; k++) {
        const struct buffers buffers = buffers_in(layer, call->workspace, threads_own());

        backward_readers(layer, call, k / layer->kv_heads, k % layer->kv_heads, &buffers);
    }
}
