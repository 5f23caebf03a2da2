#include "tests/support/follow.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "tests/support/oracle.h"

/* The versions that the stages say they read, per mini-batch. */
static void read_versions(const struct pipeline *pipeline, int minibatch, struct oracle_versions *versions)
{
    ck_assert_int_le(pipeline->plan.stage_count, 8);
    for (int s = 0; s < pipeline->plan.stage_count; s++)
        for (uint64_t n = 0; n < pipeline_record_count(pipeline, s + 1); n++) {
            const struct op_record *record = pipeline_record(pipeline, s + 1, n);

            if (record->phase != PHASE_TRAIN || record->minibatch != minibatch || record->kind == OP_BACKWARD_WEIGHTS)
                continue;
            for (int j = record->first - 1; j < record->first - 1 + record->count; j++)
                if (record->kind == OP_FORWARD) {
                    versions->forward[s][j] = record->version_read;
                } else {
                    /* A record names the version of its first micro-batch; with the stash each reads its own. */
                    versions->backward[s][j] = pipeline->plan.schedule.backward == BACKWARD_FORWARD
                                                   ? versions->forward[s][j]
                                                   : record->version_read;
                    versions->live[s][j] = record->version_live;
                }
        }
}

double follow_loss(const struct pipeline *pipeline, int minibatch)
{
    int last = pipeline->plan.stage_count;

    for (uint64_t n = 0; n < pipeline_record_count(pipeline, last); n++) {
        const struct op_record *record = pipeline_record(pipeline, last, n);

        if (record->phase == PHASE_TRAIN && record->minibatch == minibatch && record->updated)
            return (double)record->loss;
    }
    ck_abort_msg("mini-batch %d was never trained", minibatch);
}

static struct oracle oracle_of(const struct pipeline *pipeline)
{
    const struct plan *plan = &pipeline->plan;
    struct slice whole = network_slice(pipeline->network, 0, pipeline->network->block_count);
    struct oracle oracle = {
        .stages = plan->stage_count,
        .microbatches = plan->config.pipeline.microbatches,
        .recompute = plan->config.pipeline.backward_activations == ACTIVATIONS_RECOMPUTE,
        .rate = plan->config.train.lr,
        .momentum = plan->config.train.momentum,
        .weight_decay = plan->config.train.weight_decay,
    };
    float *initial = malloc(whole.parameters * sizeof(float)), *state = malloc((whole.state + 1) * sizeof(float));

    network_initialise(pipeline->network, &whole, (uint64_t)plan->config.run.seed, initial, state);
    for (int s = 0; s < plan->stage_count; s++)
        oracle.slices[s] = plan->stages[s].slice;
    oracle_create(&oracle, pipeline->network, initial, plan->minibatches_per_epoch + 1);
    free(initial);
    free(state);
    return oracle;
}

/* Float against double over a few updates: errors grow with depth and steps, so the bound is loose in ulps and tight
 * against any wrong version, micro-batch or scale, which moves a weight by a fraction of the update itself. */
static void assert_weights_follow(const struct pipeline *pipeline, const struct oracle *oracle)
{
    const double *expected = oracle->weights[oracle->updates], *initial = oracle->weights[0];
    float *weights = pipeline_weights(pipeline);
    double difference = 0, movement = 0;

    for (size_t p = 0; p < pipeline->network->parameters; p++) {
        difference += pow((double)weights[p] - expected[p], 2);
        movement += pow(expected[p] - initial[p], 2);
    }
    free(weights);
    ck_assert_msg(movement > 0 && sqrt(difference) <= 2e-3 * sqrt(movement),
                  "weights differ from the oracle by %g of what they moved", sqrt(difference / movement));
}

int follow_oracle(struct settings *settings)
{
    static struct pipeline pipeline;
    struct data_options options;
    struct dataset *dataset;
    struct oracle oracle;
    struct error error;
    const struct config *config = &pipeline.plan.config;
    int *order, differences = 0;

    pipeline_run(&pipeline, settings_list(settings));
    oracle = oracle_of(&pipeline);
    options = plan_data_options(config);
    ck_assert_int_eq(dataset_open(&dataset, &options, DATA_IMAGES | DATA_LABELS, &error), 0);
    order = malloc((size_t)dataset->train.count * sizeof(*order));
    data_order((uint64_t)config->run.seed, 1, dataset->train.count, order);
    for (int i = 1; i <= pipeline.plan.minibatches_per_epoch; i++) {
        int rows = plan_minibatch_rows(&pipeline.plan, i);
        const int *indices = order + (i - 1) * config->data.batch;
        float *images = malloc((size_t)rows * shape_size(dataset->train.shape) * sizeof(*images));
        uint8_t labels[64];
        struct oracle_versions versions;
        struct augmentation none = {0};
        double loss;

        memset(&versions, -1, sizeof(versions));
        read_versions(&pipeline, i, &versions);
        for (int s = 0; s < oracle.stages; s++)
            for (int j = 0; j < oracle.microbatches; j++)
                versions.significance[s][j] =
                    exp(-config->staleness.decay * (versions.live[s][j] - versions.forward[s][j]));
        data_gather_images(dataset, &dataset->train, indices, rows, &none, images);
        data_gather_labels(&dataset->train, indices, rows, labels);
        loss = oracle_train(&oracle, images, labels, rows, &versions);
        ck_assert_msg(fabs(loss - follow_loss(&pipeline, i)) <= 2e-4 * (1 + fabs(loss)),
                      "mini-batch %d: loss %g, oracle %g", i, follow_loss(&pipeline, i), loss);
        for (int s = 0; s < oracle.stages; s++)
            for (int j = 0; j < oracle.microbatches; j++)
                differences += versions.forward[s][j] != versions.backward[s][j];
        free(images);
    }
    assert_weights_follow(&pipeline, &oracle);
    free(order);
    dataset_close(dataset);
    oracle_destroy(&oracle);
    pipeline_destroy(&pipeline);
    return differences;
}
