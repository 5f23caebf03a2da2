#include "tests/support/follow.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "tests/support/oracle.h"

/* A sum is no version; it starts from the live one. */
static void check_reads(const struct pipeline *pipeline, const struct op_record *record)
{
    const struct schedule *schedule = &pipeline->plan.schedule;
    const bool sum = record->kind == OP_FORWARD ? schedule->forward >= FORWARD_SPECTRAIN
                                                : schedule->backward >= BACKWARD_INTERMEDIATE;

    ck_assert_int_eq(record->version_read < 0, sum);
    if (record->kind == OP_FORWARD)
        ck_assert_int_eq(record->version_forward, sum ? record->version_live : record->version_read);
}

/* The versions that the stages say they read, per mini-batch. */
static void read_versions(const struct pipeline *pipeline, int epoch, int minibatch, struct oracle_versions *versions)
{
    ck_assert_int_le(pipeline->plan.part_count, 8);
    for (int s = 0; s < pipeline->plan.part_count; s++)
        for (uint64_t n = 0; n < pipeline_record_count(pipeline, s + 1); n++) {
            const struct op_record *record = pipeline_record(pipeline, s + 1, n);

            if (record->phase != PHASE_TRAIN || record->epoch != epoch || record->minibatch != minibatch)
                continue;
            if (record->updated)
                versions->last[s] = record->first - 1;
            if (record->kind == OP_BACKWARD_WEIGHTS)
                continue;
            check_reads(pipeline, record);
            for (int j = record->first - 1; j < record->first - 1 + record->count; j++)
                if (record->kind == OP_FORWARD) {
                    versions->forward[s][j] = record->version_forward;
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

/* The most mini-batches that stage s (0-based) had between first forward and update. */
static int count_in_flight(const struct pipeline *pipeline, int s)
{
    int in_flight = 0, most = 0;

    for (uint64_t n = 0; n < pipeline_record_count(pipeline, s + 1); n++) {
        const struct op_record *record = pipeline_record(pipeline, s + 1, n);

        if (record->phase != PHASE_TRAIN)
            continue;
        in_flight += record->kind == OP_FORWARD && record->first == 1;
        most = in_flight > most ? in_flight : most;
        in_flight -= record->updated;
    }
    return most;
}

/* tau of stage s (0-based) in the full pipeline: the other mini-batches in flight there. An activation comes back as a
 * gradient after 2 (W - s) slots, in which a stage begins at most W - s mini-batches; micro-batches one by one are W - s
 * in flight beside the newest. */
static int nominal_staleness(const struct pipeline *pipeline, int s)
{
    const struct plan *plan = &pipeline->plan;
    const int behind = plan->part_count - 1 - s, microbatches = plan->schedule.microbatches;
    const int slots = plan->schedule.order.whole_backward ? 2 * behind : behind;
    int tau = (slots + microbatches - 1) / microbatches;

    if (plan->schedule.order.flush)
        return 0;
    tau = tau < behind ? tau : behind;
    tau = tau < plan->minibatches_per_epoch ? tau : plan->minibatches_per_epoch - 1;
    if (plan->config.pipeline.order == RUN_STATIC)
        ck_assert_int_eq(tau, count_in_flight(pipeline, s) - 1);
    return tau;
}

/* Of the systems, nesterov-async alone has another than sgd. */
static enum method_optimizer optimizer_of(const struct config *config)
{
    static const char *const names[] = {[METHOD_SGD] = "sgd", [METHOD_ADAMW] = "adamw", [METHOD_NADAMW] = "nadamw"};

    for (int k = 0; k < (int)(sizeof(names) / sizeof(names[0])); k++)
        if (strcmp(config->train.optimizer, names[k]) == 0)
            return (enum method_optimizer)k;
    return strcmp(config->pipeline.system, "nesterov-async") == 0 ? METHOD_NADAMW : METHOD_SGD;
}

static struct method method_of(const struct pipeline *pipeline)
{
    const struct plan *plan = &pipeline->plan;
    const struct config *config = &plan->config;
    struct method method = {
        .forward = plan->schedule.forward,
        .backward = plan->schedule.backward,
        .update = plan->schedule.update,
        .optimizer = optimizer_of(config),
        .nesterov = config->train.nesterov,
        .momentum = config->train.momentum,
        .weight_decay = config->train.weight_decay,
        .beta1 = config->train.beta1,
        .beta2 = config->train.beta2,
        .epsilon = config->train.epsilon,
        .momentum_decay = config->train.momentum_decay,
        .clip_norm = config->train.clip_norm,
        .together = plan->schedule.order.flush ? pipeline->network->parameters : 0,
        .significance = (enum significance)config->staleness.significance,
        .decay = config->staleness.decay,
        .discrepancy = config->staleness.discrepancy,
        .long_momentum = config->staleness.momentum,
        .strength = config->staleness.strength,
        .peak_rate = config->train.lr,
        .further = config->staleness.further,
        .anneal = (int)fmax(1, round(config->staleness.anneal * plan->minibatches_per_epoch)),
        .measured = config->staleness.measure == STALENESS_MEASURED,
        .stages = plan->part_count,
    };

    method.decays_norms = config->train.decay_norms == DECAY_YES ||
                          (config->train.decay_norms == DECAY_AS_OPTIMIZER && method.optimizer == METHOD_SGD);
    for (int s = 0; s < plan->part_count; s++)
        method.nominal[s] = nominal_staleness(pipeline, s);
    return method;
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

/* The network before training; the caller frees. */
static float *initial_weights(const struct pipeline *pipeline)
{
    struct slice whole = network_slice(pipeline->network, 0, pipeline->network->block_count);
    float *initial = malloc(whole.parameters * sizeof(float)), *state = malloc((whole.state + 1) * sizeof(float));

    network_initialise(pipeline->network, &whole, (uint64_t)pipeline->plan.config.run.seed, initial, state);
    free(state);
    return initial;
}

static struct oracle oracle_of(const struct pipeline *pipeline, const float *initial)
{
    const struct plan *plan = &pipeline->plan;
    struct oracle oracle = {
        .microbatches = plan->config.pipeline.microbatches,
        .recompute = plan->config.pipeline.backward_activations == ACTIVATIONS_RECOMPUTE,
        .seed = (uint64_t)plan->config.run.seed,
        .method = method_of(pipeline),
    };

    for (int s = 0; s < plan->part_count; s++)
        oracle.slices[s] = plan->parts[s].slice;
    oracle_create(&oracle, pipeline->network, initial, plan->config.run.epochs * plan->minibatches_per_epoch + 1);
    for (int k = 0; k < oracle.capacity; k++)
        oracle.versions[k].rate = rate_at(plan, k);
    return oracle;
}

/* Gap-aware divides by how many steps wide a gap is. Where gradients hardly move a weight, a gap is a rounding wide or none,
 * and the next gradient is halved or is not: such weights are few, but the others follow them. */
static double slack(const struct plan *plan)
{
    return plan->schedule.update == UPDATE_GAP_AWARE ? 10 : 1;
}

/* Float against double over a few updates: errors grow with depth and steps, so the bound is loose in ulps and tight
 * against any wrong version, micro-batch or scale, which moves a weight by a fraction of the update itself. */
static void assert_weights_follow(const struct pipeline *pipeline, const struct oracle *oracle, const float *initial)
{
    const double *expected = oracle->versions[oracle->updates].weights;
    float *weights = pipeline_weights(pipeline);
    double difference = 0, movement = 0;

    for (size_t p = 0; p < pipeline->network->parameters; p++) {
        difference += pow((double)weights[p] - expected[p], 2);
        movement += pow(expected[p] - (double)initial[p], 2);
    }
    free(weights);
    ck_assert_msg(movement > 0 && sqrt(difference) <= slack(&pipeline->plan) * 2e-3 * sqrt(movement),
                  "weights differ from the oracle by %g of what they moved", sqrt(difference / movement));
}

double follow_loss(const struct pipeline *pipeline, int minibatch)
{
    return recorded_loss(pipeline, 1, minibatch);
}

/* Samples indices[0..rows-1], or the first ones if NULL; the caller frees. */
static float *images_of(const struct dataset *dataset, const struct samples *samples, const int *indices, int rows,
                        int32_t *targets)
{
    float *images = malloc((size_t)rows * shape_size(samples->shape) * sizeof(*images));
    int *first = malloc((size_t)rows * sizeof(*first));
    struct augmentation none = {0};
    struct error error;

    for (int r = 0; r < rows; r++)
        first[r] = indices ? indices[r] : r;
    data_gather_images(dataset, samples, first, rows, &none, images);
    ck_assert_int_eq(data_gather_targets(samples, first, rows, INT32_MAX, targets, &error), 0);
    free(first);
    return images;
}

enum { TARGETS_MAX = 64 };

/* Whether stage W took what was committed: never more than stage 1 had applied by the end of the run, and the same at
 * every stage. Forwards pinned at stage 1 read that version everywhere. */
static void check_vertical(const struct plan *plan, const struct oracle_versions *versions)
{
    for (int s = 0; s < plan->part_count; s++)
        for (int j = 0; j < plan->schedule.microbatches; j++) {
            ck_assert_int_ge(versions->forward[s][j], 0);
            ck_assert_int_ge(versions->backward[s][j], plan->schedule.backward >= BACKWARD_INTERMEDIATE ? -1 : 0);
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
        int32_t targets[TARGETS_MAX];
        float *images = images_of(dataset, &dataset->train, order + (i - 1) * config->data.batch, rows, targets);
        double loss;

        memset(&versions, -1, sizeof(versions));
        read_versions(pipeline, epoch, i, &versions);
        check_vertical(plan, &versions);
        for (int s = 0; s < oracle->method.stages; s++)
            for (int j = 0; j < oracle->microbatches; j++) {
                ck_assert_int_eq(versions.live[s][j], oracle->updates);
                differences += versions.forward[s][j] != versions.backward[s][j];
            }
        loss = oracle_train(oracle, images, targets, rows, &versions);
        ck_assert_msg(fabs(loss - recorded_loss(pipeline, epoch, i)) <= slack(plan) * 2e-4 * (1 + fabs(loss)),
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
    int32_t targets[TARGETS_MAX];
    float *images = images_of(dataset, &dataset->test, NULL, rows, targets);
    double loss = oracle_evaluate(oracle, images, targets, rows, &top1);

    ck_assert_msg(fabs(loss - result->test_loss) <= slack(&pipeline->plan) * 1e-3 * (1 + fabs(loss)),
                  "test loss %g, oracle %g", result->test_loss, loss);
    ck_assert_int_eq(lround(result->test_top1 * rows), top1);
    free(images);
}

struct followed follow_oracle(struct settings *settings)
{
    static struct pipeline pipeline;
    const struct config *config = &pipeline.plan.config;
    struct data_options options;
    struct dataset *dataset;
    struct oracle oracle;
    struct error error;
    struct followed followed = {0};
    float *initial;
    int *order;

    pipeline_run(&pipeline, settings_list(settings));
    initial = initial_weights(&pipeline);
    oracle = oracle_of(&pipeline, initial);
    options = plan_data_options(config);
    ck_assert_int_eq(dataset_open(&dataset, &options, DATA_IMAGES | DATA_TARGETS, &error), 0);
    ck_assert(config->data.batch <= TARGETS_MAX && dataset->test.count <= TARGETS_MAX);
    order = malloc((size_t)dataset->train.count * sizeof(*order));
    for (int epoch = 1; epoch <= config->run.epochs; epoch++) {
        data_order((uint64_t)config->run.seed, epoch, dataset->train.count, order);
        followed.differences += train_oracle(&oracle, &pipeline, dataset, epoch, order);
        check_evaluation(&oracle, &pipeline, dataset, epoch);
    }
    assert_weights_follow(&pipeline, &oracle, initial);
    free(initial);
    followed.forwards = oracle.changed_forwards;
    followed.backwards = oracle.changed_backwards;
    followed.updates = oracle.changed_updates;
    free(order);
    dataset_close(dataset);
    oracle_destroy(&oracle);
    pipeline_destroy(&pipeline);
    return followed;
}
