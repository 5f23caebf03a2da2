/* Passes as CUDA graphs: the first time a pass is met it runs call by call, which warms up what it needs; the second time it
 * is recorded; from then on it is one launch. */
#ifndef TP_KERNELS_CUDA_GRAPHS_H
#define TP_KERNELS_CUDA_GRAPHS_H

#include <cuda_runtime_api.h>

#include "kernels/backend.h"

struct graphs;

/* So many passes are recorded at most; further ones always run call by call. */
enum { GRAPHS_MAX = 1024 };

int graphs_create(struct graphs **out, cudaStream_t stream, struct error *error);
void graphs_destroy(struct graphs *graphs);

/* As pass_begin and pass_end of kernels/backend.h. */
int graphs_begin(struct graphs *graphs, const struct pass_key *key, bool *repeated, struct error *error);
int graphs_end(struct graphs *graphs, struct error *error);

/* A call of the pass has failed: what was recorded of it is not to be kept. */
void graphs_spoil(struct graphs *graphs);

#endif
