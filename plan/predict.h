/* What a run would take and how stale it would be: the plan's schedule in the simulator, with the times that the
 * config's [simulation] gives or, where it gives none, those that were measured layer by layer. */
#ifndef TP_PLAN_PREDICT_H
#define TP_PLAN_PREDICT_H

#include "plan/plan.h"

struct prediction {
    int minibatches;                      /* of one epoch's training that were simulated */
    bool given[OP_KINDS], update_given;   /* times that the config gives; the others are measured */
    struct part_times times[PLANNED_MAX]; /* per part */
    struct link_times links[PLANNED_MAX]; /* per link */
    bool shared_memory;                   /* all links are free */
    struct simulation *events;
    double epoch_seconds;     /* of training, as a run counts them: from part 1's first forward to its last update */
    double images_per_second; /* in them */
};

/* Mistakes in [simulation] that need more than the key itself: too many or too few numbers for the stages and links. */
void predict_check(const struct config *config, struct config_mistakes *mistakes);

/* Simulates `minibatches` mini-batches, or a whole epoch if 0, of a finished plan whose times are measured or given: -1
 * if some are neither. The caller releases, also after a failure. */
int predict(struct prediction *prediction, const struct plan *plan, int minibatches, struct error *error);
void prediction_release(struct prediction *prediction);

/* Mistakes in [simulation] of a plan that is begun: times that its simulation would not use. */
void predict_check_used(const struct plan *plan, struct config_mistakes *mistakes);

/* Whether the config says what a kind of op takes; and what one takes at a part (0..), in nanoseconds. Keys are of one
 * micro-batch, whatever the system, so that they mean the same for all: a backward over N of them takes N times as long. */
bool predict_is_given(const struct config *config, enum op_kind kind);
int64_t predict_time(const struct config *config, const struct schedule *schedule, enum op_kind kind, int index);

/* For a system whose micro-batches are larger by that factor. */
void predict_scale(struct config *config, double factor);

/* Whether it gives all times that a prediction needs, so that nothing has to be measured. Of a plan that is begun. */
bool predict_all_given(const struct plan *plan);

/* Whether the cables between its machines have to be measured: the config does not give what they carry. */
bool predict_wants_cables(const struct plan *plan);

/* The kinds of op that a system's order has. */
bool predict_has(const struct schedule *schedule, enum op_kind kind);

#endif
