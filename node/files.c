/* Files of checkpoints: what the parts here have saved goes to node 0, which writes it into the run folder and only then shows
 * it as saved; what a run goes on from comes from there before the stages start. A file at a time goes each way. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/numbers.h"
#include "node/node.h"

/* A transfer's, so that links' messages do not wait long behind one. */
enum { CHUNK_BYTES = 256 << 10 };

/* Above those of rings. */
enum { TAG_FILE = 1 + RING_DIRECTIONS * MAX_PARTS };

static int open_set(const struct node *node, const char *set)
{
    return checkpoint_open_folder(node->folder, set);
}

int files_begin_send(struct node *node, int peer, const char *set, const char *name)
{
    struct parcel *parcel = &node->sends[peer];
    struct packet packet = {.kind = PACKET_FILE};
    const int folder = open_set(node, set);
    const void *bytes = NULL;
    struct error ignored;
    size_t size = 0;

    if (folder >= 0) {
        file_map_in(folder, set, name, &bytes, &size, &ignored);
        close(folder);
    }
    if (!bytes)
        return -1;
    *parcel = (struct parcel){.going = true, .bytes = (void *)(uintptr_t)bytes, .size = size};
    memcpy(packet.body.file.set, set, strlen(set) + 1);
    memcpy(packet.body.file.name, name, strlen(name) + 1);
    packet.body.file.bytes = size;
    net_tell(node->net, peer, &packet, sizeof(packet.body.file));
    return 0;
}

/* Whole words travel; a file's last bytes go with some that are cut off again. */
static size_t in_words(size_t bytes)
{
    return (bytes + 3) / 4 * 4;
}

static bool move_send(struct node *node, int peer)
{
    struct parcel *parcel = &node->sends[peer];

    if (parcel->under_way > 0) {
        if (!net_is_done(node->net, parcel->transfer))
            return false;
        parcel->moved += parcel->under_way;
        parcel->under_way = 0;
    }
    if (!parcel->going || parcel->moved == parcel->size)
        return false;
    const size_t size = parcel->size - parcel->moved < CHUNK_BYTES ? parcel->size - parcel->moved : CHUNK_BYTES;
    const int transfer =
        net_send(node->net, peer, TAG_FILE, (unsigned char *)parcel->bytes + parcel->moved, in_words(size));

    if (transfer < 0)
        return false;
    parcel->transfer = transfer;
    parcel->under_way = size;
    return true;
}

void files_stored(struct node *node, int peer, const struct packet *packet)
{
    struct parcel *parcel = &node->sends[peer];

    if (!parcel->going)
        return;
    file_unmap(parcel->bytes, parcel->size);
    parcel->going = false;
    parcel->reason = packet->body.reason;
}

static bool is_name(const char *name)
{
    return memchr(name, '\0', CHECKPOINT_NAME_MAX) && name[0] && name[0] != '.' && !strchr(name, '/');
}

void files_file(struct node *node, int peer, const struct packet *packet)
{
    struct parcel *parcel = &node->comes[peer];

    *parcel = (struct parcel){.going = true, .size = packet->body.file.bytes, .folder = -1, .bytes = parcel->bytes};
    if (!parcel->bytes)
        parcel->bytes = malloc(CHUNK_BYTES);
    if (!parcel->bytes || !is_name(packet->body.file.set) || !is_name(packet->body.file.name)) {
        node_fail(node, "a file came that cannot be a checkpoint's");
        parcel->going = false;
        return;
    }
    parcel->folder = checkpoint_make_folder(node->folder, packet->body.file.set);
    if (parcel->folder < 0 || new_file_open(&parcel->file, parcel->folder, packet->body.file.name))
        parcel->reason = errno;
}

static void end_file(struct node *node, int peer)
{
    struct parcel *parcel = &node->comes[peer];
    struct packet packet = {.kind = PACKET_STORED};

    if (parcel->file.stream) {
        if (parcel->reason)
            new_file_discard(&parcel->file);
        else if (new_file_finish(&parcel->file))
            parcel->reason = errno;
    }
    if (parcel->folder >= 0)
        close(parcel->folder);
    parcel->going = false;
    packet.body.reason = parcel->reason;
    net_tell(node->net, peer, &packet, sizeof(packet.body.reason));
}

/* After a failure the rest comes and goes nowhere. */
static bool move_come(struct node *node, int peer)
{
    struct parcel *parcel = &node->comes[peer];

    if (!parcel->going)
        return false;
    if (parcel->under_way > 0) {
        if (!net_is_done(node->net, parcel->transfer))
            return false;
        if (!parcel->reason && fwrite(parcel->bytes, 1, parcel->under_way, parcel->file.stream) != parcel->under_way)
            parcel->reason = errno;
        parcel->moved += parcel->under_way;
        parcel->under_way = 0;
    }
    if (parcel->moved < parcel->size) {
        const size_t size = parcel->size - parcel->moved < CHUNK_BYTES ? parcel->size - parcel->moved : CHUNK_BYTES;
        const int transfer = net_receive(node->net, peer, TAG_FILE, parcel->bytes, in_words(size));

        if (transfer < 0)
            return false;
        parcel->transfer = transfer;
        parcel->under_way = size;
        return true;
    }
    if (!net_has_room(node->net, peer, false))
        return false;
    end_file(node, peer);
    return true;
}

/* The stage's stores before that of `state`, or of `passing.at`, are there. */
static bool begin_saving(struct node *node, int k)
{
    const struct stage_block *block = segment_stage(&node->segment, k);
    struct told_part *told = &node->parts[k - 1];
    struct saving *saving = &node->saving;
    const uint64_t passing = atomic_load_explicit(&block->passing.at, memory_order_acquire);

    if (passing != told->passed) {
        *saving = (struct saving){.part = k, .epoch = (int)(passing >> 33), .passing = passing};
        memcpy(&saving->file, &block->passing.file, sizeof(saving->file));
        memcpy(saving->versions, block->passing.versions, sizeof(saving->versions));
        told->passed = passing;
        return true;
    }
    if (told->epoch < node->plan->config.run.epochs &&
        atomic_load_explicit(&block->saved[told->epoch].state, memory_order_acquire) != SAVED_NOT_YET) {
        *saving = (struct saving){.part = k, .epoch = told->epoch + 1};
        memcpy(&saving->file, &block->saved[told->epoch], sizeof(saving->file));
        memcpy(saving->versions, block->saved_versions, sizeof(saving->versions));
        told->epoch++;
        return true;
    }
    return false;
}

static struct saved_file *next_file(struct saving *saving)
{
    return saving->next < MAX_STAGES ? &saving->versions[saving->next] : &saving->file;
}

static bool is_sent(const struct node *node, const struct saving *saving, const struct saved_file *file)
{
    const bool whole = saving->file.number == node->plan->minibatches_per_epoch;

    return atomic_load(&file->state) == SAVED && (file == &saving->file || !whole);
}

static void name_file(const struct node *node, struct saving *saving, const struct saved_file *file)
{
    const bool whole = saving->file.number == node->plan->minibatches_per_epoch;

    checkpoint_set_name(saving->epoch, whole ? 0 : saving->file.number, saving->set);
    checkpoint_file_name(saving->part, file == &saving->file ? -1 : file->number, saving->name);
}

/* It is on node 0's disk, or cannot be. */
static void forget_file(struct node *node, struct saving *saving)
{
    const int folder = open_set(node, saving->set);

    if (node->sends[0].reason)
        atomic_store(&next_file(saving)->state, -node->sends[0].reason);
    if (folder < 0)
        return;
    unlinkat(folder, saving->name, 0);
    close(folder);
}

static bool tell_saved(struct node *node, struct saving *saving)
{
    const struct stage_block *block = segment_stage(&node->segment, saving->part);
    struct packet packet = {.kind = PACKET_SAVED, .index = saving->part};

    if (!net_has_room(node->net, 0, false))
        return false;
    packet.body.saved.epoch = saving->epoch;
    packet.body.saved.passing = saving->passing;
    memcpy(&packet.body.saved.file, &saving->file, sizeof(saving->file));
    memcpy(packet.body.saved.versions, saving->versions, sizeof(saving->versions));
    packet.body.saved.sums = saving->passing ? block->passing.sums : block->sums[saving->epoch - 1];
    net_tell(node->net, 0, &packet, sizeof(packet.body.saved));
    saving->part = 0;
    return true;
}

static bool move_saving(struct node *node)
{
    struct saving *saving = &node->saving;

    if (saving->part == 0) {
        for (int k = 1; k <= node->plan->part_count && saving->part == 0; k++)
            if (segment_is_here(&node->segment, plan_stage_of(node->plan, k)))
                begin_saving(node, k);
        return saving->part != 0;
    }
    if (node->sends[0].going)
        return false;
    if (saving->name[0]) {
        forget_file(node, saving);
        saving->name[0] = '\0';
        saving->next++;
    }
    while (saving->next <= MAX_STAGES && !is_sent(node, saving, next_file(saving)))
        saving->next++;
    if (saving->next > MAX_STAGES)
        return tell_saved(node, saving);
    if (!net_has_room(node->net, 0, false))
        return false;
    name_file(node, saving, next_file(saving));
    if (files_begin_send(node, 0, saving->set, saving->name)) {
        atomic_store(&next_file(saving)->state, -EIO);
        saving->name[0] = '\0';
    }
    return true;
}

static void show_file(struct saved_file *to, const struct saved_file *from)
{
    to->number = from->number;
    to->bytes = from->bytes;
    to->crc32 = from->crc32;
    /* Pairs with the coordinator's acquire load, as the stage's own would. */
    atomic_store_explicit(&to->state, atomic_load(&from->state), memory_order_release);
}

void files_saved(struct node *node, const struct packet *packet)
{
    struct stage_block *block;
    struct saved_file *file, *versions;

    if (packet->index < 1 || packet->index > node->plan->part_count || packet->body.saved.epoch < 1 ||
        packet->body.saved.epoch > node->plan->config.run.epochs)
        return;
    block = segment_stage(&node->segment, packet->index);
    file = packet->body.saved.passing ? &block->passing.file : &block->saved[packet->body.saved.epoch - 1];
    versions = packet->body.saved.passing ? block->passing.versions : block->saved_versions;
    for (int v = 0; v < MAX_STAGES; v++)
        show_file(&versions[v], &packet->body.saved.versions[v]);
    if (packet->body.saved.passing)
        block->passing.sums = packet->body.saved.sums;
    else
        block->sums[packet->body.saved.epoch - 1] = packet->body.saved.sums;
    show_file(file, &packet->body.saved.file);
    if (packet->body.saved.passing)
        atomic_store_explicit(&block->passing.at, packet->body.saved.passing, memory_order_release);
}

bool files_all_told(const struct node *node)
{
    if (node->saving.part != 0 || node->sends[0].going)
        return false;
    for (int k = 1; k <= node->plan->part_count; k++) {
        const struct stage_block *block = segment_stage(&node->segment, k);
        const struct told_part *told = &node->parts[k - 1];

        if (segment_is_here(&node->segment, plan_stage_of(node->plan, k)) &&
            (atomic_load(&block->passing.at) != told->passed ||
             (told->epoch < node->plan->config.run.epochs &&
              atomic_load(&block->saved[told->epoch].state) != SAVED_NOT_YET)))
            return false;
    }
    return true;
}

bool files_move(struct node *node)
{
    bool moved = node->machine != 0 && move_saving(node);

    for (int peer = 0; peer < node->machines; peer++) {
        moved |= move_send(node, peer);
        moved |= move_come(node, peer);
    }
    return moved;
}
