#include "tests/support/pipeline.h"

#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/planned.h"
#include "transport/rings.h"

void pipeline_create(struct pipeline *pipeline, const char *const *overrides)
{
    static const struct run_folder none = {.descriptor = -1};

    pipeline_create_in(pipeline, overrides, &none, NULL);
}

void pipeline_create_in(struct pipeline *pipeline, const char *const *overrides, const struct run_folder *folder,
                        struct checkpoint_set *from)
{
    struct error error;

    memset(pipeline, 0, sizeof(*pipeline));
    planned(&pipeline->plan, &pipeline->network, overrides, true);
    ck_assert_msg(!segment_create_private(&pipeline->segment, &pipeline->plan, rings_bytes, &error), "%s", error.text);
    snprintf(pipeline->segment.header->run_folder, CONFIG_PATH_MAX, "%s", folder->path);
    checkpoints_begin(&pipeline->checkpoints, &pipeline->segment, folder, from);
    for (int s = 1; s <= pipeline->plan.stage_count; s++)
        ck_assert_msg(!stage_create(&pipeline->stages[s - 1], &pipeline->segment, s, &error), "%s", error.text);
    for (int s = 1; s <= pipeline->plan.stage_count; s++)
        ck_assert_msg(!stage_connect(pipeline->stages[s - 1], &error), "%s", error.text);
    for (int s = 1; s <= pipeline->plan.stage_count; s++)
        for (int i = 0; i < pipeline->plan.schedule.parts; i++)
            pipeline->parts[plan_part_of(&pipeline->plan, s, i) - 1] = stage_part(pipeline->stages[s - 1], i);
    checkpoints_started(&pipeline->checkpoints);
}

static void *run_stage(void *context)
{
    struct pipeline_thread *thread = context;

    thread->result = stage_run(thread->stage, &thread->error);
    atomic_store(&thread->ended, true);
    return NULL;
}

void pipeline_start(struct pipeline *pipeline)
{
    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        pipeline->threads[s].stage = pipeline->stages[s];
        ck_assert_int_eq(pthread_create(&pipeline->threads[s].thread, NULL, run_stage, &pipeline->threads[s]), 0);
    }
}

static void follow_checkpoints(struct pipeline *pipeline)
{
    struct error error;

    while (pipeline->segment.header->run_folder[0] && checkpoints_follow(&pipeline->checkpoints, &error))
        ;
}

void pipeline_wait(struct pipeline *pipeline, int result)
{
    while (pipeline->segment.header->run_folder[0] && !atomic_load(&pipeline->threads[0].ended)) {
        follow_checkpoints(pipeline);
        sched_yield();
    }
    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        pthread_join(pipeline->threads[s].thread, NULL);
        if (pipeline->threads[s].result)
            segment_abort(&pipeline->segment);
    }
    for (int s = 0; s < pipeline->plan.stage_count; s++)
        ck_assert_msg(pipeline->threads[s].result == result, "stage %d returned %d: %s", s + 1,
                      pipeline->threads[s].result, pipeline->threads[s].error.text);
    follow_checkpoints(pipeline);
}

void pipeline_destroy(struct pipeline *pipeline)
{
    for (int s = 0; s < pipeline->plan.stage_count; s++)
        stage_destroy(pipeline->stages[s]);
    checkpoints_end(&pipeline->checkpoints);
    segment_close(&pipeline->segment);
    network_destroy(pipeline->network);
}

void pipeline_run(struct pipeline *pipeline, const char *const *overrides)
{
    pipeline_create(pipeline, overrides);
    pipeline_start(pipeline);
    pipeline_wait(pipeline, 0);
}

float *pipeline_weights(const struct pipeline *pipeline)
{
    float *weights = malloc(pipeline->network->parameters * sizeof(*weights));

    ck_assert_ptr_nonnull(weights);
    for (int s = 0; s < pipeline->plan.part_count; s++) {
        const struct slice *slice = &pipeline->plan.parts[s].slice;

        memcpy(weights + slice->parameter_offset, part_weights(pipeline->parts[s]),
               slice->parameters * sizeof(*weights));
    }
    return weights;
}

const struct op_record *pipeline_record(const struct pipeline *pipeline, int stage, uint64_t n)
{
    return (const struct op_record *)(uintptr_t)segment_stage(&pipeline->segment, stage)->telemetry.records[n];
}

uint64_t pipeline_record_count(const struct pipeline *pipeline, int stage)
{
    uint64_t count = segment_stage(&pipeline->segment, stage)->telemetry.head;

    ck_assert_uint_lt(count, TELEMETRY_RECORDS);
    return count;
}
