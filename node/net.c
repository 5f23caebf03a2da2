#include "node/net.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"

/* Packets to and from each peer that are under way at once; and how many of those to it are kept for urgent ones. */
enum { PACKETS_IN = 8, PACKETS_OUT = 32, PACKETS_KEPT = 8 };

/* MPI's tag of packets. Others have those above. */
enum { TAG_PACKET = 0 };

struct peer {
    struct packet in[PACKETS_IN], out[PACKETS_OUT];
    size_t bytes[PACKETS_IN]; /* that have come, of those in */
    int next_in;              /* the oldest of those posted */
    bool taken;               /* it has been given out by net_next */
};

/* One array of requests: those of each peer's packets, first in, then out; then the transfers. */
enum request_state { REQUEST_FREE, REQUEST_ACTIVE, REQUEST_DONE };
struct net {
    int rank, size, turn;
    struct peer *peers;
    int count, first_transfer, transfers;
    MPI_Request *requests;
    unsigned char *states; /* enum request_state */
    int *completed;
    MPI_Status *statuses; /* of those completed */
};

struct net *net_open(int *argc, char ***argv)
{
    struct net *net = calloc(1, sizeof(*net));

    /* Open MPI's own word on a message waits behind the bytes of another that goes the same way. Over one connection that
     * makes half of a cable whose two directions are both wanted (85 against 48 of 100 Mbit/s each way). Here, so that it is
     * the same on all machines, whoever has started them. */
    setenv("OMPI_MCA_btl_tcp_links", "2", 0);
    MPI_Init(argc, argv);
    if (!net)
        return NULL;
    MPI_Comm_rank(MPI_COMM_WORLD, &net->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &net->size);
    return net;
}

int net_rank(const struct net *net)
{
    return net->rank;
}

int net_size(const struct net *net)
{
    return net->size;
}

bool net_agree(struct net *net, const char line[NET_LINE_MAX], int *other, char others_line[NET_LINE_MAX])
{
    char *lines = calloc((size_t)net->size, NET_LINE_MAX);
    char first[NET_LINE_MAX];

    *other = -1;
    memcpy(first, line, NET_LINE_MAX);
    MPI_Bcast(first, NET_LINE_MAX, MPI_CHAR, 0, MPI_COMM_WORLD);
    MPI_Gather(line, NET_LINE_MAX, MPI_CHAR, lines, NET_LINE_MAX, MPI_CHAR, 0, MPI_COMM_WORLD);
    for (int r = net->size - 1; net->rank == 0 && r > 0; r--)
        if (memcmp(lines + (size_t)r * NET_LINE_MAX, first, NET_LINE_MAX) != 0) {
            *other = r;
            memcpy(others_line, lines + (size_t)r * NET_LINE_MAX, NET_LINE_MAX);
        }
    free(lines);
    MPI_Bcast(other, 1, MPI_INT, 0, MPI_COMM_WORLD);
    return *other < 0;
}

void net_broadcast(struct net *net, void *bytes, size_t size)
{
    (void)net;
    MPI_Bcast(bytes, (int)size, MPI_BYTE, 0, MPI_COMM_WORLD);
}

static int in_request(int peer, int k)
{
    return peer * (PACKETS_IN + PACKETS_OUT) + k;
}

static int out_request(int peer, int k)
{
    return in_request(peer, PACKETS_IN + k);
}

static void post(struct net *net, int peer, int k)
{
    const int request = in_request(peer, k);

    MPI_Irecv(&net->peers[peer].in[k], sizeof(struct packet), MPI_BYTE, peer, TAG_PACKET, MPI_COMM_WORLD,
              &net->requests[request]);
    net->states[request] = REQUEST_ACTIVE;
}

int net_begin(struct net *net, int transfers, struct error *error)
{
    net->first_transfer = net->size * (PACKETS_IN + PACKETS_OUT);
    net->count = net->first_transfer + transfers;
    net->peers = calloc((size_t)net->size, sizeof(*net->peers));
    net->requests = calloc((size_t)net->count, sizeof(MPI_Request));
    net->states = calloc((size_t)net->count, 1);
    net->completed = calloc((size_t)net->count, sizeof(*net->completed));
    net->statuses = calloc((size_t)net->count, sizeof(*net->statuses));
    if (!net->peers || !net->requests || !net->states || !net->completed || !net->statuses)
        return error_set(error, "out of memory");
    for (int i = 0; i < net->count; i++)
        net->requests[i] = MPI_REQUEST_NULL;
    for (int p = 0; p < net->size; p++)
        for (int k = 0; k < PACKETS_IN && p != net->rank; k++)
            post(net, p, k);
    return 0;
}

static int free_out(const struct net *net, int peer, int *first)
{
    int count = 0;

    for (int k = PACKETS_OUT - 1; k >= 0; k--)
        if (net->states[out_request(peer, k)] == REQUEST_FREE) {
            *first = k;
            count++;
        }
    return count;
}

bool net_has_room(const struct net *net, int peer, bool urgent)
{
    int first;

    return free_out(net, peer, &first) > (urgent ? 0 : PACKETS_KEPT);
}

void net_tell(struct net *net, int peer, struct packet *packet, size_t size)
{
    const size_t bytes = offsetof(struct packet, body) + size;
    int k = 0;

    free_out(net, peer, &k);
    memcpy(&net->peers[peer].out[k], packet, bytes);
    MPI_Isend(&net->peers[peer].out[k], (int)bytes, MPI_BYTE, peer, TAG_PACKET, MPI_COMM_WORLD,
              &net->requests[out_request(peer, k)]);
    net->states[out_request(peer, k)] = REQUEST_ACTIVE;
}

static bool is_out(const struct net *net, int request)
{
    return request < net->first_transfer && request % (PACKETS_IN + PACKETS_OUT) >= PACKETS_IN;
}

static void complete(struct net *net, int request, MPI_Status *status)
{
    const int peer = request / (PACKETS_IN + PACKETS_OUT), k = request % (PACKETS_IN + PACKETS_OUT);
    int bytes = 0;

    net->states[request] = is_out(net, request) ? REQUEST_FREE : REQUEST_DONE;
    if (request >= net->first_transfer || k >= PACKETS_IN)
        return;
    MPI_Get_count(status, MPI_BYTE, &bytes);
    net->peers[peer].bytes[k] = (size_t)bytes;
}

bool net_move(struct net *net)
{
    int count = 0;

    MPI_Testsome(net->count, net->requests, &count, net->completed, net->statuses);
    for (int i = 0; i < count; i++)
        complete(net, net->completed[i], &net->statuses[i]);
    return count > 0;
}

const struct packet *net_next(struct net *net, int *peer, size_t *bytes)
{
    for (int tries = 0; tries < net->size; tries++, net->turn = (net->turn + 1) % net->size) {
        struct peer *from = &net->peers[net->turn];

        if (net->turn == net->rank)
            continue;
        if (from->taken) {
            from->taken = false;
            post(net, net->turn, from->next_in);
            from->next_in = (from->next_in + 1) % PACKETS_IN;
        }
        if (net->states[in_request(net->turn, from->next_in)] != REQUEST_DONE)
            continue;
        from->taken = true;
        *peer = net->turn;
        *bytes = from->bytes[from->next_in];
        return &from->in[from->next_in];
    }
    return NULL;
}

static int free_transfer(const struct net *net)
{
    for (int i = net->first_transfer; i < net->count; i++)
        if (net->states[i] == REQUEST_FREE)
            return i;
    return -1;
}

int net_send(struct net *net, int peer, int tag, const void *bytes, size_t size)
{
    const int i = free_transfer(net);

    if (i < 0)
        return -1;
    MPI_Isend(bytes, (int)(size / 4), MPI_FLOAT, peer, tag, MPI_COMM_WORLD, &net->requests[i]);
    net->states[i] = REQUEST_ACTIVE;
    net->transfers++;
    return i;
}

int net_receive(struct net *net, int peer, int tag, void *bytes, size_t size)
{
    const int i = free_transfer(net);

    if (i < 0)
        return -1;
    MPI_Irecv(bytes, (int)(size / 4), MPI_FLOAT, peer, tag, MPI_COMM_WORLD, &net->requests[i]);
    net->states[i] = REQUEST_ACTIVE;
    net->transfers++;
    return i;
}

bool net_is_done(struct net *net, int transfer)
{
    if (net->states[transfer] != REQUEST_DONE)
        return false;
    net->states[transfer] = REQUEST_FREE;
    net->transfers--;
    return true;
}

bool net_is_quiet(const struct net *net)
{
    return net->transfers == 0;
}

void net_close(struct net *net)
{
    for (int i = 0; i < net->count; i++)
        if (net->states[i] == REQUEST_ACTIVE && !is_out(net, i)) {
            MPI_Cancel(&net->requests[i]);
            MPI_Wait(&net->requests[i], MPI_STATUS_IGNORE);
        }
    MPI_Waitall(net->first_transfer, net->requests, MPI_STATUSES_IGNORE);
    MPI_Finalize();
    free(net->peers);
    free(net->requests);
    free(net->states);
    free(net->completed);
    free(net->statuses);
    free(net);
}
