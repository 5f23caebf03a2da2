/* One stage of the pipeline: its layers, its weight versions, its ends of the links. A process runs one
 * (stages/main.c); tests run several as threads. */
#ifndef TP_STAGES_STAGE_H
#define TP_STAGES_STAGE_H

#include "base/error.h"
#include "board/segment.h"

struct stage; /* a part of the network in the stage that hosts it; opaque outside stages/ */

/* Allocates and prepares everything that training needs. The segment must outlive the part. */
int stage_create(struct stage **out, const struct segment *segment, int part, struct error *error);

/* Waits until the neighbours are created as well, opens what they share, and fills in the weights. Then the part is
 * ready. */
int stage_connect(struct stage *stage, struct error *error);

/* After a failure, only for a part on the host: a GPU's work may wait for a dead neighbour's (stage_on_host). */
void stage_destroy(struct stage *stage);

/* The live weights [slice parameters] and the running statistics [slice state]. */
const float *stage_weights(const struct stage *stage);
const float *stage_state(const struct stage *stage);

/* Whether its device is the host. */
bool stage_on_host(const struct stage *stage);

/* A stage: all parts that it hosts. Destroy it also when it could not be created. */
struct hosted;
int hosted_create(struct hosted **out, const struct segment *segment, int stage, struct error *error);
int hosted_connect(struct hosted *hosted, struct error *error);
void hosted_destroy(struct hosted *hosted);

/* Trains and evaluates every epoch of the plan. 0 when done or stopped on request; -1 on failure or abort. */
int hosted_run(struct hosted *hosted, struct error *error);

/* Tells the state of all parts; the first one's, which speaks for the process, last. */
void hosted_set_state(const struct hosted *hosted, enum stage_state state);
struct stage *hosted_part(const struct hosted *hosted, int index);
bool hosted_is_on_gpu(const struct hosted *hosted);

#endif
