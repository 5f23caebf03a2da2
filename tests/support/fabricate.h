/* Runs that never ran: what a monitor would see of one, at any moment of an epoch, from the event simulator. Their
 * versions come from the trackers that stages use. So a screen can be drawn of every system, of every size, always the
 * same. */
#ifndef TP_TESTS_FABRICATE_H
#define TP_TESTS_FABRICATE_H

#include "monitor/view.h"

struct fabrication {
    const char *system;
    int stages, microbatches, minibatches; /* of an epoch */
    int epoch;                             /* that is shown, 1.. */
    double at; /* the moment: 0 to 1 through the epoch's training, from 1 on its evaluation */
};

struct fabricated {
    struct moment moment;
    struct snapshot snapshot;
    struct history history;
    struct curve curve;
    struct plan plan;
    struct epoch_result epochs[16];
    float loss[256];
};

/* Forwards take about a millisecond; stages differ a little. The caller destroys what it gets. */
struct fabricated *fabricate(const struct fabrication *fabrication);
void fabricated_destroy(struct fabricated *run);

#endif
