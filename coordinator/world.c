#include "coordinator/world.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "base/program.h"

/* What tells a process of a job its rank, and of how many. srun sets its own numbers for programs without MPI as well: they
 * are a job's where it has set PMIx's rank. */
static const struct {
    const char *rank, *size;
} launchers[] = {
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"}, /* Open MPI's mpirun */
    {"PMI_RANK", "PMI_SIZE"},                         /* MPICH's and Intel's; srun --mpi=pmi2 */
    {"PMIX_RANK", "SLURM_STEP_NUM_TASKS"},            /* srun --mpi=pmix */
};

static int number_of(const char *name)
{
    const char *text = getenv(name);
    struct error ignored;
    int64_t number;

    return text && parse_int(&number, text, 0, INT_MAX, &ignored) == 0 ? (int)number : -1;
}

struct world world_find(void)
{
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        const int rank = number_of(launchers[i].rank), size = number_of(launchers[i].size);

        if (rank >= 0 && rank < size)
            return (struct world){rank, size};
    }
    return (struct world){0, 1};
}

int world_refuse(struct world world, const char *instead, struct error *error)
{
    return world.size == 1 ? 0 : error_set(error, "mpirun has started %d of these; %s", world.size, instead);
}

void world_become_node(struct error *error)
{
    char node[PATH_MAX];

    if (program_find(node, "tpnode", error))
        return;
    /* The run's name is known to node 0. */
    execl(node, node, "/", (char *)NULL);
    error_set(error, "cannot start %s: %s", node, strerror(errno));
}
