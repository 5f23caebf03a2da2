/* The learning rate of an update, a pure function of how many came before it. */
#ifndef TP_PLAN_LEARNING_RATE_H
#define TP_PLAN_LEARNING_RATE_H

#include "plan/config.h"

/* Rate for the update that follows `updates` others, in a run of `per_epoch` updates an epoch: linear warm-up from 0
 * over train.warmup_epochs, multiplied with the schedule. Cosine falls to 0 at the end of run.epochs (Loshchilov and
 * Hutter, ICLR 2017, one cycle); step multiplies by lr_step_factor every lr_step_epochs. */
double learning_rate(const struct config *config, int per_epoch, int updates);

/* The schedule in words: "0.05, falling by a cosine to 0 at the end of epoch 3, after a warm-up of 0.5 epochs". */
enum { LEARNING_RATE_TEXT_MAX = 160 };
void learning_rate_describe(const struct config *config, char text[LEARNING_RATE_TEXT_MAX]);

#endif
