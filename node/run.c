/* A node's run, from the plan to the end. It sleeps on its doorbell, which stages ring, and looks for what comes over the
 * network the more seldom the longer nothing has: MPI can wake nobody. */
#include "node/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "base/version.h"
#include "board/guard.h"
#include "node/node.h"

/* Between two looks at what moves slowly: blocks, records, processes, clocks. */
enum { LOOK_MS = 20 };

/* A nap lasts a share of the time in which nothing has moved, but no longer. */
enum { NAP_SHARE = 4, NAP_MAX_US = 1000 };

/* For those who are told to end. */
enum { GRACE_SECONDS = 3 };

/* Transfers beside those of links: a file each way with each peer. */
enum { FILES_EACH = 2 };

static void fill_line(char line[NET_LINE_MAX])
{
    const uint32_t order = 0x01020304;
    unsigned char bytes[sizeof(order)];

    memset(line, 0, NET_LINE_MAX);
    memcpy(bytes, &order, sizeof(order));
    snprintf(line, NET_LINE_MAX, "tp %s, byte order %d%d%d%d, sizes %zu %zu %zu %zu %zu", version_text(), bytes[0],
             bytes[1], bytes[2], bytes[3], sizeof(struct segment_header), sizeof(struct board),
             sizeof(struct stage_block), sizeof(struct packet), sizeof(size_t));
}

/* Node 0: the coordinator's segment, by its name, and its run folder. */
static int open_coordinators(struct node *node, const char *name, struct error *error)
{
    const int fd = shm_open(name, O_RDWR | O_NONBLOCK, 0);
    char path[64];

    if (fd < 0)
        return error_set(error,
                         "there is no run %s on this machine: the first of the hosts must be the one that "
                         "tpcoord runs on",
                         name);
    if (segment_attach(&node->segment, fd, rings_bytes, error))
        return -1;
    node->plan = &node->segment.header->plan;
    node->machines = plan_machines(node->plan);
    node->coordinator = (int)syscall(SYS_pidfd_open, node->segment.header->coordinator_pid, 0);
    snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)node->segment.header->coordinator_pid,
             node->segment.header->folder);
    node->folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return 0;
}

/* Whether all agree on what they are; node 0 says on its board who does not. */
static int agree(struct node *node, const char *name, struct error *error)
{
    char line[NET_LINE_MAX], others[NET_LINE_MAX] = "";
    int32_t go_on = 1;
    int other;

    fill_line(line);
    if (node->machine == 0 && open_coordinators(node, name, error))
        go_on = 0;
    net_broadcast(node->net, &go_on, sizeof(go_on));
    if (!go_on)
        return node->machine == 0 ? -1 : error_set(error, "node 0 has no run");
    if (!net_agree(node->net, line, &other, others)) {
        error_set(error, "another build of tp is on that machine (%s); here it is %s", others, line);
        if (node->machine == 0)
            hear_failed(node, other, error->text);
        return node->machine == 0 ? -1 : error_set(error, "its build is not that of node 0");
    }
    return 0;
}

static bool is_over(const struct node *node)
{
    return atomic_load(&node->segment.board->abort) || atomic_load(&node->segment.board->dismissed);
}

static void show_own(struct node *node)
{
    char host[64] = "";

    gethostname(host, sizeof(host) - 1);
    hear_present(node, 0, host, (int)getpid());
}

/* Node 0: sends each peer the files from which the run goes on, one after the other, and then word to start. */
static bool supply(struct node *node)
{
    struct packet packet = {.kind = PACKET_START};
    bool moved = false;

    for (int peer = 1; node->machine == 0 && peer < node->machines; peer++) {
        int *next = &node->supplied[peer];

        if (*next > node->supply_count || node->lost[peer] || node->sends[peer].going ||
            !net_has_room(node->net, peer, true))
            continue;
        if (node->sends[peer].reason)
            node_fail(node, "machine %s cannot store the checkpoint: %s", node->plan->machines[peer].host,
                      strerror(node->sends[peer].reason));
        else if (*next == node->supply_count)
            net_tell(node->net, peer, &packet, 0);
        else if (files_begin_send(node, peer, node->segment.header->start.set, node->supplies[*next]))
            node_fail(node, "cannot read %s of the checkpoint", node->supplies[*next]);
        (*next)++;
        moved = true;
    }
    return moved;
}

static void reap(struct node *node)
{
    int stage, status;

    while ((stage = processes_reap(&node->processes, &status)) != 0)
        node->ended[stage - 1] = status | STAGE_ENDED;
}

static void tell_failed(struct node *node)
{
    struct packet packet = {.kind = PACKET_FAILED};

    if (!node->failed || node->told_failed)
        return;
    segment_abort(&node->segment);
    if (node->machine == 0) {
        hear_failed(node, 0, node->error.text);
    } else {
        if (!net_has_room(node->net, 0, false))
            return;
        snprintf(packet.body.error, sizeof(packet.body.error), "%.*s", (int)sizeof(packet.body.error) - 1,
                 node->error.text);
        net_tell(node->net, 0, &packet, sizeof(packet.body.error));
    }
    node->told_failed = true;
}

/* The launcher ends a job's nodes so, and kills them a moment later. On the coordinator's machine the run is the
 * coordinator's to end: it learns from the launcher why. */
static void obey_launcher(struct node *node)
{
    struct pollfd asked = {.fd = node->asked, .events = POLLIN};
    int status;

    if (node->asked < 0 || poll(&asked, 1, 0) <= 0)
        return;
    if (node->machine == 0)
        _exit(1);
    segment_abort(&node->segment);
    processes_kill(&node->processes);
    while (node->processes.running > 0)
        if (!processes_reap(&node->processes, &status))
            usleep(1000);
    if (node->folder_path[0])
        file_remove_tree(AT_FDCWD, node->folder_path);
    _exit(1);
}

/* Whoever has killed it may have killed its stages as well, which would have removed the run's name. */
static void watch_coordinator(struct node *node)
{
    struct pollfd process = {.fd = node->coordinator, .events = POLLIN};

    if (node->machine != 0 || node->coordinator < 0 || poll(&process, 1, 0) <= 0)
        return;
    segment_abort(&node->segment);
    segment_unlink(node->segment.header->name);
}

/* What moves slowly. */
static bool look(struct node *node, uint64_t now_ns)
{
    if (now_ns < node->looked_ns + LOOK_MS * 1000000ull)
        return false;
    node->looked_ns = now_ns;
    obey_launcher(node);
    watch_coordinator(node);
    clocks_look(node, now_ns);
    tell_failed(node);
    reap(node);
    if (is_over(node) && node->ending_ns == 0)
        node->ending_ns = now_ns + GRACE_SECONDS * 1000000000ull;
    if (node->ending_ns > 0 && now_ns > node->ending_ns)
        processes_kill(&node->processes);
    return shows_move(node);
}

/* A peer from which nothing more is expected. */
static bool all_left(const struct node *node)
{
    for (int peer = 1; peer < node->machines; peer++)
        if (!node->left[peer] && !node->lost[peer])
            return false;
    return true;
}

static bool all_told(const struct node *node)
{
    for (int s = 0; s < node->plan->stage_count; s++)
        if (node->ended[s])
            return false;
    return node->processes.running == 0 && shows_all_told(node) && files_all_told(node);
}

/* In order: the others say goodbye when all is told, and node 0 lets them go when all have. */
static bool may_leave(struct node *node)
{
    const int first = node->machine == 0 ? 1 : 0, end = node->machine == 0 ? node->machines : 1;
    struct packet packet = {.kind = node->machine == 0 ? PACKET_END : PACKET_BYE};

    if (node->machine != 0 && node->lost[0])
        return node->processes.running == 0;
    if (node->told_bye || !is_over(node) || !(node->machine == 0 ? all_left(node) : all_told(node)))
        return node->told_bye && (node->machine == 0 || node->end);
    for (int peer = first; peer < end; peer++)
        if (!node->lost[peer])
            net_tell(node->net, peer, &packet, 0);
    node->told_bye = true;
    return node->machine == 0;
}

static void nap(struct node *node, uint64_t now_ns, uint64_t moved_ns)
{
    const uint64_t idle_ns = now_ns - moved_ns;

    doorbell_wait(&node->segment.board->node, &node->heard,
                  now_ns + min_u64(idle_ns / NAP_SHARE, NAP_MAX_US * 1000ull));
}

static void serve(struct node *node)
{
    uint64_t moved_ns = clock_now_ns(), now_ns;

    while (!may_leave(node)) {
        bool moved;

        doorbell_silence(&node->segment.board->node, &node->heard);
        now_ns = clock_now_ns();
        moved = net_move(node->net);
        moved |= hear_move(node);
        moved |= words_move(node);
        moved |= links_move(node);
        moved |= files_move(node);
        moved |= supply(node);
        moved |= look(node, now_ns);
        if (moved)
            moved_ns = clock_now_ns();
        else
            nap(node, now_ns, moved_ns);
    }
}

/* Node 0: the files of the set from which the run goes on. */
static int list_set(struct node *node, struct error *error)
{
    const struct start *start = &node->segment.header->start;
    const int folder = start->set[0] ? checkpoint_open_folder(node->folder, start->set) : -1;
    DIR *directory = folder < 0 ? NULL : fdopendir(folder);
    const struct dirent *entry;
    int stage, version;

    if (!start->set[0])
        return 0;
    if (!directory)
        return error_set(error, "cannot read the checkpoint %s: %s", start->set, strerror(errno));
    node->supplies = calloc(SUPPLIES_MAX, sizeof(*node->supplies));
    while (node->supplies && (entry = readdir(directory)) && node->supply_count < SUPPLIES_MAX)
        if (checkpoint_parse_file_name(entry->d_name, &stage, &version))
            snprintf(node->supplies[node->supply_count++], CHECKPOINT_NAME_MAX, "%.*s", CHECKPOINT_NAME_MAX - 1,
                     entry->d_name);
    closedir(directory);
    return node->supplies ? 0 : error_set(error, "out of memory");
}

static int share_plan(struct node *node, struct segment_header *header, struct error *error)
{
    if (node->machine == 0)
        *header = *node->segment.header;
    net_broadcast(node->net, header, sizeof(*header));
    node->plan = &header->plan;
    node->machines = plan_machines(node->plan);
    if (node->machines != net_size(node->net))
        return error_set(error, "%d nodes were started, but the run has %d machines", net_size(node->net),
                         node->machines);
    return 0;
}

/* The segment of a machine that is not the coordinator's. It never gets a name: so nothing stays of it, whoever is killed. */
static int make_segment(struct node *node, const struct segment_header *from, struct error *error)
{
    struct segment_header *header;

    if (plan_check(node->plan, error) || folder_make(node, error) ||
        segment_create(&node->segment, node->plan, rings_bytes, from->run_folder[0] ? node->folder_path : "", error))
        return -1;
    header = node->segment.header;
    header->name[0] = '\0';
    header->machine = node->machine;
    header->interactive = from->interactive;
    header->start = from->start;
    header->folder = node->folder;
    snprintf(header->lent_folder, sizeof(header->lent_folder), "%s", node->folder_path);
    segment_seal(&node->segment);
    return 0;
}

static void begin_telling(struct node *node)
{
    const struct start *start = &node->segment.header->start;
    const bool trained = start->filled_after + start->replayed >= node->plan->minibatches_per_epoch;

    for (int k = 0; k < node->plan->part_count; k++)
        node->parts[k].epoch = start->epoch - 1 + trained;
    node->epochs = start->epoch - 1;
    atomic_store(&node->segment.board->epochs_done, node->epochs);
    for (int peer = 0; peer < node->machines; peer++)
        node->heard_ns[peer] = clock_now_ns();
}

/* This node cannot even begin: says so to node 0. */
static void give_up(struct node *node)
{
    const uint64_t until_ns = clock_now_ns() + GRACE_SECONDS * 1000000000ull;
    struct packet failed = {.kind = PACKET_FAILED}, bye = {.kind = PACKET_BYE};
    const struct packet *packet = NULL;
    size_t bytes;
    int peer;

    snprintf(failed.body.error, sizeof(failed.body.error), "%.*s", (int)sizeof(failed.body.error) - 1,
             node->error.text);
    net_tell(node->net, 0, &failed, sizeof(failed.body.error));
    net_tell(node->net, 0, &bye, 0);
    while (clock_now_ns() < until_ns && !(packet && packet->kind == PACKET_END)) {
        net_move(node->net);
        packet = net_next(node->net, &peer, &bytes);
        usleep(1000);
    }
}

static int join(struct node *node, const char *name, struct segment_header *header, struct error *error)
{
    const int parts_transfers = 2 * FILES_EACH * net_size(node->net);

    if (agree(node, name, error) || share_plan(node, header, error))
        return -1;
    if (node->machine != 0 && make_segment(node, header, &node->error))
        node->failed = true;
    else
        node->plan = &node->segment.header->plan;
    if (!node->failed && links_find(node, error))
        return -1;
    if (net_begin(node->net, parts_transfers + links_transfers(node), error))
        return -1;
    return node->machine == 0 ? list_set(node, error) : 0;
}

static void leave(struct node *node)
{
    const bool orderly = net_is_quiet(node->net) && !node->silent;

    if (node->folder_path[0])
        file_remove_tree(AT_FDCWD, node->folder_path);
    if (node->machine == 0)
        for (int m = 0; m < node->machines; m++) {
            struct machine_word *word = &node->segment.board->machines[m];
            int32_t present = MACHINE_PRESENT;

            atomic_compare_exchange_strong(&word->state, &present, MACHINE_ENDED);
        }
    links_free(node);
    free(node->supplies);
    /* Work that is under way with others who have ended, or are not heard of, would never be done. */
    if (!orderly)
        _exit(node->silent);
    net_close(node->net);
}

int node_run(struct net *net, const char *name, struct error *error)
{
    struct segment_header *header = calloc(1, sizeof(*header));
    struct node *node = calloc(1, sizeof(*node));
    sigset_t asked;

    if (!header || !node)
        return error_set(error, "out of memory");
    guard_install();
    node->net = net;
    node->machine = net_rank(net);
    node->folder = node->coordinator = -1;
    sigemptyset(&asked);
    sigaddset(&asked, SIGTERM);
    node->asked = signalfd(-1, &asked, SFD_CLOEXEC);
    if (join(node, name, header, error))
        return -1;
    if (node->failed) {
        give_up(node);
        *error = node->error;
        if (node->folder_path[0])
            file_remove_tree(AT_FDCWD, node->folder_path);
        return -1;
    }
    begin_telling(node);
    if (node->machine == 0)
        show_own(node);
    serve(node);
    const bool failed = node->failed;
    *error = node->error;
    if (failed)
        fprintf(stderr, "tpnode (%s): %s\n", node->plan->machines[node->machine].host, error->text);
    leave(node);
    segment_close(&node->segment);
    free(header);
    free(node);
    return 0;
}
