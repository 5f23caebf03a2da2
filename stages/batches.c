#include "stages/batches.h"

#include <stdlib.h>
#include <string.h>

#include "data/data.h"
#include "stages/loader.h"

struct batches {
    const struct segment *segment;
    const struct plan *plan;
    struct dataset *dataset; /* NULL in between the first and the last part */
    enum phase phase;
    int epoch, skipped;
    size_t row_bytes;      /* of a sample's input */
    int *order;            /* [train count] */
    int *test_order;       /* [test count]: 0, 1, 2, ... */
    struct loader *loader; /* part 1 */
};

int batches_rows(const struct batches *batches, int minibatch)
{
    return batches->phase == PHASE_TRAIN ? plan_minibatch_rows(batches->plan, batches->skipped + minibatch)
                                         : plan_test_minibatch_rows(batches->plan, minibatch);
}

static const int *indices(const struct batches *batches, int minibatch)
{
    const int *order = batches->phase == PHASE_TRAIN ? batches->order : batches->test_order;

    return order + (size_t)(batches->skipped + minibatch - 1) * (size_t)batches->plan->config.data.batch;
}

static const struct samples *samples(const struct batches *batches)
{
    return batches->phase == PHASE_TRAIN ? &batches->dataset->train : &batches->dataset->test;
}

static int open_data(struct batches *batches, int data, int parts, struct error *error)
{
    struct data_options options = plan_data_options(&batches->plan->config);

    options.normalisation = &batches->plan->data.normalisation;
    return data > 0 ? dataset_map(&batches->dataset, data, error)
                    : dataset_open(&batches->dataset, &options, parts, error);
}

/* The loader's thread: writes micro-batch j's inputs to its rows of `buffer`. */
static int load(void *context, int minibatch, int j, void *buffer, struct error *error)
{
    struct batches *batches = context;
    const struct config *config = &batches->plan->config;
    const int rows = batches_rows(batches, minibatch), microbatches = config->pipeline.microbatches;
    const int start = microbatch_start(rows, microbatches, j - 1), end = microbatch_start(rows, microbatches, j);
    const int *chosen = indices(batches, minibatch) + start;
    const struct augmentation augmentation = {
        .kind = batches->phase == PHASE_TRAIN ? (enum augment)config->data.augment : AUGMENT_NONE,
        .seed = (uint64_t)config->run.seed,
        .epoch = batches->epoch,
    };
    void *out = (char *)buffer + (size_t)start * batches->row_bytes;

    if (batches->plan->data.tokens)
        return data_gather_tokens(samples(batches), chosen, end - start, config->model.classes, out, error);
    data_gather_images(batches->dataset, samples(batches), chosen, end - start, &augmentation, out);
    return 0;
}

static void tell_loaded(void *context)
{
    const struct batches *batches = context;

    segment_ring_doorbell(batches->segment, 1);
}

static int create_loader(struct batches *batches, struct error *error)
{
    return loader_create(&batches->loader,
                         &(struct loader_job){
                             .context = batches,
                             .load = load,
                             .loaded = tell_loaded,
                             .microbatches = batches->plan->config.pipeline.microbatches,
                             .bytes = (size_t)plan_largest_minibatch_rows(batches->plan) * batches->row_bytes,
                         },
                         error);
}

int batches_create(struct batches **out, const struct segment *segment, int part, struct error *error)
{
    const struct plan *plan = &segment->header->plan;
    int parts = (part == 1 ? DATA_IMAGES : 0) | (part == plan->part_count ? DATA_TARGETS : 0);
    struct batches *batches = calloc(1, sizeof(*batches));

    *out = NULL;
    if (!batches)
        return error_set(error, "out of memory");
    batches->segment = segment;
    batches->plan = plan;
    batches->row_bytes = shape_size(plan->data.shape) * sizeof(float);
    *out = batches;
    if (!parts)
        return 0;
    if (open_data(batches, segment->header->data, parts, error))
        goto fail;
    if (batches->dataset->train.count != plan->data.train_count ||
        batches->dataset->test.count != plan->data.test_count) {
        error_set(error, "the data set has changed since the run was planned");
        goto fail;
    }
    batches->order = calloc((size_t)plan->data.train_count, sizeof(*batches->order));
    batches->test_order = calloc((size_t)plan->data.test_count, sizeof(*batches->test_order));
    if (!batches->order || !batches->test_order) {
        error_set(error, "out of memory for the order of %d samples", plan->data.train_count);
        goto fail;
    }
    for (int i = 0; i < plan->data.test_count; i++)
        batches->test_order[i] = i;
    if (part == 1 && create_loader(batches, error))
        goto fail;
    return 0;
fail:
    batches_destroy(batches);
    *out = NULL;
    return -1;
}

void batches_destroy(struct batches *batches)
{
    if (!batches)
        return;
    loader_destroy(batches->loader);
    if (batches->dataset)
        dataset_close(batches->dataset);
    free(batches->order);
    free(batches->test_order);
    free(batches);
}

void batches_begin(struct batches *batches, enum phase phase, int epoch, int skipped, int first, int last)
{
    const struct plan *plan = batches->plan;

    if (batches->loader)
        loader_pause(batches->loader);
    batches->phase = phase;
    batches->epoch = epoch;
    batches->skipped = skipped;
    if (batches->dataset && phase == PHASE_TRAIN)
        data_order((uint64_t)plan->config.run.seed, epoch, plan->data.train_count, batches->order);
    if (batches->loader)
        loader_resume(batches->loader, first, last);
}

int batches_loaded(const struct batches *batches)
{
    return loader_count(batches->loader);
}

int batches_inputs(struct batches *batches, int minibatch, int first, int j, float *input, struct error *error)
{
    const int rows = batches_rows(batches, minibatch), microbatches = batches->plan->config.pipeline.microbatches;
    const int origin = microbatch_start(rows, microbatches, first - 1);
    const int start = microbatch_start(rows, microbatches, j - 1), end = microbatch_start(rows, microbatches, j);
    const char *loaded = loader_take(batches->loader, minibatch, j, error);

    if (!loaded)
        return -1;
    memcpy((char *)input + (size_t)(start - origin) * batches->row_bytes, loaded + (size_t)start * batches->row_bytes,
           (size_t)(end - start) * batches->row_bytes);
    if (j == microbatches)
        loader_release(batches->loader, minibatch);
    return 0;
}

int batches_targets(struct batches *batches, int minibatch, int32_t *targets, struct error *error)
{
    return data_gather_targets(samples(batches), indices(batches, minibatch), batches_rows(batches, minibatch),
                               batches->plan->config.model.classes, targets, error);
}
