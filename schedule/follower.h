/* Follows a simulation's ops through the weight versions of their parts: what each op reads and makes, and what its part then
 * holds, and for whom. Versions are counted since the phase began. */
#ifndef TP_SCHEDULE_FOLLOWER_H
#define TP_SCHEDULE_FOLLOWER_H

#include "schedule/simulate.h"

enum { VERSION_UNKNOWN = -2, VERSION_SUM = -1 };

struct op_versions {
    int read_first, read_last; /* by its micro-batches; VERSION_UNKNOWN: none, VERSION_SUM: a sum of vectors */
    int live;                  /* newest at its part when it begins */
    int forward;               /* that the forward of its first micro-batch read */
    int made;                  /* by the update that follows it; VERSION_UNKNOWN: none does */
};

struct follower; /* opaque */

/* Both must outlive it. NULL if out of memory. */
struct follower *follower_create(const struct schedule *schedule, const struct simulation *simulation);
void follower_destroy(struct follower *follower);

/* The next op of a stage, in the simulation's order: begins, and ends with its update, if one follows. `made` is known
 * from the begin on. */
struct op_versions follower_begin(struct follower *follower, const struct op *op);
void follower_end(struct follower *follower, const struct op *op);

/* What a part holds now, as versions_uses tells it. */
int follower_uses(const struct follower *follower, int part, struct version_use uses[VERSION_USES_MAX]);

#endif
