/* Simulations with times that a test chooses. */
#ifndef TP_TESTS_SUPPORT_TIMED_H
#define TP_TESTS_SUPPORT_TIMED_H

#include "schedule/simulate.h"

enum { STAGES_MAX = 64 };

/* What a test simulates: of each stage and of the link behind it. */
extern struct part_times stages[STAGES_MAX];
extern struct link_times links[STAGES_MAX];
extern const struct timing timing;

/* What stages and links say, or another timing; what has arrived, or the list that is replayed. They fail the test if there
 * is no such simulation. The caller destroys it. */
struct simulation *simulate(const struct schedule *schedule);
struct simulation *simulate_with(const struct schedule *schedule, const struct timing *how,
                                 const struct simulation *replayed);

/* Op k of stage s (both 0-based), and how many the stage has. */
struct timed_op timed_at(const struct simulation *simulation, int s, int k);
int op_count(const struct simulation *simulation, int s);

/* What a simulation says of busy times, waits, versions and bubbles is what its ops add up to. */
void check_sums(const struct schedule *schedule, const struct simulation *simulation);

#endif
