/* Rules in words and numbers, for whoever shows them. */
#ifndef TP_PLAN_DESCRIBE_H
#define TP_PLAN_DESCRIBE_H

#include "plan/plan.h"

enum { READ_TEXT_MAX = 192, KEPT_TEXT_MAX = 160, SETTING_TEXT_MAX = 80 };

/* One pass that reads a sum. */
struct summed_read {
    const struct reading *reading; /* which has terms */
    int part;
    int staleness; /* the micro-batch's own: struct reading_facts */
    int forward, live;
};

/* What it reads, version and terms by their names: "v7 - 0.054 momentum_buffer - 0.06 last_gradient"; of many terms the
 * first two. `course` is the part's (plan_next_step). */
void describe_read(const struct plan *plan, const struct summed_read *read, struct optimizer_course *course,
                   char text[READ_TEXT_MAX]);

/* What numbers in flight count: "mini-batches", or "micro-batches". */
const char *describe_in_flight(const struct plan *plan);

/* What each part keeps from update to update: "momentum_buffer, last_gradient"; "nothing". */
void describe_kept(const struct plan *plan, char text[KEPT_TEXT_MAX]);

/* A setting of the update that follows `updates` others, which is a double at offsetof(struct optimizer_settings, ...):
 * "0.02"; "0.00667 to 0.02" where the update rule parts the stages. */
void describe_setting(const struct plan *plan, size_t offset, int updates, char text[SETTING_TEXT_MAX]);

#endif
