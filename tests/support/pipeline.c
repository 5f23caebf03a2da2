#include "tests/support/pipeline.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/probe.h"
#include "data/data.h"

enum { OVERRIDES_MAX = 32 };

/* Earlier ones give way to a test's own. */
static const char *const defaults[] = {
    "data.set=synthetic", "data.limit=40", "data.batch=8", "model.arch=mlp", "run.epochs=1", "device.backend=reference",
};

static int collect(const char *const *overrides, const char *all[OVERRIDES_MAX])
{
    int count = 0, given = 0;

    while (overrides[given])
        given++;
    for (size_t d = 0; d < sizeof(defaults) / sizeof(defaults[0]); d++) {
        size_t key = (size_t)(strchr(defaults[d], '=') - defaults[d]) + 1;
        int i;

        for (i = 0; i < given && strncmp(defaults[d], overrides[i], key); i++)
            ;
        if (i == given)
            all[count++] = defaults[d];
    }
    for (int i = 0; i < given; i++) {
        ck_assert_int_lt(count, OVERRIDES_MAX);
        all[count++] = overrides[i];
    }
    return count;
}

static struct data_facts data_facts(const struct config *config)
{
    struct data_options options = plan_data_options(config);
    struct data_facts facts;
    struct dataset *dataset;
    struct error error;

    ck_assert_msg(!dataset_open(&dataset, &options, DATA_IMAGES | DATA_LABELS, &error), "%s", error.text);
    facts = (struct data_facts){dataset->train.count, dataset->test.count, dataset->train.shape};
    dataset_close(dataset);
    return facts;
}

void pipeline_create(struct pipeline *pipeline, const char *const *overrides)
{
    const char *all[OVERRIDES_MAX];
    int count = collect(overrides, all);
    static struct config_mistakes mistakes;
    struct layer_cost *costs;
    struct data_facts facts;
    struct config config;
    struct error error;

    memset(pipeline, 0, sizeof(*pipeline));
    ck_assert_msg(!config_load(&config, "/dev/null", all, count, &mistakes), "%s", mistakes.lines[0]);
    facts = data_facts(&config);
    ck_assert_msg(!plan_begin(&pipeline->plan, &config, &facts, &pipeline->network, &mistakes), "%s",
                  mistakes.count ? mistakes.lines[0] : "?");
    costs = calloc((size_t)pipeline->network->layer_count, sizeof(*costs));
    ck_assert_msg(
        !probe_costs(&pipeline->plan, pipeline->network, plan_wants_seconds(&pipeline->plan), costs, &error) &&
            !plan_finish(&pipeline->plan, pipeline->network, costs, &error) &&
            !segment_create_private(&pipeline->segment, &pipeline->plan, &error),
        "%s", error.text);
    free(costs);
    for (int s = 1; s <= pipeline->plan.stage_count; s++)
        ck_assert_msg(!stage_create(&pipeline->stages[s - 1], &pipeline->segment, s, &error), "%s", error.text);
}

static void *run_stage(void *context)
{
    struct pipeline_thread *thread = context;

    thread->result = stage_run(thread->stage, &thread->error);
    return NULL;
}

void pipeline_start(struct pipeline *pipeline)
{
    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        pipeline->threads[s].stage = pipeline->stages[s];
        ck_assert_int_eq(pthread_create(&pipeline->threads[s].thread, NULL, run_stage, &pipeline->threads[s]), 0);
    }
}

void pipeline_wait(struct pipeline *pipeline, int result)
{
    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        pthread_join(pipeline->threads[s].thread, NULL);
        if (pipeline->threads[s].result)
            segment_abort(&pipeline->segment);
    }
    for (int s = 0; s < pipeline->plan.stage_count; s++)
        ck_assert_msg(pipeline->threads[s].result == result, "stage %d returned %d: %s", s + 1,
                      pipeline->threads[s].result, pipeline->threads[s].error.text);
}

void pipeline_destroy(struct pipeline *pipeline)
{
    for (int s = 0; s < pipeline->plan.stage_count; s++)
        stage_destroy(pipeline->stages[s]);
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
    for (int s = 0; s < pipeline->plan.stage_count; s++) {
        const struct slice *slice = &pipeline->plan.stages[s].slice;

        memcpy(weights + slice->parameter_offset, stage_weights(pipeline->stages[s]),
               slice->parameters * sizeof(*weights));
    }
    return weights;
}

const struct op_record *pipeline_record(const struct pipeline *pipeline, int stage, uint64_t n)
{
    return &segment_stage(&pipeline->segment, stage)->telemetry.records[n];
}

uint64_t pipeline_record_count(const struct pipeline *pipeline, int stage)
{
    uint64_t count = segment_stage(&pipeline->segment, stage)->telemetry.head;

    ck_assert_uint_lt(count, TELEMETRY_RECORDS);
    return count;
}
