/* What each mini-batch of training taught, and each test: a row each, as they come, for whoever draws or compares runs. CSV,
 * or an object of JSON a line. One file may hold several runs: rows say which system and seed they are of. */
#ifndef TP_COORDINATOR_STEPS_H
#define TP_COORDINATOR_STEPS_H

#include <stdio.h>

#include "board/segment.h"

enum steps_form { STEPS_CSV, STEPS_JSON };

/* By the end of the file's name: ".jsonl" is JSON. */
enum steps_form steps_form_of(const char *path);

/* The line of names that CSV begins with; of JSON nothing. */
void steps_head(FILE *out, enum steps_form form);

/* A run's rows on their way. A mini-batch's row is written when part 1 has made its update. */
enum { STEPS_PENDING = 4096 }; /* as many as one part can be read ahead of another */
struct steps {
    FILE *out; /* NULL: no rows are asked for */
    enum steps_form form;
    const struct plan *plan; /* which outlives them */
    uint64_t start_ns;
    int tests; /* that are written */
    struct step {
        int number; /* of the mini-batch, counted through the run; 0: none */
        int epoch, minibatch;
        uint64_t end_ns;
        double loss;
        int difference; /* v; 0: not known */
        double staleness;
        int backwards; /* of all parts, that were added up for it */
        bool lost, updated;
    } pending[STEPS_PENDING];
};

void steps_begin(struct steps *steps, FILE *out, enum steps_form form, const struct plan *plan, uint64_t start_ns);

/* An op of a part (1..), as drained; and what epochs have ended with. */
void steps_op(struct steps *steps, int part, const struct op_record *record);
void steps_tests(struct steps *steps, const struct segment *segment);

#endif
