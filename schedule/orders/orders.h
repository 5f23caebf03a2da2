/* The orders that are lists: a file for each, with its `generate` and its `check` (struct order says what they are
 * for). To add one: a file here, its two lines below, a row in each table of schedule/system.c. */
#ifndef TP_SCHEDULE_ORDERS_H
#define TP_SCHEDULE_ORDERS_H

#include "schedule/schedule.h"

int interleaved_generate(const struct schedule *schedule, int stage, struct op *ops);
int interleaved_check(const struct schedule *schedule, struct error *error);

int breadth_first_generate(const struct schedule *schedule, int stage, struct op *ops);
int breadth_first_check(const struct schedule *schedule, struct error *error);

int zb_v_generate(const struct schedule *schedule, int stage, struct op *ops);
int zb_v_check(const struct schedule *schedule, struct error *error);

int dualpipe_v_generate(const struct schedule *schedule, int stage, struct op *ops);
int dualpipe_v_check(const struct schedule *schedule, struct error *error);

#endif
