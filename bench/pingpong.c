/* What MPI alone makes of a link: two ranks send a message to and fro, as many bytes as the first argument says (default: 4 MiB),
 * so many times (default: 50). Rank 0 prints the time of one way for one byte, and the rate of whole messages:
 *
 *     LATENCY_US MBIT_PER_SECOND
 *
 * The yardstick for links between machines.. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { SMALL_ROUNDS = 200 };

/* Seconds of one way. The first round is for connections, and does not count. */
static double one_way(int rank, char *bytes, int size, int rounds)
{
    double begun = 0.0;

    for (int round = -1; round < rounds; round++) {
        if (round == 0)
            begun = MPI_Wtime();
        if (rank == 0) {
            MPI_Send(bytes, size, MPI_CHAR, 1, 0, MPI_COMM_WORLD);
            MPI_Recv(bytes, size, MPI_CHAR, 1, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        } else {
            MPI_Recv(bytes, size, MPI_CHAR, 0, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
            MPI_Send(bytes, size, MPI_CHAR, 0, 0, MPI_COMM_WORLD);
        }
    }
    return (MPI_Wtime() - begun) / (2.0 * rounds);
}

int main(int argc, char **argv)
{
    const int size = argc > 1 ? atoi(argv[1]) : 4 << 20, rounds = argc > 2 ? atoi(argv[2]) : 50;
    int rank, ranks;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    char *bytes = size > 0 && rounds > 0 ? calloc((size_t)size, 1) : NULL;
    if (ranks != 2 || !bytes) {
        fprintf(stderr, "usage: mpirun -n 2 pingpong [BYTES [ROUNDS]]\n");
        MPI_Abort(MPI_COMM_WORLD, 2);
    }
    const double latency = one_way(rank, bytes, 1, SMALL_ROUNDS), message = one_way(rank, bytes, size, rounds);
    if (rank == 0)
        printf("%.1f %.1f\n", 1e6 * latency, 8e-6 * size / message);
    free(bytes);
    MPI_Finalize();
    return 0;
}
