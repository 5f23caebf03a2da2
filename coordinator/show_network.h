/* Networks for the eye and for scripts: their blocks and layers, shapes, parameters and cost; and the tables of all there
 * are, and of the layer types. */
#ifndef TP_COORDINATOR_SHOW_NETWORK_H
#define TP_COORDINATOR_SHOW_NETWORK_H

#include <jansson.h>
#include <stdio.h>

#include "network/network.h"

/* A line for each layer, with what was taken into it ("+ add input + relu"); sums of blocks and of all. */
void network_print(FILE *out, const struct network *network, const struct network_options *options);

/* Likewise. NULL if out of memory; the caller drops the reference. */
json_t *network_json(const struct network *network, const struct network_options *options);

/* A line for each built-in network: its name and what its file begins with. */
void networks_print(FILE *out);

/* The layer types with their arguments. */
void layer_types_print(FILE *out);

#endif
