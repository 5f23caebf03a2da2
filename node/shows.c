/* What the parts here show of themselves, told to node 0, whose segment then shows it: so that there one run is seen. */
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "board/records.h"
#include "node/node.h"

/* A table that is just being rewritten is looked at again so often, and else in the next turn. */
enum { TABLE_TRIES = 10 };

/* Counters are of 4 and 8 bytes, each written by one process; they travel as words. */
typedef uint64_t word __attribute__((may_alias));

static void copy_counters(uint64_t *to, const struct counters *from)
{
    for (size_t i = 0; i < sizeof(*from) / sizeof(word); i++)
        to[i] = __atomic_load_n((const word *)from + i, __ATOMIC_RELAXED);
}

static void show_counters(struct counters *to, const uint64_t *from)
{
    for (size_t i = 0; i < sizeof(*to) / sizeof(word); i++)
        __atomic_store_n((word *)to + i, from[i], __ATOMIC_RELAXED);
}

static int32_t load(const _Atomic int32_t *field)
{
    return atomic_load_explicit(field, memory_order_acquire);
}

static int copy_versions(struct version_row rows[VERSION_USES_MAX], const struct version_table *table)
{
    for (int i = 0; i < TABLE_TRIES; i++) {
        const uint32_t sequence = atomic_load_explicit(&table->sequence, memory_order_acquire);
        const int count = max_int(0, min_int(load(&table->count), VERSION_USES_MAX));

        for (int k = 0; k < count; k++)
            rows[k] = (struct version_row){load(&table->rows[k].version), load(&table->rows[k].uses),
                                           load(&table->rows[k].stashed), load(&table->rows[k].stash_first),
                                           load(&table->rows[k].stash_last)};
        if (sequence % 2 == 0 && atomic_load_explicit(&table->sequence, memory_order_relaxed) == sequence)
            return count;
    }
    return -1;
}

static void show_versions(struct version_table *table, const struct version_row *rows, int count)
{
    const uint32_t sequence = atomic_load_explicit(&table->sequence, memory_order_relaxed);

    atomic_store_explicit(&table->sequence, sequence + 1, memory_order_relaxed);
    for (int k = 0; k < count; k++) {
        atomic_store_explicit(&table->rows[k].version, rows[k].version, memory_order_release);
        atomic_store_explicit(&table->rows[k].uses, rows[k].uses, memory_order_release);
        atomic_store_explicit(&table->rows[k].stashed, rows[k].stashed, memory_order_release);
        atomic_store_explicit(&table->rows[k].stash_first, rows[k].stash_first, memory_order_release);
        atomic_store_explicit(&table->rows[k].stash_last, rows[k].stash_last, memory_order_release);
    }
    atomic_store_explicit(&table->count, count, memory_order_release);
    /* Pairs with a reader's acquire load of sequence: the table is whole. */
    atomic_store_explicit(&table->sequence, sequence + 2, memory_order_release);
}

/* Before a state that says that the part has ended. */
static bool tell_texts(struct node *node, int k)
{
    const struct stage_block *block = segment_stage(&node->segment, k);
    struct packet packet = {.kind = PACKET_TEXTS, .index = k};

    if (node->parts[k - 1].texts)
        return true;
    if (!net_has_room(node->net, 0, false))
        return false;
    snprintf(packet.body.texts.error, sizeof(packet.body.texts.error), "%.*s", STAGE_ERROR_MAX - 1, block->error);
    snprintf(packet.body.texts.diverged, sizeof(packet.body.texts.diverged), "%.95s", block->diverged);
    net_tell(node->net, 0, &packet, sizeof(packet.body.texts));
    node->parts[k - 1].texts = true;
    return true;
}

static void copy_rings(const struct node *node, struct packet *packet)
{
    for (int direction = 0; direction < RING_DIRECTIONS; direction++) {
        struct ring_end end;

        ring_end_open(&end, &node->segment, packet->index, (enum ring_direction)direction);
        if (!end.ring)
            return;
        packet->body.block.published[direction] = atomic_load_explicit(&end.ring->published, memory_order_relaxed);
        packet->body.block.released[direction] = atomic_load_explicit(&end.ring->released, memory_order_relaxed);
    }
}

static void tell_block(struct node *node, int k)
{
    const struct stage_block *block = segment_stage(&node->segment, k);
    struct packet packet = {.kind = PACKET_BLOCK, .index = k};

    /* Pairs with the stage's store of its last state: all else that it shows is there. */
    packet.body.block.state = load(&block->state);
    if ((packet.body.block.state >= STAGE_DONE && !tell_texts(node, k)) || !net_has_room(node->net, 0, false))
        return;
    packet.body.block.pid = load(&block->pid);
    packet.body.block.applied = load(&block->applied);
    packet.body.block.activity = atomic_load_explicit(&block->activity, memory_order_relaxed);
    packet.body.block.since_ns = atomic_load_explicit(&block->activity_since_ns, memory_order_relaxed);
    packet.body.block.processor_ns = clock_process_ns(packet.body.block.pid);
    copy_rings(node, &packet);
    copy_counters(packet.body.block.counters, &block->counters);
    packet.body.block.version_count = copy_versions(packet.body.block.versions, &block->versions);
    net_tell(node->net, 0, &packet,
             offsetof(struct packet, body.block.versions) - offsetof(struct packet, body) +
                 (size_t)max_int(packet.body.block.version_count, 0) * sizeof(struct version_row));
}

/* Of a link that does not touch the coordinator's machine; its own rings are the truth there. */
static void show_rings(struct node *node, const struct packet *packet)
{
    const int link = packet->index;

    for (int direction = 0; direction < RING_DIRECTIONS && link < node->plan->part_count; direction++) {
        struct ring_end end;

        if (segment_is_here(&node->segment, plan_stage_of(node->plan, link)) ||
            segment_is_here(&node->segment, plan_stage_of(node->plan, link + 1)))
            return;
        ring_end_open(&end, &node->segment, link, (enum ring_direction)direction);
        atomic_store_explicit(&end.ring->published, packet->body.block.published[direction], memory_order_relaxed);
        atomic_store_explicit(&end.ring->released, packet->body.block.released[direction], memory_order_relaxed);
    }
}

static void show_block(struct node *node, int machine, const struct packet *packet)
{
    struct stage_block *block = segment_stage(&node->segment, packet->index);
    const uint64_t since_ns = packet->body.block.since_ns;
    const bool changed = atomic_load(&block->state) != packet->body.block.state;

    show_counters(&block->counters, packet->body.block.counters);
    if (packet->body.block.version_count >= 0)
        show_versions(&block->versions, packet->body.block.versions,
                      min_int(packet->body.block.version_count, VERSION_USES_MAX));
    show_rings(node, packet);
    atomic_store(&block->processor_ns, packet->body.block.processor_ns);
    atomic_store(&block->activity_since_ns, since_ns > 0 ? clocks_here(node, machine, since_ns) : 0);
    atomic_store(&block->activity, packet->body.block.activity);
    atomic_store(&block->applied, packet->body.block.applied);
    atomic_store(&block->pid, packet->body.block.pid);
    atomic_store(&block->state, packet->body.block.state);
    if (changed)
        kill(node->segment.header->coordinator_pid, SIGCHLD);
}

/* As many as there is room for. */
static bool tell_records(struct node *node, int k)
{
    const struct telemetry *telemetry = &segment_stage(&node->segment, k)->telemetry;
    /* Pairs with record_write(): the records are whole. */
    const uint64_t head = atomic_load_explicit(&telemetry->head, memory_order_acquire);
    uint64_t *told = &node->parts[k - 1].records;
    struct packet packet = {.kind = PACKET_RECORDS, .index = k};
    uint64_t count = 0;

    if (head == *told || !net_has_room(node->net, 0, false))
        return false;
    if (head - *told >= TELEMETRY_RECORDS)
        *told = head - TELEMETRY_RECORDS / 2;
    for (; *told < head && count < PACKET_RECORDS_MAX; (*told)++)
        if (record_read(telemetry, *told, &packet.body.records.records[count]))
            count++;
    packet.body.records.count = count;
    net_tell(node->net, 0, &packet,
             offsetof(struct packet, body.records.records) - offsetof(struct packet, body) +
                 count * sizeof(struct op_record));
    return true;
}

static void show_records(struct node *node, int machine, const struct packet *packet)
{
    struct telemetry *telemetry = &segment_stage(&node->segment, packet->index)->telemetry;

    for (uint64_t i = 0; i < min_u64(packet->body.records.count, PACKET_RECORDS_MAX); i++) {
        struct op_record record = packet->body.records.records[i];
        const uint64_t took = record.end_ns - record.start_ns;

        record.start_ns = clocks_here(node, machine, record.start_ns);
        record.end_ns = record.start_ns + took;
        record.wait_ns = min_u64(record.wait_ns, record.start_ns);
        record.wait_core_ns = min_u64(record.wait_core_ns, record.wait_ns);
        record_write(telemetry, &record);
    }
}

static void show_texts(struct node *node, const struct packet *packet)
{
    struct stage_block *block = segment_stage(&node->segment, packet->index);

    snprintf(block->error, sizeof(block->error), "%.*s", STAGE_ERROR_MAX - 1, packet->body.texts.error);
    snprintf(block->diverged, sizeof(block->diverged), "%.95s", packet->body.texts.diverged);
}

/* From the machine of the last part. What the first part has of them is on the coordinator's. */
static bool tell_epochs(struct node *node)
{
    const int done = load(&node->segment.board->epochs_done);
    struct packet packet = {.kind = PACKET_EPOCH, .index = node->epochs + 1};

    if (!segment_is_here(&node->segment, plan_stage_of(node->plan, node->plan->part_count)) || node->epochs >= done ||
        !net_has_room(node->net, 0, false))
        return false;
    packet.body.epoch = node->segment.board->epochs[node->epochs++];
    net_tell(node->net, 0, &packet, sizeof(packet.body.epoch));
    return true;
}

static void show_epoch(struct node *node, int machine, const struct packet *packet)
{
    struct epoch_result *result = &node->segment.board->epochs[packet->index - 1];
    const struct epoch_result own = *result;

    *result = packet->body.epoch;
    result->start_ns = own.start_ns;
    result->trained_ns = own.trained_ns;
    result->end_ns = max_u64(clocks_here(node, machine, packet->body.epoch.end_ns), own.trained_ns);
    /* Pairs with the coordinator's acquire load. */
    atomic_store_explicit(&node->segment.board->epochs_done, packet->index, memory_order_release);
}

static bool is_here(const struct node *node, int part)
{
    return segment_is_here(&node->segment, plan_stage_of(node->plan, part));
}

/* Stages whose process has ended, when nothing is left to tell of them. */
static void tell_ended(struct node *node)
{
    for (int s = 1; s <= node->plan->stage_count; s++) {
        struct packet packet = {.kind = PACKET_ENDED, .index = s, .body.status = node->ended[s - 1]};

        if (node->ended[s - 1] == 0 || !net_has_room(node->net, 0, false))
            continue;
        for (int k = 1; k <= node->plan->part_count; k++)
            if (plan_stage_of(node->plan, k) == s)
                tell_block(node, k);
        if (!net_has_room(node->net, 0, false))
            return;
        net_tell(node->net, 0, &packet, sizeof(packet.body.status));
        node->ended[s - 1] = 0;
    }
}

bool shows_all_told(const struct node *node)
{
    for (int k = 1; k <= node->plan->part_count; k++)
        if (is_here(node, k) &&
            atomic_load(&segment_stage(&node->segment, k)->telemetry.head) != node->parts[k - 1].records)
            return false;
    return true;
}

bool shows_move(struct node *node)
{
    bool more = false;

    if (node->machine == 0)
        return false;
    for (int k = 1; k <= node->plan->part_count; k++) {
        if (!is_here(node, k))
            continue;
        while (tell_records(node, k))
            ;
        tell_block(node, k);
        more |= atomic_load(&segment_stage(&node->segment, k)->telemetry.head) != node->parts[k - 1].records;
    }
    while (tell_epochs(node))
        ;
    if (!more && files_all_told(node))
        tell_ended(node);
    return more;
}

void shows_heard(struct node *node, int peer, const struct packet *packet)
{
    const int count = packet->kind == PACKET_EPOCH   ? node->plan->config.run.epochs
                      : packet->kind == PACKET_ENDED ? node->plan->stage_count
                                                     : node->plan->part_count;

    if (packet->index < 1 || packet->index > count)
        return;
    switch (packet->kind) {
    case PACKET_BLOCK:
        show_block(node, peer, packet);
        break;
    case PACKET_RECORDS:
        show_records(node, peer, packet);
        break;
    case PACKET_TEXTS:
        show_texts(node, packet);
        break;
    case PACKET_EPOCH:
        show_epoch(node, peer, packet);
        break;
    default:
        /* Pairs with processes_reap(): all that is told of the stage is there. */
        atomic_store_explicit(&segment_stage(&node->segment, packet->index)->ended, packet->body.status | STAGE_ENDED,
                              memory_order_release);
        kill(node->segment.header->coordinator_pid, SIGCHLD);
    }
}
