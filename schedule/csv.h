/* Schedule files: a schedule as a table, a row per rank (stage), a cell per op. PyTorch's compute-only form, and for
 * what it cannot say an extension: docs/schedule-files.md describes both. Files number ranks, parts and batches from
 * 0, the rest of tp from 1.
 *
 * Nothing in a file is trusted. A file that passes can be run: every pass of every micro-batch through every part
 * happens once and where its inputs are, no stage waits for ever. Two things that PyTorch allows are refused as yet:
 * a part must take its forwards in ascending order of micro-batches, and its weight halves in the order of its input
 * halves. Backwards may go in any order, but in the same one at every part: they are numbered anew in ascending
 * order, which changes neither times nor memory, only the order in which gradients are added up (see `renumbered`). */
#ifndef TP_SCHEDULE_CSV_H
#define TP_SCHEDULE_CSV_H

#include <stdio.h>

#include "schedule/simulate.h"

enum {
    CSV_BYTES_MAX = 1 << 26,
    CSV_RANKS_MAX = 1024,
    CSV_PARTS_MAX = 1 << 16,
    CSV_MICROBATCHES_MAX = 18278, /* as schedule_check */
    CSV_MINIBATCHES_MAX = 1 << 20
};

struct csv_schedule {
    int stages, parts; /* W; c, per stage */
    enum placement placement;
    int microbatches;          /* N */
    enum forward_rule forward; /* live, unless the extension says otherwise */
    enum backward_rule backward;
    bool flush;          /* every stage is done with a mini-batch before it begins the next */
    bool whole_backward; /* backwards cover all N micro-batches; otherwise each covers one */
    bool split_backward; /* some come in halves */
    bool renumbered;     /* backwards were not in ascending order of micro-batches */
    int in_flight;       /* mini-batches, from the first forward's begin to the last backward's end: most at any part */
    int minibatches;     /* with every period once; it may stand there again and again, */
    int shift;           /* each time for so many mini-batches more */
    struct op_list *lists; /* [stages], for `minibatches` */
};

/* Reads `size` bytes. -1 and "row 2, column 14 (1B3): what is wrong, and what would be right"; rows and columns count
 * from 1, as in an editor or a spreadsheet. The caller releases the schedule. */
int csv_read(struct csv_schedule *csv, const char *text, size_t size, struct error *error);
void csv_release(struct csv_schedule *csv);

/* The order of such a schedule, under that name, which must live as long. */
struct order csv_order(const struct csv_schedule *csv, const char *name);

/* The list of stage 1.. for `minibatches` mini-batches: the period as often as that takes, and of the last ones what is
 * too much left out. -1 if out of memory. The caller frees `ops`. */
int csv_list(const struct csv_schedule *csv, int stage, int minibatches, struct op_list *list);

/* A stage's ops, and the column (0-based, ascending) of each that its list stores; NULL: no empty cells. */
struct csv_row {
    const struct op_list *list;
    const int *columns; /* [list->stored] */
};

/* Writes rows[W]: in PyTorch's form what that can say, which is one mini-batch with a flush, backwards micro-batch
 * by micro-batch, live weights; anything else in the extension, with each list's cycle as its period. The lists'
 * cycles are of one kind: all of the same shift, and as long as the list or none of them. -1 and errno's text when
 * `out` fails. */
int csv_write(FILE *out, const struct schedule *schedule, const struct csv_row *rows, struct error *error);

/* Writes what a simulation, with its ops, of the schedule ran: with a flush its first mini-batch, otherwise all of them,
 * with its cycle as the period. One that is too short to have a cycle is written as it is, and read so for as many
 * mini-batches. A column is `tick` long; 0: no empty cells. */
int csv_write_simulation(FILE *out, const struct schedule *schedule, const struct simulation *simulation, int64_t tick,
                         struct error *error);

#endif
