/* Messages go to and fro as those of links do, from memory to memory without waiting in MPI. Where nothing moves for a while
 * on a machine whose turn it is not, its processor is left to others. */
#include "node/measure.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/numbers.h"

/* A large message takes so long, one way, that what a switch may hold, or a burst that it lets pass, hardly counts. */
enum { WAY_NS = 200000000, BYTES_MIN = 64 << 10, BYTES_MAX = 64 << 20 };

/* Of the smallest message; the fastest counts, as others have waited for a connection, or for a core. */
enum { ROUNDS = 50 };

enum { NAP_US = 200 };

/* MPI's tags, beside that of packets. */
enum { TAG_MESSAGE = 1, TAG_SIZE, TAG_TURN, TAG_FOUND };

struct found {
    double mbit, us;
};

static void finish(struct net *net, int transfer, bool naps)
{
    while (!net_is_done(net, transfer)) {
        if (net_move(net))
            continue;
        if (naps)
            usleep(NAP_US);
        else
            sched_yield();
    }
}

static void send_to(struct net *net, int peer, int tag, const void *bytes, size_t size)
{
    finish(net, net_send(net, peer, tag, bytes, size), false);
}

static void receive_from(struct net *net, int peer, int tag, void *bytes, size_t size)
{
    finish(net, net_receive(net, peer, tag, bytes, size), false);
}

/* What may come much later. */
static void await_from(struct net *net, int peer, int tag, void *bytes, size_t size)
{
    finish(net, net_receive(net, peer, tag, bytes, size), true);
}

/* Half of what it takes there and back. */
static uint64_t one_way_ns(struct net *net, int peer, void *bytes, size_t size)
{
    const uint64_t begun_ns = clock_now_ns();

    send_to(net, peer, TAG_MESSAGE, bytes, size);
    receive_from(net, peer, TAG_MESSAGE, bytes, size);
    return (clock_now_ns() - begun_ns) / 2;
}

/* The peer answers meanwhile. It is told the size of each large message before it comes, and 0 when none does. */
static struct found ask(struct net *net, int peer, unsigned char *bytes)
{
    uint64_t small_ns = UINT64_MAX, large_ns = 0;
    uint32_t size = BYTES_MIN / 2;

    for (int k = 0; k < ROUNDS; k++)
        small_ns = min_u64(small_ns, one_way_ns(net, peer, bytes, sizeof(uint32_t)));
    while (large_ns < WAY_NS && size < BYTES_MAX) {
        size *= 2;
        send_to(net, peer, TAG_SIZE, &size, sizeof(size));
        large_ns = one_way_ns(net, peer, bytes, size);
    }
    send_to(net, peer, TAG_SIZE, &(uint32_t){0}, sizeof(size));
    return (struct found){.mbit = 8e3 * size / (double)large_ns, .us = 1e-3 * (double)small_ns};
}

static void answer(struct net *net, int peer, unsigned char *bytes)
{
    uint32_t size = 0;

    for (int k = 0; k < ROUNDS; k++) {
        /* Other cables come before this one. */
        (k == 0 ? await_from : receive_from)(net, peer, TAG_MESSAGE, bytes, sizeof(uint32_t));
        send_to(net, peer, TAG_MESSAGE, bytes, sizeof(uint32_t));
    }
    for (receive_from(net, peer, TAG_SIZE, &size, sizeof(size)); size > 0 && size <= BYTES_MAX;
         receive_from(net, peer, TAG_SIZE, &size, sizeof(size))) {
        receive_from(net, peer, TAG_MESSAGE, bytes, size);
        send_to(net, peer, TAG_MESSAGE, bytes, size);
    }
}

/* Cable n leads from node n to the next. Node 0 says when its turn has come, and is told what was found. */
static void measure_one(struct net *net, int n, unsigned char *bytes)
{
    const int rank = net_rank(net), next = (n + 1) % net_size(net);
    struct found found = {.mbit = 0};
    uint32_t turn = 1;

    if (rank == 0 && n != 0)
        send_to(net, n, TAG_TURN, &turn, sizeof(turn));
    if (rank == n && n != 0)
        await_from(net, 0, TAG_TURN, &turn, sizeof(turn));
    if (rank == n)
        found = ask(net, next, bytes);
    if (rank == next)
        answer(net, n, bytes);
    if (rank == n && n != 0)
        send_to(net, 0, TAG_FOUND, &found, sizeof(found));
    if (rank == 0 && n != 0)
        await_from(net, n, TAG_FOUND, &found, sizeof(found));
    if (rank == 0) {
        printf("tpnode: cable %d: %.6g Mbit/s, %.4g us\n", n + 1, found.mbit, found.us);
        fflush(stdout);
    }
}

int measure_cables(struct net *net, int machines, struct error *error)
{
    const int size = net_size(net), cables = size > 2 ? size : 1;
    unsigned char *bytes;

    if (size != machines)
        return error_set(error, "%d nodes were started, but there are %d machines", size, machines);
    bytes = malloc(BYTES_MAX);
    if (!bytes || net_begin(net, 1, error))
        return error_set(error, "out of memory");
    memset(bytes, 1, BYTES_MAX);
    /* Nobody waits for ever, whoever has gone. */
    alarm((unsigned)(MEASURE_SECONDS * cables));
    for (int n = 0; n < cables; n++)
        measure_one(net, n, bytes);
    free(bytes);
    return 0;
}
