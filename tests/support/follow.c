#include "tests/support/follow.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "tests/support/oracle.h"

/* The versions that the stages say they read, per mini-batch. */
static void read_versions(const struct pipeline *pipeline, int epoch, int minibatch, struct oracle_versions *versions)
{
    ck_assert_int_le(pipeline->plan.part_count, 8);
    for (int s = 0; s < pipeline->plan.part_count; s++)
        for (uint64_t n = 0; n < pipeline_record_count(pipeline, s + 1); n++) {
            const struct op_record *record = pipeline_record(pipeline, s + 1, n);

            if (record->phase != PHASE_TRAIN || record->epoch != epoch || record->minibatch != minibatch ||
                record->kind == OP_BACKWARD_WEIGHTS)
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

static double recorded_loss(const struct pipeline *pipeline, int epoch, int minibatch)
{
    int last = pipeline->plan.part_count;

    for (uint64_t n = 0; n < pipeline_record_count(pipeline, last); n++) {
        const struct op_record *record = pipeline_record(pipeline, last, n);

        if (record->phase == PHASE_TRAIN && record->epoch == epoch && record->minibatch == minibatch && record->updated)
            return (double)record->loss;
    }
    ck_abort_msg("mini-batch %d was never trained", minibatch);
}

static struct oracle oracle_of(const struct pipeline *pipeline)
{
    const struct plan *plan = &pipeline->plan;
    struct slice whole = network_slice(pipeline->network, 0, pipeline->network->block_count);
    struct oracle oracle = {
        .stages = plan->part_count,
        .microbatches = plan->config.pipeline.microbatches,
        .recompute = plan->config.pipeline.backward_activations == ACTIVATIONS_RECOMPUTE,
        .seed = (uint64_t)plan->config.run.seed,
        .momentum = plan->config.train.momentum,
        .weight_decay = plan->config.train.weight_decay,
        .clip_norm = plan->schedule.order.flush ? plan->config.train.clip_norm : 0,
    };
    float *initial = malloc(whole.parameters * sizeof(float)), *state = malloc((whole.state + 1) * sizeof(float));

    network_initialise(pipeline->network, &whole, (uint64_t)plan->config.run.seed, initial, state);
    for (int s = 0; s < plan->part_count; s++)
        oracle.slices[s] = plan->parts[s].slice;
    oracle_create(&oracle, pipeline->network, initial, plan->config.run.epochs * plan->minibatches_per_epoch + 1);
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

double follow_loss(const struct pipeline *pipeline, int minibatch)
{
    return recorded_loss(pipeline, 1, minibatch);
}

/* The documented rate after t updates: a linear warm-up from 0, times a cosine that ends at 0. */
static double rate_at(const struct plan *plan, int t)
{
    const struct config *config = &plan->config;
    double epoch = (double)t / plan->minibatches_per_epoch, rate = config->train.lr;

    if (config->train.warmup_epochs > 0)
        rate *= fmin(1, (t + 1) / (config->train.warmup_epochs * plan->minibatches_per_epoch));
    return config->train.lr_schedule == RATE_COSINE ? rate * (1 + cos(M_PI * epoch / config->run.epochs)) / 2 : rate;
}

/* Samples indices[0..rows-1], or the first ones if NULL; the caller frees. */
static float *images_of(const struct dataset *dataset, const struct samples *samples, const int *indices, int rows,
                        uint8_t *labels)
{
    float *images = malloc((size_t)rows * shape_size(samples->shape) * sizeof(*images));
    int *first = malloc((size_t)rows * sizeof(*first));
    struct augmentation none = {0};

    for (int r = 0; r < rows; r++)
        first[r] = indices ? indices[r] : r;
    data_gather_images(dataset, samples, first, rows, &none, images);
    data_gather_labels(samples, first, rows, labels);
    free(first);
    return images;
}

enum { LABELS_MAX = 64 };

/* Whether stage W took what was committed: never more than stage 1 had applied by the end of the run, and the same at
 * every stage. Forwards pinned at stage 1 read that version everywhere. */
static void check_vertical(const struct plan *plan, const struct oracle_versions *versions)
{
    for (int s = 0; s < plan->part_count; s++)
        for (int j = 0; j < plan->schedule.microbatches; j++) {
            ck_assert_int_ge(versions->forward[s][j], 0);
            ck_assert_int_ge(versions->backward[s][j], plan->schedule.backward == BACKWARD_INTERMEDIATE ? -1 : 0);
            if (plan->schedule.forward == FORWARD_PINNED)
                ck_assert_int_eq(versions->forward[s][j], versions->forward[0][j]);
            if (plan->schedule.backward == BACKWARD_COMMITTED)
                ck_assert_int_eq(versions->backward[s][j], versions->backward[0][j]);
        }
}

static int train_oracle(struct oracle *oracle, const struct pipeline *pipeline, const struct dataset *dataset,
                        int epoch, const int *order)
{
    const struct plan *plan = &pipeline->plan;
    const struct config *config = &plan->config;
    int differences = 0;

    for (int i = 1; i <= plan->minibatches_per_epoch; i++) {
        int rows = plan_minibatch_rows(plan, i);
        struct oracle_versions versions;
        uint8_t labels[LABELS_MAX];
        float *images = images_of(dataset, &dataset->train, order + (i - 1) * config->data.batch, rows, labels);
        double loss;

        memset(&versions, -1, sizeof(versions));
        read_versions(pipeline, epoch, i, &versions);
        check_vertical(plan, &versions);
        for (int s = 0; s < oracle->stages; s++)
            for (int j = 0; j < oracle->microbatches; j++) {
                versions.significance[s][j] =
                    exp(-config->staleness.decay * (versions.live[s][j] - versions.forward[s][j]));
                differences += versions.forward[s][j] != versions.backward[s][j];
            }
        oracle->rate = rate_at(plan, oracle->updates);
        loss = oracle_train(oracle, images, labels, rows, &versions);
        ck_assert_msg(fabs(loss - recorded_loss(pipeline, epoch, i)) <= 2e-4 * (1 + fabs(loss)),
                      "mini-batch %d of epoch %d: loss %g, oracle %g", i, epoch, recorded_loss(pipeline, epoch, i),
                      loss);
        free(images);
    }
    return differences;
}

static void check_evaluation(struct oracle *oracle, const struct pipeline *pipeline, const struct dataset *dataset,
                             int epoch)
{
    const struct epoch_result *result = &pipeline->segment.board->epochs[epoch - 1];
    int rows = dataset->test.count, top1;
    uint8_t labels[LABELS_MAX];
    float *images = images_of(dataset, &dataset->test, NULL, rows, labels);
    double loss = oracle_evaluate(oracle, images, labels, rows, &top1);

    ck_assert_msg(fabs(loss - result->test_loss) <= 1e-3 * (1 + fabs(loss)), "test loss %g, oracle %g",
                  result->test_loss, loss);
    ck_assert_int_eq(lround(result->test_top1 * rows), top1);
    free(images);
}

int follow_oracle(struct settings *settings)
{
    static struct pipeline pipeline;
    const struct config *config = &pipeline.plan.config;
    struct data_options options;
    struct dataset *dataset;
    struct oracle oracle;
    struct error error;
    int *order, differences = 0;

    pipeline_run(&pipeline, settings_list(settings));
    oracle = oracle_of(&pipeline);
    options = plan_data_options(config);
    ck_assert_int_eq(dataset_open(&dataset, &options, DATA_IMAGES | DATA_LABELS, &error), 0);
    ck_assert(config->data.batch <= LABELS_MAX && dataset->test.count <= LABELS_MAX);
    order = malloc((size_t)dataset->train.count * sizeof(*order));
    for (int epoch = 1; epoch <= config->run.epochs; epoch++) {
        data_order((uint64_t)config->run.seed, epoch, dataset->train.count, order);
        differences += train_oracle(&oracle, &pipeline, dataset, epoch, order);
        check_evaluation(&oracle, &pipeline, dataset, epoch);
    }
    assert_weights_follow(&pipeline, &oracle);
    free(order);
    dataset_close(dataset);
    oracle_destroy(&oracle);
    pipeline_destroy(&pipeline);
    return differences;
}
