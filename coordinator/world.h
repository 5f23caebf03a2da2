/* The MPI job that this process is one of, where a user's own mpirun has started it, or srun: known by what they set in the
 * environment, as tpcoord itself is no MPI program. */
#ifndef TP_COORDINATOR_WORLD_H
#define TP_COORDINATOR_WORLD_H

#include "base/error.h"

struct world {
    int rank, size; /* 0 and 1: it was started by itself, or alone */
};

struct world world_find(void);

/* For what is done once: -1 if there are several of this process, with what to do instead. */
int world_refuse(struct world world, const char *instead, struct error *error);

/* Makes this process the node of its machine, in a run whose coordinator is rank 0. Returns only if it cannot. */
void world_become_node(struct error *error);

#endif
