/* The states that were seen, each by a fingerprint of all that what is to come depends on. */
#include <stdlib.h>
#include <string.h>

#include "tests/executor/explorer.h"

struct fingerprint {
    uint64_t a, b;
};

/* A hash table. */
static struct {
    struct fingerprint *prints; /* [capacity] */
    size_t capacity, count;
} table;

static void add_number(struct fingerprint *print, uint64_t number)
{
    print->a = (print->a ^ number) * 1099511628211u; /* FNV-1a, on words */
    print->a ^= print->a >> 32;
    print->b = (print->b + number + 1) * 6364136223846793005u;
    print->b ^= print->b >> 29;
}

/* `size`: of whole words. */
static void add(struct fingerprint *print, const void *bytes, size_t size)
{
    uint64_t word;

    for (size_t i = 0; i < size; i += sizeof(word)) {
        memcpy(&word, (const unsigned char *)bytes + i, sizeof(word));
        add_number(print, word);
    }
}

static void add_ring(struct fingerprint *print, const struct ring_end *end)
{
    add_number(print, ring_published(end));
    add_number(print, ring_room(end));
    add_number(print, end->messages);
    for (uint64_t k = end->messages; k < ring_published(end); k++)
        add_number(print, (uint64_t)ring_message(end, k)->version);
}

static void add_part(struct fingerprint *print, const struct compute *compute)
{
    const struct part *part = &compute->part;
    const struct phase_run *phase = &part->phase;
    const int numbers[] = {phase->kind,
                           phase->epoch,
                           phase->schedule.minibatches,
                           phase->progress.forwards,
                           phase->progress.backwards,
                           phase->progress.weight_backwards,
                           (int)part->slots_before,
                           part->block->applied,
                           phase->save_after,
                           phase->statistics_kept,
                           part->block->passing.at == explorer.segment.board->save_at,
                           (int)compute->state,
                           part->due.is,
                           part->block->norm.updates};

    add(print, numbers, sizeof(numbers));
    if (!part_is_first(part))
        add_ring(print, &part->ends.down_in.ring);
    if (!part_is_last(part))
        add_ring(print, &part->ends.up_in.ring);
}

/* All that what is to come depends on. What slots hold follows from what the stages have done. */
static struct fingerprint fingerprint(void)
{
    struct fingerprint print = {14695981039346656037u, 1};

    add_number(&print, (uint64_t)explorer.segment.board->stop);
    add_number(&print, explorer.segment.board->stopped_at);
    add_number(&print, (uint64_t)explorer.segment.board->save);
    add_number(&print, explorer.segment.board->save_at);
    add_number(&print, explorer.segment.board->saved_at);
    for (int s = 1; s <= explorer.stages; s++) {
        const struct actor *actor = &actors[s - 1];
        const int numbers[] = {actor->place, actor->part,         actor->op,          actor->first,
                               actor->rung,  actor->doorbell > 0, actor->stage.count, actor->stage.next_op};

        add(&print, numbers, sizeof(numbers));
        add(&print, actor->heap, actor->heap_used);
        for (int i = 0; i < actor->stage.count; i++)
            add_part(&print, &actor->parts[i]);
    }
    return print;
}

static bool remember(struct fingerprint print);

static void grow(void)
{
    struct fingerprint *old = table.prints;
    size_t capacity = table.capacity;

    table.capacity = capacity ? 4 * capacity : 1 << 16;
    table.prints = calloc(table.capacity, sizeof(*table.prints));
    table.count = 0;
    for (size_t k = 0; k < capacity; k++)
        if (old[k].a | old[k].b)
            remember(old[k]);
    free(old);
}

static bool remember(struct fingerprint print)
{
    size_t k;

    if (2 * table.count >= table.capacity)
        grow();
    k = print.b % table.capacity;
    while (table.prints[k].a | table.prints[k].b) {
        if (memcmp(&table.prints[k], &print, sizeof(print)) == 0)
            return false;
        k = (k + 1) % table.capacity;
    }
    table.prints[k] = print;
    table.count++;
    return true;
}

bool seen_add(void)
{
    return remember(fingerprint());
}

void seen_clear(void)
{
    free(table.prints);
    memset(&table, 0, sizeof(table));
}
