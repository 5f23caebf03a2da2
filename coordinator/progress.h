/* How far a run has come: a line that is redrawn on a terminal, or a line now and then elsewhere, and one that stays
 * for each epoch. */
#ifndef TP_COORDINATOR_PROGRESS_H
#define TP_COORDINATOR_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "board/segment.h"
#include "coordinator/outlet.h"

enum { PROGRESS_LOSSES = 32, PROGRESS_MARKS = 16 };

struct progress_line {
    const struct plan *plan;
    FILE *out;                               /* NULL: stay silent */
    const struct standard_outlets *standard; /* behind `out`; or NULL */
    const char *label; /* stands before each line, and there is no table of epochs; NULL: there is */
    bool terminal;     /* redraw one line */
    bool drawn;        /* it stands there */
    uint64_t start_ns, shown_ns, looked_ns;
    int epoch;          /* where the last stage is: 1.. */
    double done_before; /* epochs, when the run went on from a checkpoint */
    enum phase phase;
    bool paused;             /* a monitor holds the run */
    bool saving;             /* a checkpoint is under way that the run passes */
    int64_t trained, tested; /* images in this epoch */
    int64_t all_trained;     /* in the run */
    int epochs_shown;
    float losses[PROGRESS_LOSSES]; /* of the newest mini-batches */
    int loss_count;
    struct {
        uint64_t time_ns;
        int64_t trained;
    } marks[PROGRESS_MARKS]; /* the last looks, for a sliding rate */
    int mark_count;
    double rate; /* images a second in training; 0 = not known yet */
};

/* `out` NULL: silent. `standard` may be NULL. `label` NULL: none. */
void progress_begin(struct progress_line *line, const struct segment_header *header, FILE *out,
                    const struct standard_outlets *standard, const char *label);

/* Takes account of an op of the last stage. */
void progress_op(struct progress_line *line, const struct op_record *record);

/* Draws, if it is time, and neither the last drawing is still on its way nor the terminal another program's. Call a few
 * times a second. */
void progress_draw(struct progress_line *line, uint64_t now_ns);

/* Lines that stay, for the epochs that have finished. */
void progress_epochs(struct progress_line *line, const struct segment *segment);

/* A monitor holds the run, or lets it go on: the next drawing says so, and is due. */
void progress_pause(struct progress_line *line, bool paused);

/* Takes the redrawn line off the terminal, before something else is printed. */
void progress_clear(struct progress_line *line);

/* One epoch's results as a table: its head, and a row. */
void epoch_print_head(FILE *out, const struct plan *plan);
void epoch_print(FILE *out, const struct plan *plan, int epoch, const struct epoch_result *result);

double epoch_images_per_second(const struct epoch_result *result);

/* In the plan's unit. */
double epoch_rate(const struct plan *plan, const struct epoch_result *result);

#endif
