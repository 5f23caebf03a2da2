/* A whole run inside one process: every stage a thread, the segment in private memory. */
#ifndef TP_TESTS_PIPELINE_H
#define TP_TESTS_PIPELINE_H

#include <pthread.h>
#include <stdatomic.h>

#include "coordinator/checkpoints.h"
#include "stages/stage.h"

struct pipeline {
    struct plan plan;
    struct network *network;
    struct segment segment;
    struct checkpoints checkpoints;
    struct stage *stages[MAX_STAGES];
    struct part *parts[MAX_PARTS];
    struct pipeline_thread {
        pthread_t thread;
        struct stage *stage;
        atomic_bool ended;
        int result;
        struct error error;
    } threads[MAX_STAGES];
};

/* Plans a run from overrides ("pipeline.stages=4", ...), over a small synthetic data set unless they say otherwise, and
 * creates its stages. Fails the test when something is wrong. The overrides end with NULL. */
void pipeline_create(struct pipeline *pipeline, const char *const *overrides);

/* The same with a run folder, in which checkpoints are saved; and it begins with one of them, or NULL. pipeline_wait
 * completes the sets, while the stages run and when they have ended. */
void pipeline_create_in(struct pipeline *pipeline, const char *const *overrides, const struct run_folder *folder,
                        struct checkpoint_set *from);

/* Starts the stages' threads; waits for their end. pipeline_wait fails the test unless every stage returned `result`. */
void pipeline_start(struct pipeline *pipeline);
void pipeline_wait(struct pipeline *pipeline, int result);
void pipeline_destroy(struct pipeline *pipeline);

/* Create, start, wait for success. */
void pipeline_run(struct pipeline *pipeline, const char *const *overrides);

/* All stages' live weights, side by side [network->parameters]; the caller frees. */
float *pipeline_weights(const struct pipeline *pipeline);

/* The n-th op of a stage (1..), 0-based; the test must be short enough that the ring did not come round. */
const struct op_record *pipeline_record(const struct pipeline *pipeline, int stage, uint64_t n);
uint64_t pipeline_record_count(const struct pipeline *pipeline, int stage);

#endif
