/* The ops of one stage, or a row of numbers that goes with them, kept as prologue, period and epilogue: however many
 * mini-batches a phase has, what is stored does not grow. */
#ifndef TP_SCHEDULE_LIST_H
#define TP_SCHEDULE_LIST_H

#include "schedule/schedule.h"

/* Of a sequence in which items [from, from + length) are stored once and stand `turns` times in a row; each time the
 * mini-batches in them are larger by `shift`, and after them by (turns - 1) * shift. No repetition: turns 1, length 0. */
struct cycle {
    int from, length, turns, shift;
};

/* Item `n` of the whole sequence: the index of the stored one; and what is to be added to its mini-batches. */
int cycle_index(const struct cycle *cycle, int n, int *added);

/* Items in all, of which `stored` are stored. */
int cycle_count(const struct cycle *cycle, int stored);

struct op_list {
    struct op *ops; /* [stored] */
    int stored;
    struct cycle cycle;
};

/* Every stage's list over all mini-batches of a schedule whose order is one (schedule_is_list): stage s is lists[s - 1].
 * All at once, since a schedule file is read for all. The caller zeroes the lists before, and frees each one's `ops`, also
 * after -1: out of memory. */
int lists_create(struct op_list *lists, const struct schedule *schedule);

int list_count(const struct op_list *list);
struct op list_op(const struct op_list *list, int n); /* 0-based */

#endif
