/* Schedule files in tests: read, played by the oracle, written and read again. Whatever goes wrong fails the test. */
#ifndef TP_TESTS_PLAYED_H
#define TP_TESTS_PLAYED_H

#include "schedule/csv.h"
#include "tests/support/list_oracle.h"

/* The caller releases it. */
struct csv_schedule played_read(const char *text);

/* Whether all stages' lists for K mini-batches can be run; fills in the starts of each op, to be freed one by one,
 * unless `starts` is NULL. */
bool played_plays(const struct csv_schedule *csv, int minibatches, struct list_oracle *oracle, int **starts);

/* They can; `text` is shown otherwise. */
void played_assert(const struct csv_schedule *csv, int minibatches, const char *text);

bool played_same_op(const struct op *a, const struct op *b);
void played_assert_same(const struct op_list *a, const struct op_list *b, const char *what, int stage);

/* What a file says, without its order; and a system's row, in a V if that is what it needs. */
struct schedule played_schedule(const struct csv_schedule *csv);
struct schedule played_named(const char *name, int stages, int microbatches, int parts);

/* Writes the lists with every op in the column of its start, reads the file, and compares. */
void played_round_trip(const struct csv_schedule *csv, bool pytorchs_form, const char *what);

#endif
