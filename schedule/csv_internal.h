/* Between the files of csv.h: a file's cells, before anything is known about how they go together. */
#ifndef TP_SCHEDULE_CSV_INTERNAL_H
#define TP_SCHEDULE_CSV_INTERNAL_H

#include "schedule/csv.h"

/* An op and where it stands. A pair has two ops in one cell. */
struct cell {
    struct op op;
    int row, column;   /* 1.., in the file */
    int text, length;  /* bytes [text, text + length) of the file */
    bool begins, ends; /* the period */
};

struct sheet {
    const char *text;
    bool extended;
    int microbatches; /* of the first line; 0 in PyTorch's form */
    enum forward_rule forward;
    enum backward_rule backward;
    int ranks;
    int *begins; /* [ranks + 1]: cells [begins[r], begins[r + 1]) are rank r's */
    struct cell *cells;
};

/* Splits the text into cells, skipping communication. The sheet refers to the text; the caller releases it, also after
 * an error. */
int sheet_read(struct sheet *sheet, const char *text, size_t size, struct error *error);
void sheet_release(struct sheet *sheet);

/* "row 2, column 14 (1B3): message"; -1. */
int cell_error(struct error *error, const struct sheet *sheet, const struct cell *cell, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The letter of an op's kind in a file. */
char csv_letter(enum op_kind kind);

/* One part's way through its row. Numbers count micro-batches through the file: mini-batch * N + micro-batch. */
struct part_state {
    int rank;                         /* from 0; -1: no rank has it */
    int first_op, op_count;           /* its cells are ops[first_op] and so on */
    int forwards, gradients, weights; /* while checking or playing: done */
    int begun[3], moved[3];           /* of these: before the period, in it */
};

/* A sheet that is being checked, and what is known of it so far. */
struct reader {
    const struct sheet *sheet;
    struct csv_schedule *csv;
    struct error *error;
    int cell_count, part_count, total; /* C; numbers in all */
    struct part_state *parts;          /* [C] */
    int *ops;                          /* [cell_count]: cells by part, and as they stand in it */
    int *order;                        /* [total]: number of each backward of part 1, in order */
    int *gradients;                    /* [total]: the same of the part that is being checked, */
    int *turn;                         /* [total]: and turned round: when it comes; -1: it has not yet come */
    int *period;                       /* [2 ranks]: cells from, to */
};

/* Rank 0..'s cells; and the number of an op's first micro-batch. */
const struct cell *reader_cells(const struct reader *reader, int rank, int *count);
int reader_number(const struct reader *reader, const struct op *op);

/* Adds the micro-batches that the op covers to forwards, backwards (input halves) and weight halves. */
void count_op(const struct op *op, int done[3]);

/* Each fills in what it finds in the schedule; -1 at the first cell that keeps a rule of its own not. In this order:
 * placement and parts; N and K; what each part does, in ascending order; and the lists, whether they run. */
int check_placement(struct reader *reader);
int check_batches(struct reader *reader);
int check_parts(struct reader *reader);
int check_runs(struct reader *reader);

#endif
