/* What the network between machines carries, as links of a run would see it: for predictions (coordinator/cables.h). */
#ifndef TP_NODE_MEASURE_H
#define TP_NODE_MEASURE_H

#include "base/error.h"
#include "node/net.h"

/* The longest that one cable takes. */
enum { MEASURE_SECONDS = 60 };

/* Measures one cable after the other, from each machine to the next and from the last to the first. Node 0 prints a line for
 * each, which coordinator/cables.c reads. -1 if there are not so many machines. */
int measure_cables(struct net *net, int machines, struct error *error);

#endif
