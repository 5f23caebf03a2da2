/* One stage of the pipeline: a process (stages/main.c), which hosts one part of the network or several; tests run several
 * stages as threads. */
#ifndef TP_STAGES_STAGE_H
#define TP_STAGES_STAGE_H

#include "base/error.h"
#include "board/segment.h"

struct stage; /* opaque outside stages/, like */
struct part;

/* Allocates and prepares everything that training needs. The segment must outlive the stage. Destroy it also when it
 * could not be created. */
int stage_create(struct stage **out, const struct segment *segment, int index, struct error *error);

/* Waits until the neighbours are created as well, opens what they share, and fills in the weights. Then the stage is
 * ready. */
int stage_connect(struct stage *stage, struct error *error);

/* After a failure, only if it is not on a GPU, whose work may wait for a dead neighbour's. */
void stage_destroy(struct stage *stage);
bool stage_is_on_gpu(const struct stage *stage);

/* Trains and evaluates every epoch of the plan. 0 when done or stopped on request; -1 on failure or abort. */
int stage_run(struct stage *stage, struct error *error);

/* Tells the state of all parts; the first one's, which speaks for the process, last. */
void stage_set_state(const struct stage *stage, enum stage_state state);

/* The stage's i-th part (0-based), in the network's order. Its live weights [slice parameters] and running statistics
 * [slice state]. */
struct part *stage_part(const struct stage *stage, int i);
const float *part_weights(const struct part *part);
const float *part_state(const struct part *part);

#endif
