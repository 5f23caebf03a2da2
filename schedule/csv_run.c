/* Whether the lists of a schedule file run to their end, however often their periods stand there. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "schedule/csv_internal.h"

enum { OPS_PLAYED_MAX = 1 << 27 };

/* Stages that may have something to run, each at most once. */
struct player {
    struct reader *reader;
    int *next;    /* [ranks]: op of the list */
    int *waiting; /* [ranks]: a ring of ranks to look at */
    bool *queued; /* [ranks] */
    int first, count;
};

static void look_at(struct player *player, int part)
{
    const struct reader *reader = player->reader;
    const int ranks = reader->csv->stages;
    int rank;

    if (part < 1 || part > reader->part_count)
        return;
    rank = reader->parts[part - 1].rank;
    if (player->queued[rank])
        return;
    player->queued[rank] = true;
    player->waiting[(player->first + player->count++) % ranks] = rank;
}

/* The part that the op waits for, 0 if it can run. */
static int missing_part(const struct reader *reader, const struct op *op)
{
    const int end = reader_number(reader, op) + op->count;
    const struct part_state *part = &reader->parts[op->part - 1];

    switch (op->kind) {
    case OP_FORWARD:
        return op->part > 1 && part[-1].forwards < end ? op->part - 1 : 0;
    case OP_BACKWARD:
    case OP_BACKWARD_INPUT:
        return op->part < reader->part_count && part[1].gradients < end ? op->part + 1 : 0;
    case OP_BACKWARD_WEIGHTS:
        break;
    }
    return 0;
}

static void run_op(struct player *player, const struct op *op)
{
    struct part_state *part = &player->reader->parts[op->part - 1];
    int done[3] = {part->forwards, part->gradients, part->weights};

    count_op(op, done);
    part->forwards = done[0];
    part->gradients = done[1];
    part->weights = done[2];
    if (op->kind == OP_FORWARD)
        look_at(player, op->part + 1);
    else if (op->kind != OP_BACKWARD_WEIGHTS)
        look_at(player, op->part - 1);
}

static void play(struct player *player)
{
    const struct reader *reader = player->reader;

    for (int k = 1; k <= reader->part_count; k++)
        look_at(player, k);
    while (player->count > 0) {
        const int rank = player->waiting[player->first];
        const struct op_list *list = &reader->csv->lists[rank];
        struct op op;

        player->first = (player->first + 1) % reader->csv->stages;
        player->count--;
        player->queued[rank] = false;
        while (player->next[rank] < list_count(list) &&
               (op = list_op(list, player->next[rank]), missing_part(reader, &op)) == 0) {
            player->next[rank]++;
            run_op(player, &op);
        }
    }
}

/* The cell of the rank's next op, which cannot run. */
static const struct cell *blocked_cell(const struct player *player, int rank)
{
    const struct reader *reader = player->reader;
    int added, count;
    const struct cell *cells = reader_cells(reader, rank, &count);

    return &cells[cycle_index(&reader->csv->lists[rank].cycle, player->next[rank], &added)];
}

/* The first rank that has not come to its end waits for another, which waits in turn. */
static int check_played(const struct player *player)
{
    const struct reader *reader = player->reader;

    for (int rank = 0; rank < reader->csv->stages; rank++) {
        const struct op_list *list = &reader->csv->lists[rank];

        if (player->next[rank] < list_count(list)) {
            const struct op op = list_op(list, player->next[rank]);
            const int part = missing_part(reader, &op);
            const struct cell *blocked = blocked_cell(player, reader->parts[part - 1].rank);

            return cell_error(reader->error, reader->sheet, blocked_cell(player, rank),
                              "this can never run: it waits for the %s of part %d, which row %d has behind column %d "
                              "(%.*s), and that waits, too",
                              op.kind == OP_FORWARD ? "forward" : "backward", part - 1, blocked->row, blocked->column,
                              blocked->length, reader->sheet->text + blocked->text);
        }
    }
    return 0;
}

/* So many turns of the period that the first one of some stage has met the last one of any other: what happens from
 * then on has happened before. */
static long long turns_to_play(const struct reader *reader)
{
    long long turns = 2;

    for (int kind = 0; kind < 2; kind++) {
        int least = INT_MAX, most = 0;

        for (int k = 0; k < reader->part_count; k++) {
            least = min_int(least, reader->parts[k].begun[kind]);
            most = max_int(most, reader->parts[k].begun[kind]);
        }
        turns += (most - least) / (reader->csv->shift * reader->csv->microbatches) + 1;
    }
    return turns;
}

static long long ops_of_turns(const struct reader *reader, long long turns)
{
    long long ops = reader->cell_count;

    for (int rank = 0; rank < reader->csv->stages; rank++)
        ops += (turns - 1) * reader->csv->lists[rank].cycle.length;
    return ops;
}

static void set_turns(struct csv_schedule *csv, int turns)
{
    for (int rank = 0; rank < csv->stages; rank++)
        csv->lists[rank].cycle.turns = turns;
}

int check_runs(struct reader *reader)
{
    struct csv_schedule *csv = reader->csv;
    const long long turns = turns_to_play(reader);
    struct player player = {.reader = reader};
    int result = -1;

    if (ops_of_turns(reader, turns) > OPS_PLAYED_MAX)
        return error_set(reader->error, "the periods of different rows lie %lld turns apart: too far to be played",
                         turns);
    for (int k = 0; k < reader->part_count; k++)
        reader->parts[k].forwards = reader->parts[k].gradients = reader->parts[k].weights = 0;
    player.next = calloc((size_t)csv->stages, sizeof(*player.next));
    player.waiting = calloc((size_t)csv->stages, sizeof(*player.waiting));
    player.queued = calloc((size_t)csv->stages, sizeof(*player.queued));
    if (player.next == NULL || player.waiting == NULL || player.queued == NULL) {
        error_set(reader->error, "out of memory for %d ranks", csv->stages);
    } else {
        set_turns(csv, (int)turns);
        play(&player);
        result = check_played(&player);
        set_turns(csv, 1);
    }
    free(player.next);
    free(player.waiting);
    free(player.queued);
    return result;
}
