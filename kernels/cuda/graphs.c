#include "kernels/cuda/graphs.h"

#include <stdlib.h>
#include <string.h>

#include "device/cuda.h"

enum { TABLE = 2 * GRAPHS_MAX };

struct pass {
    struct pass_key key;
    bool met;
    cudaGraphExec_t recorded; /* NULL: not yet */
};

struct graphs {
    cudaStream_t stream;
    struct pass *recording; /* NULL: none now */
    bool spoilt;
    int count;
    struct pass passes[TABLE]; /* by hash of the key, or after it */
};

int graphs_create(struct graphs **out, cudaStream_t stream, struct error *error)
{
    struct graphs *graphs = calloc(1, sizeof(*graphs));

    *out = graphs;
    if (!graphs)
        return error_set(error, "out of memory");
    graphs->stream = stream;
    return 0;
}

void graphs_destroy(struct graphs *graphs)
{
    if (!graphs)
        return;
    for (int i = 0; i < TABLE; i++)
        if (graphs->passes[i].recorded)
            cudaGraphExecDestroy(graphs->passes[i].recorded);
    free(graphs);
}

/* FNV-1a. */
static uint64_t hash(const struct pass_key *key)
{
    const unsigned char *bytes = (const unsigned char *)key;
    uint64_t value = 14695981039346656037u;

    for (size_t i = 0; i < sizeof(*key); i++)
        value = (value ^ bytes[i]) * 1099511628211u;
    return value;
}

/* The pass of that key, or where it would be. The table is never full. */
static struct pass *find(struct graphs *graphs, const struct pass_key *key)
{
    uint64_t i = hash(key) % TABLE;

    while (graphs->passes[i].met && memcmp(&graphs->passes[i].key, key, sizeof(*key)) != 0)
        i = (i + 1) % TABLE;
    return &graphs->passes[i];
}

int graphs_begin(struct graphs *graphs, const struct pass_key *key, bool *repeated, struct error *error)
{
    struct pass *pass = find(graphs, key);

    *repeated = false;
    if (!pass->met) {
        if (graphs->count < GRAPHS_MAX) {
            graphs->count++;
            *pass = (struct pass){.key = *key, .met = true};
        }
        return 0;
    }
    if (pass->recorded) {
        *repeated = true;
        return cuda_check(cudaGraphLaunch(pass->recorded, graphs->stream), "launching a recorded pass", error);
    }
    if (cuda_check(cudaStreamBeginCapture(graphs->stream, cudaStreamCaptureModeThreadLocal), "recording a pass", error))
        return -1;
    graphs->recording = pass;
    graphs->spoilt = false;
    return 0;
}

int graphs_end(struct graphs *graphs, struct error *error)
{
    struct pass *pass = graphs->recording;
    cudaGraph_t graph = NULL;
    cudaError_t status;

    if (!pass)
        return 0;
    graphs->recording = NULL;
    status = cudaStreamEndCapture(graphs->stream, &graph);
    if (status == cudaSuccess && !graphs->spoilt)
        status = cudaGraphInstantiate(&pass->recorded, graph, 0);
    if (graph)
        cudaGraphDestroy(graph);
    if (graphs->spoilt)
        return 0;
    if (status == cudaSuccess)
        status = cudaGraphLaunch(pass->recorded, graphs->stream);
    return cuda_check(status, "recording a pass", error);
}

void graphs_spoil(struct graphs *graphs)
{
    graphs->spoilt = true;
}
