/* One stage of the pipeline: its layers, its weight versions, its ends of the links. A process runs one
 * (stages/main.c); tests run several as threads. */
#ifndef TP_STAGES_STAGE_H
#define TP_STAGES_STAGE_H

#include "base/error.h"
#include "board/segment.h"

struct stage; /* opaque outside stages/ */

/* Allocates and prepares everything that training needs. The segment must outlive the stage. */
int stage_create(struct stage **out, const struct segment *segment, int index, struct error *error);

/* Waits until the neighbours are created as well, opens what they share, and fills in the weights. Then the stage is
 * ready. */
int stage_connect(struct stage *stage, struct error *error);

/* After a failure, only for a stage on the host: a GPU's work may wait for a dead neighbour's (stage_on_host). */
void stage_destroy(struct stage *stage);

/* Trains and evaluates every epoch of the plan. 0 when done or stopped on request; -1 on failure or abort. */
int stage_run(struct stage *stage, struct error *error);

/* The live weights [slice parameters] and the running statistics [slice state]. */
const float *stage_weights(const struct stage *stage);
const float *stage_state(const struct stage *stage);

/* Whether its device is the host. */
bool stage_on_host(const struct stage *stage);

#endif
