/* Optimizers of one weight, in doubles, by their papers' formulas: nothing of optimizers/ is used but its settings. */
#ifndef TP_TESTS_OPTIMIZER_ORACLE_H
#define TP_TESTS_OPTIMIZER_ORACLE_H

#include "optimizers/optimizer.h"
#include "tests/support/machine.h"

/* Settings of every optimizer at once, without gradient_scale (1). */
struct optimizer_settings random_optimizer_settings(struct dice *dice);

/* What update number t (1..) of the optimizer of that name subtracts from a weight at rate 1, weight decay left out. Its
 * momentum *m moves on, its square s is held as if it was this update's. */
double oracle_step(const char *optimizer, const struct optimizer_settings *settings, int t, double gradient, double *m,
                   double s);

/* NAdam's momenta of updates 1..t, multiplied. */
double nadam_product(const struct optimizer_settings *settings, int t);

/* Fails unless they differ by rounding alone. */
void assert_near(const char *what, int n, double actual, double expected);

#endif
