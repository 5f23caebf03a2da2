/* The forward of a whole network for one sample, in this process and on the CPU. */
#ifndef TP_COORDINATOR_INFERENCE_H
#define TP_COORDINATOR_INFERENCE_H

#include "kernels/backend.h"

struct inference; /* opaque */

/* The fastest backend of the CPU that works here. The network, its parameters and its state outlive it. */
int inference_create(struct inference **out, const struct network *network, const float *parameters, float *state,
                     struct error *error);
void inference_destroy(struct inference *inference);

/* `input` is as the network has it: an image's floats, or tokens, which are 32-bit integers. *output [the last layer's
 * output] is its own, until the next one. */
int inference_run(struct inference *inference, const void *input, const float **output, struct error *error);

#endif
