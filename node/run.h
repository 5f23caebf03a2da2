/* A machine's part in a run on several: see node/node.h. */
#ifndef TP_NODE_RUN_H
#define TP_NODE_RUN_H

#include "base/error.h"
#include "node/net.h"

/* Returns when the run is over and nothing of it is left on this machine, and MPI as well. `name`: of the coordinator's segment,
 * which node 0 opens. -1 if the run could not be joined; then MPI is still there. */
int node_run(struct net *net, const char *name, struct error *error);

#endif
