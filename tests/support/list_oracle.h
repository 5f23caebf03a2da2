/* Plays lists of ops by the bare definitions, to compare schedule/ with: nothing of it is called here. A stage runs its
 * list in order, each op as early as can be:
 *
 *   forward of part k         after the forward of part k - 1
 *   backward, input half      after this part's forward, and the backward or input half of part k + 1
 *   weight half               after its input half
 *
 * for the same micro-batches. Messages and updates take no time. */
#ifndef TP_TESTS_LIST_ORACLE_H
#define TP_TESTS_LIST_ORACLE_H

#include "schedule/schedule.h"

enum { ORACLE_STAGES_MAX = 64 };

struct oracle_list {
    const struct op *ops;
    int count;
    int *starts; /* [count], filled in unless NULL */
};

/* Time per micro-batch of an op. */
struct oracle_times {
    int forward, backward, input, weights;
};

struct list_oracle {
    int makespan;
    int idle[ORACLE_STAGES_MAX];  /* makespan - what the stage's ops take */
    int fill[ORACLE_STAGES_MAX];  /* idle before its first op, */
    int holes[ORACLE_STAGES_MAX]; /* between its ops */
    int peak[ORACLE_STAGES_MAX];  /* parts' micro-batches with a forward begun and a backward (weight half) not ended */
    char text[160];               /* what is wrong with the lists */
};

/* Of `parts` parts in all, K mini-batches of N micro-batches. False, with the reason in `text`: an op is missing,
 * twice, or can never run. */
bool list_oracle_play(struct list_oracle *oracle, const struct oracle_list *lists, int stages, int parts,
                      int minibatches, int microbatches, struct oracle_times times);

#endif
