/* Causal attention, a query a thread, and for the gradients of keys and values a key: it goes through what it has to do with
 * in order, by so many channels at a time as it has room for. kernels/reference/attention.c has the formulas. */
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/threads.h"

enum { TILE = 32 };

struct sizes {
    int positions, heads, kv_heads, size;
    float scale;
};

static struct sizes sizes_of(const struct layer *layer)
{
    const int size = layer->in.channels / layer->heads;

    return {shape_positions(layer->in), layer->heads, layer->kv_heads, size, 1.0f / sqrtf((float)size)};
}

/* Where a sample's head is at a position, among so many heads. */
static __device__ size_t place(const struct sizes &of, int heads, size_t row, int position, int head)
{
    return ((row * of.positions + position) * heads + head) * of.size;
}

static __device__ float dot(int count, const float *a, const float *b)
{
    float sum = 0.0f;

    for (int c = 0; c < count; c++)
        sum += a[c] * b[c];
    return sum;
}

/* What becomes of n, a thread's number: queries n = [row][position][head]. */
struct query {
    size_t row, at;
    int position, head, shared;
};

static __device__ struct query query_of(const struct sizes &of, size_t n)
{
    struct query query;

    query.head = (int)(n % of.heads);
    query.position = (int)(n / of.heads % of.positions);
    query.row = n / of.heads / of.positions;
    query.at = n * of.size;
    query.shared = query.head / (of.heads / of.kv_heads);
    return query;
}

/* log of the sum over keys of exp(score). */
static __device__ float log_sum(const struct sizes &of, const struct query &query, const float *q, const float *k)
{
    float largest = -INFINITY, sum = 0.0f;

    for (int j = 0; j <= query.position; j++) {
        const float score =
            of.scale * dot(of.size, q + query.at, k + place(of, of.kv_heads, query.row, j, query.shared));
        const float most = score > largest ? score : largest;

        sum = sum * expf(largest - most) + expf(score - most);
        largest = most;
    }
    return largest + logf(sum);
}

static __global__ void attend(size_t queries, struct sizes of, const float *q, const float *k, const float *v,
                              float *output)
{
    const size_t n = element_of_thread();

    if (n >= queries)
        return;

    const struct query query = query_of(of, n);
    const float log = log_sum(of, query, q, k);

    for (int first = 0; first < of.size; first += TILE) {
        const int width = of.size - first < TILE ? of.size - first : TILE;
        float sums[TILE] = {0.0f};

        for (int j = 0; j <= query.position; j++) {
            const size_t at = place(of, of.kv_heads, query.row, j, query.shared);
            const float p = expf(of.scale * dot(of.size, q + query.at, k + at) - log);

            for (int c = 0; c < width; c++)
                sums[c] += p * v[at + first + c];
        }
        for (int c = 0; c < width; c++)
            output[query.at + first + c] = sums[c];
    }
}

/* logs[n], and means[n] = sum over keys of p dp = sum over channels of gradient times output. */
static __global__ void find_sums(size_t queries, struct sizes of, const float *q, const float *k, const float *output,
                                 const float *gradient, float *logs, float *means)
{
    const size_t n = element_of_thread();

    if (n >= queries)
        return;

    const struct query query = query_of(of, n);

    logs[n] = log_sum(of, query, q, k);
    means[n] = dot(of.size, gradient + query.at, output + query.at);
}

static __global__ void query_gradients(size_t queries, struct sizes of, const float *q, const float *k, const float *v,
                                       const float *gradient, const float *logs, const float *means, bool add,
                                       float *to)
{
    const size_t n = element_of_thread();

    if (n >= queries)
        return;

    const struct query query = query_of(of, n);

    for (int first = 0; first < of.size; first += TILE) {
        const int width = of.size - first < TILE ? of.size - first : TILE;
        float sums[TILE] = {0.0f};

        for (int j = 0; j <= query.position; j++) {
            const size_t at = place(of, of.kv_heads, query.row, j, query.shared);
            const float p = expf(of.scale * dot(of.size, q + query.at, k + at) - logs[n]);
            const float ds = of.scale * p * (dot(of.size, gradient + query.at, v + at) - means[n]);

            for (int c = 0; c < width; c++)
                sums[c] += ds * k[at + first + c];
        }
        for (int c = 0; c < width; c++)
            to[query.at + first + c] = (add ? to[query.at + first + c] : 0.0f) + sums[c];
    }
}

/* Of keys n = [row][position][kv head], or with `values` of values. */
static __global__ void key_gradients(size_t keys, struct sizes of, bool values, const float *q, const float *k,
                                     const float *v, const float *gradient, const float *logs, const float *means,
                                     bool add, float *to)
{
    const size_t n = element_of_thread(), own = n * of.size;

    if (n >= keys)
        return;

    const int shared = (int)(n % of.kv_heads), j = (int)(n / of.kv_heads % of.positions);
    const size_t row = n / of.kv_heads / of.positions;
    const int group = of.heads / of.kv_heads;

    for (int first = 0; first < of.size; first += TILE) {
        const int width = of.size - first < TILE ? of.size - first : TILE;
        float sums[TILE] = {0.0f};

        for (int head = shared * group; head < (shared + 1) * group; head++)
            for (int i = j; i < of.positions; i++) {
                const size_t query = (row * of.positions + i) * of.heads + head, at = query * of.size;
                const float p = expf(of.scale * dot(of.size, q + at, k + own) - logs[query]);
                const float ds = of.scale * p * (dot(of.size, gradient + at, v + own) - means[query]);

                for (int c = 0; c < width; c++)
                    sums[c] += values ? p * gradient[at + first + c] : ds * q[at + first + c];
            }
        for (int c = 0; c < width; c++)
            to[own + first + c] = (add ? to[own + first + c] : 0.0f) + sums[c];
    }
}

cudaError_t launch_attention(const struct layer *layer, const struct forward_call *call, cudaStream_t stream)
{
    const size_t queries = (size_t)call->rows * shape_positions(layer->in) * layer->heads;

    return launch(attend, blocks_for(queries), THREADS, stream, queries, sizes_of(layer), call->inputs[0],
                  call->inputs[1], call->inputs[2], call->output);
}

cudaError_t launch_attention_backward(const struct layer *layer, const struct backward_call *call, float *sums,
                                      cudaStream_t stream)
{
    const size_t positions = (size_t)call->group_start[call->groups] * shape_positions(layer->in);
    const size_t queries = positions * layer->heads, keys = positions * layer->kv_heads;
    const struct sizes of = sizes_of(layer);
    const float *q = call->inputs[0], *k = call->inputs[1], *v = call->inputs[2];
    float *logs = sums, *means = sums + queries;
    cudaError_t status = launch(find_sums, blocks_for(queries), THREADS, stream, queries, of, q, k, call->output,
                                call->output_gradient, logs, means);

    for (int n = 1; n < LAYER_INPUTS_MAX && status == cudaSuccess; n++)
        if (call->input_gradients[n])
            status = launch(key_gradients, blocks_for(keys), THREADS, stream, keys, of, n == 2, q, k, v,
                            call->output_gradient, logs, means, call->add_input_gradients[n], call->input_gradients[n]);
    if (call->input_gradients[0] && status == cudaSuccess)
        status = launch(query_gradients, blocks_for(queries), THREADS, stream, queries, of, q, k, v,
                        call->output_gradient, logs, means, call->add_input_gradients[0], call->input_gradients[0]);
    return status;
}
