/* The lists that stages replay: with pipeline.order = static, and where the order is a list. A list is made by a simulation
 * with times (pipeline.static): every process that has the plan makes the same one. */
#ifndef TP_PLAN_REPLAY_H
#define TP_PLAN_REPLAY_H

#include "plan/plan.h"

bool plan_replays(const struct plan *plan);

/* Plays `schedule`, which is the plan's or one of its mini-batches, as its lists are made. The caller owns the simulation. */
int plan_simulate(const struct plan *plan, const struct schedule *schedule, bool keep_ops, struct simulation **out,
                  struct error *error);

/* Beyond so many stages, figures that are only compared take too long to find. */
enum { FIGURES_STAGES_MAX = 16 };

/* What a static list that is made with unit (nominal) times means where ops take nominal times and every stage has a core
 * of its own. */
struct replay_figures {
    int version_difference; /* v: most after warm-up */
    double idle;            /* of all time, fill and drain of a whole epoch included */
};
int replay_figures(const struct plan *plan, enum static_times times, struct replay_figures *figures,
                   struct error *error);

/* pipeline.static = measured: what was measured becomes the config's simulation.*_ms, where that gives none, so that
 * report and checkpoints keep it and a run can be repeated. -1 if there is something that was not measured. */
int replay_keep_times(struct plan *plan, struct error *error);

/* Whether two configs give parts the same times; and takes those of another one, if this has none. */
bool replay_same_times(const struct config *one, const struct config *other);
void replay_take_times(struct config *config, const struct config *from);

#endif
