/* Goal of this test: nothing trained is lost. A run that was stopped anywhere and goes on from its checkpoint computes
 * the same bits as one that was never stopped; with another partition it begins with exactly the weights that were
 * saved; of the sets in its folder the newest that is whole is taken. Stages are threads. */
#include <check.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"
#include "tests/support/compare.h"
#include "tests/support/saved.h"
#include "tests/support/suite.h"

static struct saved saved;

static void set_up(void)
{
    saved_set_up(&saved);
}

static void tear_down(void)
{
    saved_tear_down(&saved);
}

/* All that a run leaves behind. */
struct result {
    size_t parameters, state;
    float *weights, *statistics;
    struct epoch_result epochs[SAVED_EPOCHS];
    int epochs_done;
};

static struct result result_of(const struct pipeline *pipeline)
{
    struct result result = {.parameters = pipeline->network->parameters,
                            .state = pipeline->network->state,
                            .weights = pipeline_weights(pipeline),
                            .statistics = calloc(pipeline->network->state + 1, sizeof(float)),
                            .epochs_done = pipeline->segment.board->epochs_done};

    for (int s = 0; s < pipeline->plan.part_count; s++) {
        const struct slice *slice = &pipeline->plan.parts[s].slice;

        memcpy(result.statistics + slice->state_offset, part_state(pipeline->parts[s]), slice->state * sizeof(float));
    }
    memcpy(result.epochs, pipeline->segment.board->epochs, sizeof(result.epochs));
    return result;
}

static void result_free(struct result *result)
{
    free(result->weights);
    free(result->statistics);
}

static void assert_equal(const struct result *a, const struct result *b)
{
    ck_assert_same("weights", a->weights, b->weights, a->parameters);
    ck_assert_same("running statistics", a->statistics, b->statistics, a->state);
    ck_assert_int_eq(a->epochs_done, b->epochs_done);
    for (int e = 0; e < a->epochs_done; e++) {
        ck_assert_mem_eq(&a->epochs[e].train_loss, &b->epochs[e].train_loss, 4 * sizeof(double));
        ck_assert_int_eq(a->epochs[e].trained_samples, b->epochs[e].trained_samples);
        ck_assert_int_eq(a->epochs[e].tested_samples, b->epochs[e].tested_samples);
    }
}

/* The mini-batch, as stop_point(), whose checkpoint the next runs pass; 0: none. */
static uint64_t pass_at;

/* Runs from `from`, or from the beginning, to the end, or to where `stop` says. */
static struct result run(struct settings *settings, struct checkpoint_set *from, uint64_t stop)
{
    static struct pipeline pipeline;
    struct result result;

    pipeline_create_in(&pipeline, settings_list(settings), &saved.folder, from);
    atomic_store(&pipeline.segment.board->stopped_at, stop);
    atomic_store(&pipeline.segment.board->save_at, pass_at);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.checkpoints.failed, 0);
    result = result_of(&pipeline);
    pipeline_destroy(&pipeline);
    return result;
}

static void run_discarded(struct settings *settings, struct checkpoint_set *from, uint64_t stop)
{
    saved_run_discarded(&saved, settings, from, stop);
}

static struct result resume(struct settings *settings, uint64_t stop)
{
    struct checkpoint_set set = saved_newest(&saved);
    struct result result = run(settings, &set, stop);

    set_release(&set);
    return result;
}

static const struct {
    const char *arch;
    int stages, microbatches;
} shapes[] = {{"mlp", 1, 2},
              {"mlp", 2, 1},
              {"mlp", 3, 3},
              {"resnet8", 4, 1},
              {"resnet8", 5, 2},
              {"resnet8", 4, 4},
              {"tests/networks/dropout.net", 3, 2}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]), SYSTEMS = 10, MINIBATCHES = 5 };

/* The methods against staleness share PipeDream's order: tests/test_resume_rules.c resumes them. */
static bool is_method(const struct system *system)
{
    return system->order == ORDER_1F1B && strcmp(system->name, "pipedream") != 0;
}

static bool fits(const struct system *system, int stages, int microbatches)
{
    const int needed = orders[system->order].microbatches;

    return !is_method(system) && (needed == 0 || microbatches == needed) &&
           (system->forward != FORWARD_DOUBLE_BUFFERED || microbatches >= stages);
}

/* Stopped after every mini-batch of the first epoch and resumed, then stopped again in the second. */
START_TEST(resumed_runs_equal_uninterrupted_ones_bit_for_bit)
{
    const struct system *system = &systems[_i % SYSTEMS];
    const int stages = shapes[_i / SYSTEMS].stages, microbatches = shapes[_i / SYSTEMS].microbatches;
    struct settings settings = saved_settings(system->name, shapes[_i / SYSTEMS].arch, stages, microbatches);
    struct result whole, resumed;

    if (!fits(system, stages, microbatches))
        return;
    whole = run(&settings, NULL, UINT64_MAX);
    ck_assert_int_eq(whole.epochs_done, SAVED_EPOCHS);
    /* All k for three stages; every other for the rest. */
    for (int k = 1 + (stages != 3 && _i % 2); k < MINIBATCHES; k += 1 + (stages != 3)) {
        tear_down();
        set_up();
        run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, k));
        if (k % 2) {
            resumed = resume(&settings, k + 1 < MINIBATCHES ? stop_point(1, PHASE_TRAIN, k + 1) : UINT64_MAX);
            result_free(&resumed);
        }
        resumed = resume(&settings, stop_point(2, PHASE_TRAIN, MINIBATCHES - k));
        result_free(&resumed);
        resumed = resume(&settings, UINT64_MAX);
        assert_equal(&whole, &resumed);
        result_free(&resumed);
    }
    result_free(&whole);
}
END_TEST

/* The same of lists that were made for other times than units. */
START_TEST(lists_for_other_times_resume_bit_for_bit)
{
    const struct system *system = &systems[_i % SYSTEMS];
    const int microbatches = fits(system, 3, 3) ? 3 : 1;
    struct settings settings = saved_settings(system->name, "mlp", 3, microbatches);
    struct result whole, resumed;

    settings_set(&settings, "pipeline.static", _i < SYSTEMS ? "nominal" : "measured");
    settings_set(&settings, "simulation.forward_ms", "3,2,4");
    settings_set(&settings, "simulation.backward_ms", "5,11,6");
    settings_set(&settings, "simulation.backward_input_ms", "2,4,3");
    settings_set(&settings, "simulation.backward_weights_ms", "3,4,5");
    settings_set(&settings, "simulation.update_ms", "1");
    whole = run(&settings, NULL, UINT64_MAX);
    for (int k = 1; k < MINIBATCHES; k++) {
        tear_down();
        set_up();
        run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, k));
        resumed = resume(&settings, UINT64_MAX);
        assert_equal(&whole, &resumed);
        result_free(&resumed);
    }
    result_free(&whole);
}
END_TEST

static const struct {
    const char *system;
    int stages, parts;
    const char *placement;
    int microbatches;
} several[] = {
    {"interleaved-1f1b", 1, 3, "loop", 2}, {"interleaved-1f1b", 2, 2, "loop", 4},
    {"breadth-first", 2, 2, "loop", 3},    {"zb-v", 2, 2, "v", 3},
    {"dualpipe-v", 2, 2, "v", 4},
};
enum { SEVERAL = sizeof(several) / sizeof(several[0]) };

/* And of stages that host several parts: stopped, and as after a death from a checkpoint that was passed. */
START_TEST(several_parts_resume_bit_for_bit)
{
    struct settings settings =
        saved_settings(several[_i].system, "resnet8", several[_i].stages, several[_i].microbatches);
    struct result whole, other;

    settings_number(&settings, "pipeline.parts", several[_i].parts);
    settings_set(&settings, "pipeline.placement", several[_i].placement);
    settings_set(&settings, "checkpoints.keep", "100");
    whole = run(&settings, NULL, UINT64_MAX);
    ck_assert_int_eq(whole.epochs_done, SAVED_EPOCHS);
    for (int k = 1; k < MINIBATCHES; k++) {
        struct checkpoint_set set;
        struct error error;
        char name[64];

        tear_down();
        set_up();
        run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, k));
        other = resume(&settings, UINT64_MAX);
        assert_equal(&whole, &other);
        result_free(&other);
        tear_down();
        set_up();
        pass_at = stop_point(1, PHASE_TRAIN, k);
        other = run(&settings, NULL, UINT64_MAX);
        pass_at = 0;
        assert_equal(&whole, &other);
        result_free(&other);
        snprintf(name, sizeof(name), "epoch-%04d-minibatch-%06d", 1, k);
        ck_assert_msg(!set_open(&set, &saved.folder, name, &error), "%s", error.text);
        other = run(&settings, &set, UINT64_MAX);
        assert_equal(&whole, &other);
        result_free(&other);
        set_release(&set);
    }
    result_free(&whole);
}
END_TEST

/* A checkpoint after a mini-batch of the first or second epoch, past which the run goes on: it changes nothing of what is
 * computed; and who goes on from it, as after a death, computes the same. */
START_TEST(a_checkpoint_that_is_passed_changes_nothing_and_is_gone_on_from_bit_for_bit)
{
    const struct system *system = &systems[_i % SYSTEMS];
    const int stages = shapes[_i / SYSTEMS].stages, microbatches = shapes[_i / SYSTEMS].microbatches;
    struct settings settings = saved_settings(system->name, shapes[_i / SYSTEMS].arch, stages, microbatches);
    struct result whole, other;

    if (!fits(system, stages, microbatches))
        return;
    settings_set(&settings, "checkpoints.keep", "100");
    whole = run(&settings, NULL, UINT64_MAX);
    for (int k = 1 + (stages != 3 && _i % 2); k < MINIBATCHES; k += 1 + (stages != 3)) {
        const int epoch = 1 + (k + _i) % SAVED_EPOCHS;
        char name[64];
        struct checkpoint_set set;
        struct error error;

        tear_down();
        set_up();
        pass_at = stop_point(epoch, PHASE_TRAIN, k);
        other = run(&settings, NULL, UINT64_MAX);
        assert_equal(&whole, &other);
        result_free(&other);
        snprintf(name, sizeof(name), "epoch-%04d-minibatch-%06d", epoch, k);
        ck_assert_msg(!set_open(&set, &saved.folder, name, &error), "%s", error.text);
        /* And, passing another one, from there. */
        pass_at = stop_point(SAVED_EPOCHS, PHASE_TRAIN, MINIBATCHES - 1);
        other = run(&settings, &set, UINT64_MAX);
        assert_equal(&whole, &other);
        result_free(&other);
        set_release(&set);
        other = resume(&settings, UINT64_MAX);
        assert_equal(&whole, &other);
        result_free(&other);
        pass_at = 0;
    }
    result_free(&whole);
}
END_TEST

/* As often as it is asked for, by mini-batches: none is lost but those that come while the one before is under way. */
START_TEST(checkpoints_every_few_minibatches_change_nothing)
{
    const struct system *system = &systems[_i % SYSTEMS];
    struct settings settings = saved_settings(system->name, "mlp", 3, orders[system->order].microbatches ? 1 : 3);
    struct result whole, passed;
    char name[128];
    int found = 0;

    whole = run(&settings, NULL, UINT64_MAX);
    tear_down();
    set_up();
    settings_number(&settings, "checkpoints.every", 1 + _i / SYSTEMS);
    settings_set(&settings, "checkpoints.keep", "100");
    passed = run(&settings, NULL, UINT64_MAX);
    assert_equal(&whole, &passed);
    for (int epoch = 1; epoch <= SAVED_EPOCHS; epoch++)
        for (int k = 1; k <= MINIBATCHES; k++) {
            snprintf(name, sizeof(name), "epoch-%04d-minibatch-%06d/manifest.json", epoch, k);
            found += saved_has(&saved, name);
        }
    ck_assert_int_ge(found, 1);
    ck_assert_int_le(found, SAVED_EPOCHS * (MINIBATCHES - 1));
    result_free(&whole);
    result_free(&passed);
}
END_TEST

static const uint32_t minibatches[] = {1, 0, MINIBATCHES + 1, 0x7fffffff, 0x80000000, 0xffffffff};

/* Another process has written into the run's memory: stages do not save after what lies behind them, or is not there. */
START_TEST(a_checkpoint_that_stage_1_cannot_have_decided_is_not_written)
{
    static struct pipeline pipeline;
    struct settings settings = saved_settings("pipedream", "mlp", 3, 1);
    struct result whole = run(&settings, NULL, UINT64_MAX), passed;
    char name[128];

    tear_down();
    set_up();
    settings_set(&settings, "checkpoints.keep", "100");
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    pipeline.segment.header->interactive = true;
    atomic_store(&segment_controls(&pipeline.segment)->ops_allowed[0], 2 * MINIBATCHES - 2);
    pipeline_start(&pipeline);
    while (atomic_load(&segment_stage(&pipeline.segment, 3)->counters.op_count[OP_FORWARD]) < 2)
        sched_yield();
    atomic_store(&pipeline.segment.board->save_at, stop_point(1, PHASE_TRAIN, 0) | minibatches[_i]);
    atomic_store(&segment_controls(&pipeline.segment)->ops_allowed[0], UINT64_MAX);
    pipeline_wait(&pipeline, 0);
    passed = result_of(&pipeline);
    pipeline_destroy(&pipeline);
    assert_equal(&whole, &passed);
    snprintf(name, sizeof(name), "epoch-0001-minibatch-%06d", (int)minibatches[_i]);
    ck_assert(!saved_has(&saved, name));
    result_free(&whole);
    result_free(&passed);
}
END_TEST

/* Asked for before stage 1 has begun, it is of the first mini-batch; while the epoch is tested, the epoch's own is all that
 * there is to save. */
START_TEST(a_checkpoint_may_be_asked_for_at_the_start_and_in_a_test)
{
    static struct pipeline pipeline;
    struct settings settings = saved_settings("timeprest", "mlp", 3, 3);
    struct activity activity;

    settings_set(&settings, "checkpoints.keep", "100");
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    const struct board *board = pipeline.segment.board;
    const struct schedule schedule = plan_training(&pipeline.plan);
    pipeline.segment.header->interactive = true;
    atomic_store(&segment_controls(&pipeline.segment)->ops_allowed[0], (uint64_t)schedule_op_count(&schedule));
    if (_i == 0)
        segment_ask_checkpoint(&pipeline.segment);
    pipeline_start(&pipeline);
    do {
        sched_yield();
        activity = activity_unpack(atomic_load(&segment_stage(&pipeline.segment, 1)->activity));
    } while (activity.kind != ACTIVITY_HELD || activity.phase != PHASE_EVALUATE);
    if (_i == 1)
        segment_ask_checkpoint(&pipeline.segment);
    while (atomic_load(&board->save_at) == 0)
        sched_yield();
    atomic_store(&segment_controls(&pipeline.segment)->ops_allowed[0], UINT64_MAX);
    pipeline_wait(&pipeline, 0);
    ck_assert_uint_eq(board->save_at, stop_point(1, PHASE_TRAIN, _i == 0 ? 1 : MINIBATCHES));
    ck_assert(!segment_saves(&pipeline.segment));
    ck_assert(saved_has(&saved, "epoch-0001-minibatch-000001/manifest.json") == (_i == 0));
    ck_assert_int_eq(pipeline.checkpoints.written, SAVED_EPOCHS + (_i == 0));
    pipeline_destroy(&pipeline);
}
END_TEST

/* One under way and the run is stopped: later, at the same mini-batch, or where the stop overtakes it. */
START_TEST(a_stop_takes_the_place_of_a_checkpoint_that_is_under_way)
{
    const struct system *system = &systems[_i % SYSTEMS];
    struct settings settings = saved_settings(system->name, "mlp", 3, orders[system->order].microbatches ? 1 : 3);
    const int stop = 1 + _i / SYSTEMS;
    struct result whole = run(&settings, NULL, UINT64_MAX), resumed;
    struct checkpoint_set set;

    tear_down();
    set_up();
    pass_at = stop_point(1, PHASE_TRAIN, 2);
    run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, stop));
    pass_at = 0;
    set = saved_newest(&saved);
    ck_assert_int_eq(set.manifest.minibatch, stop);
    set_release(&set);
    resumed = resume(&settings, UINT64_MAX);
    assert_equal(&whole, &resumed);
    result_free(&whole);
    result_free(&resumed);
}
END_TEST

/* The same where the stop comes when the others have run as far as they can: stage 1 is held after a number of ops. */
START_TEST(a_stop_may_come_at_any_moment)
{
    static struct pipeline pipeline;
    const struct system *system = &systems[_i % SYSTEMS];
    struct settings settings = saved_settings(system->name, "mlp", 3, orders[system->order].microbatches ? 1 : 3);
    struct result whole = run(&settings, NULL, UINT64_MAX), resumed;
    const uint64_t ops = (uint64_t)(3 + 2 * (_i % 10));

    tear_down();
    set_up();
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    pipeline.segment.header->interactive = true;
    atomic_store(&segment_controls(&pipeline.segment)->ops_allowed[0], ops);
    pipeline_start(&pipeline);
    while (activity_unpack(atomic_load(&segment_stage(&pipeline.segment, 1)->activity)).kind != ACTIVITY_HELD ||
           activity_unpack(atomic_load(&segment_stage(&pipeline.segment, 3)->activity)).kind != ACTIVITY_WAIT)
        sched_yield();
    atomic_store(&pipeline.segment.board->stop, 1);
    atomic_store(&segment_controls(&pipeline.segment)->ops_allowed[0], UINT64_MAX);
    segment_ring_all(&pipeline.segment);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_ne(pipeline.segment.board->epochs_done, SAVED_EPOCHS);
    pipeline_destroy(&pipeline);
    resumed = resume(&settings, UINT64_MAX);
    assert_equal(&whole, &resumed);
    result_free(&whole);
    result_free(&resumed);
}
END_TEST

/* Whatever the partition, and in the middle of an epoch too, from which the rest is trained. */
START_TEST(another_partition_begins_with_the_weights_that_were_saved)
{
    static const int others[] = {1, 2, 5};
    static struct pipeline pipeline;
    struct settings settings = saved_settings("timeprest", "resnet8", 4, 2);
    struct result before = run(&settings, NULL, stop_point(1 + _i % 2, PHASE_TRAIN, 3));
    struct checkpoint_set set = saved_newest(&saved);
    float *weights;

    ck_assert_int_eq(set.manifest.minibatch, 3);
    settings = saved_settings(_i < 2 ? "gpipe" : "timeprest", "resnet8", others[_i / 2], 2);
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, &set);
    weights = pipeline_weights(&pipeline);
    ck_assert_same("weights", weights, before.weights, before.parameters);
    for (int s = 0; s < pipeline.plan.stage_count; s++)
        ck_assert_same("running statistics", part_state(pipeline.parts[s]),
                       before.statistics + pipeline.plan.parts[s].slice.state_offset,
                       pipeline.plan.parts[s].slice.state);
    ck_assert_int_eq(pipeline.segment.header->start.filled_after, 3);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.segment.board->epochs_done, SAVED_EPOCHS);
    for (int e = 0; e < SAVED_EPOCHS; e++)
        ck_assert_int_eq(pipeline.segment.board->epochs[e].trained_samples, 28);
    ck_assert_int_eq(segment_stage(&pipeline.segment, 1)->applied, SAVED_EPOCHS * MINIBATCHES);
    pipeline_destroy(&pipeline);
    free(weights);
    result_free(&before);
    set_release(&set);
}
END_TEST

/* A pipeline that was filled anew in the middle of an epoch is stopped again: from there on, bit for bit. */
START_TEST(a_refilled_pipeline_goes_on_bit_for_bit)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2),
                    other = saved_settings("timeprest", "mlp", 3, 2);
    struct result whole, resumed;

    run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, 1));
    whole = resume(&other, UINT64_MAX);
    tear_down();
    set_up();
    run_discarded(&settings, NULL, stop_point(1, PHASE_TRAIN, 1));
    resumed = resume(&other, stop_point(1, PHASE_TRAIN, 2));
    ck_assert_int_eq(resumed.epochs_done, 0);
    result_free(&resumed);
    resumed = resume(&other, UINT64_MAX);
    assert_equal(&whole, &resumed);
    result_free(&whole);
    result_free(&resumed);
}
END_TEST

/* Where nothing is stale, neither what was stopped nor who goes on can be seen in the bits: no more in what dropout draws. */
START_TEST(a_synchronous_run_goes_on_in_another_partition_bit_for_bit)
{
    static const char arch[] = "tests/networks/dropout.net";
    struct settings settings = saved_settings("gpipe", arch, 3, 2),
                    other = saved_settings("gpipe", arch, 1 + _i % 2, 2);
    struct result whole = run(&settings, NULL, UINT64_MAX), resumed;

    tear_down();
    set_up();
    run_discarded(&other, NULL, stop_point(1 + _i / 2, PHASE_TRAIN, 2));
    resumed = resume(&settings, UINT64_MAX);
    assert_equal(&whole, &resumed);
    result_free(&whole);
    result_free(&resumed);
}
END_TEST

/* A test that was cut off is repeated. */
START_TEST(an_epoch_that_was_not_tested_is_tested)
{
    struct settings settings = saved_settings("timeprest", "mlp", 3, 2);
    struct result whole = run(&settings, NULL, UINT64_MAX), resumed;

    for (int epoch = 1; epoch <= SAVED_EPOCHS; epoch++) {
        tear_down();
        set_up();
        run_discarded(&settings, NULL, stop_point(epoch, PHASE_EVALUATE, 0));
        resumed = resume(&settings, UINT64_MAX);
        assert_equal(&whole, &resumed);
        result_free(&resumed);
    }
    result_free(&whole);
}
END_TEST

static float value_at(const struct safetensors_entry *entry, size_t i)
{
    float value;

    memcpy(&value, entry->values + i * sizeof(value), sizeof(value));
    return value;
}

/* PyTorch flattens an image channel by channel: what would a linear layer of its compute from the file's columns? */
START_TEST(a_linear_layer_on_coloured_images_reads_pytorchs_flattening)
{
    enum { PIXELS = 28 * 28 };
    static struct pipeline pipeline;
    struct settings settings = saved_settings("gpipe", "mlp", 1, 2);
    const struct safetensors_entry *weight, *momentum;
    char path[256], *bytes;
    struct safetensors file;
    struct error error;
    size_t size;

    settings_set(&settings, "data.synthetic_channels", "3");
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    snprintf(path, sizeof(path), "%s/checkpoints/epoch-0002/stage-1.safetensors", saved.path);
    ck_assert_msg(!file_read(path, &bytes, &size, &error), "%s", error.text);
    ck_assert_msg(!safetensors_read(&file, bytes, size, &error), "%s", error.text);
    const struct layer *layer = &pipeline.network->layers[0];
    const float *ours = part_weights(pipeline.parts[0]) + layer->parameter_offset;
    snprintf(path, sizeof(path), "%s.weight", layer->name);
    ck_assert_ptr_nonnull(weight = safetensors_find(&file, path));
    snprintf(path, sizeof(path), "optimizer.momentum_buffer.%s.weight", layer->name);
    ck_assert_ptr_nonnull(momentum = safetensors_find(&file, path));
    ck_assert_int_eq(weight->shape[1], 3 * PIXELS);
    for (size_t o = 0; o < (size_t)layer->out.channels; o++)
        for (size_t c = 0; c < 3; c++)
            for (size_t pixel = 0; pixel < PIXELS; pixel++) { /* images in memory are [pixel][channel] */
                const float theirs = value_at(weight, (o * 3 + c) * PIXELS + pixel);

                ck_assert_msg(memcmp(&ours[(o * PIXELS + pixel) * 3 + c], &theirs, sizeof(theirs)) == 0,
                              "output %zu, channel %zu, pixel %zu", o, c, pixel);
            }
    ck_assert_int_eq(momentum->end - momentum->begin, weight->end - weight->begin);
    safetensors_release(&file);
    free(bytes);
    pipeline_destroy(&pipeline);
}
END_TEST

/* PyTorch's filters are [out][in][height][width], ours [out][height][width][in]; the rest is the same. */
START_TEST(files_have_names_and_layouts_of_pytorch)
{
    static struct pipeline pipeline;
    struct settings settings = saved_settings("gpipe", "resnet8", 1, 2);
    char path[256], name[128], *bytes;
    struct safetensors file;
    struct error error;
    size_t size;

    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    snprintf(path, sizeof(path), "%s/checkpoints/epoch-0002/stage-1.safetensors", saved.path);
    ck_assert_msg(!file_read(path, &bytes, &size, &error), "%s", error.text);
    ck_assert_msg(!safetensors_read(&file, bytes, size, &error), "%s", error.text);
    for (int l = 0; l < pipeline.network->layer_count; l++) {
        const struct layer *layer = &pipeline.network->layers[l];
        const float *weights = part_weights(pipeline.parts[0]) + layer->parameter_offset;
        const size_t out = (size_t)layer->out.channels, in = (size_t)layer->in.channels, k = (size_t)layer->kernel;
        const struct safetensors_entry *entry;

        if (layer->kind == LAYER_AVERAGE_POOL)
            continue;
        snprintf(name, sizeof(name), "%s.weight", layer->name);
        entry = safetensors_find(&file, name);
        ck_assert_msg(entry != NULL, "%s", name);
        if (layer->kind == LAYER_CONVOLUTION) {
            for (size_t i = 0; i < out * in * k * k; i++) {
                const size_t x = i % k, y = i / k % k, c = i / (k * k) % in, o = i / (k * k * in);
                const float ours = weights[((o * k + y) * k + x) * in + c], theirs = value_at(entry, i);

                ck_assert_msg(memcmp(&ours, &theirs, sizeof(ours)) == 0, "%s [%zu][%zu][%zu][%zu]", name, o, c, y, x);
            }
            continue;
        }
        ck_assert_mem_eq(entry->values, weights, entry->end - entry->begin);
        snprintf(name, sizeof(name), "%s.bias", layer->name);
        ck_assert_mem_eq(safetensors_find(&file, name)->values, weights + (entry->end - entry->begin) / sizeof(float),
                         out * sizeof(float));
        if (layer->kind != LAYER_BATCH_NORM)
            continue;
        snprintf(name, sizeof(name), "%s.running_var", layer->name);
        ck_assert_mem_eq(safetensors_find(&file, name)->values,
                         part_state(pipeline.parts[0]) + layer->state_offset + out, out * sizeof(float));
    }
    safetensors_release(&file);
    free(bytes);
    pipeline_destroy(&pipeline);
}
END_TEST

START_TEST(the_newest_and_the_best_are_kept)
{
    struct settings settings = saved_settings("gpipe", "mlp", 2, 2);
    static struct pipeline pipeline;
    char best[64] = "", path[256], expected[64];
    int most = 1;

    settings_set(&settings, "run.epochs", "6");
    settings_number(&settings, "checkpoints.keep", 1 + _i);
    settings_set(&settings, "train.lr", "0.03");
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    for (int e = 2; e <= 6; e++)
        if (pipeline.segment.board->epochs[e - 1].test_top1 > pipeline.segment.board->epochs[most - 1].test_top1)
            most = e;
    snprintf(path, sizeof(path), "%s/checkpoints/best", saved.path);
    ck_assert_int_gt(readlink(path, best, sizeof(best) - 1), 0);
    snprintf(expected, sizeof(expected), "epoch-%04d", most);
    ck_assert_str_eq(best, expected);
    for (int e = 1; e <= 6; e++) {
        snprintf(expected, sizeof(expected), "epoch-%04d/manifest.json", e);
        ck_assert_msg(saved_has(&saved, expected) == (e == most || e > 6 - (1 + _i)), "%s", expected);
    }
    pipeline_destroy(&pipeline);
}
END_TEST

static void damage(const char *name, long offset, bool cut)
{
    char path[256];
    FILE *file;

    snprintf(path, sizeof(path), "%s/checkpoints/%s", saved.path, name);
    if (offset < 0) {
        ck_assert_int_eq(unlink(path), 0);
    } else if (cut) {
        ck_assert_int_eq(truncate(path, offset), 0);
    } else {
        file = fopen(path, "r+");
        ck_assert_ptr_nonnull(file);
        fseek(file, offset, SEEK_SET);
        const int byte = fgetc(file);
        fseek(file, offset, SEEK_SET);
        fputc(byte ^ 4, file);
        ck_assert_int_eq(fclose(file), 0);
    }
}

static const struct {
    const char *file;
    long offset;
    bool cut;
    const char *message;
} damages[] = {
    {"epoch-0002/stage-1.safetensors", 100000, false, "stage-1.safetensors is damaged"},
    {"epoch-0002/stage-2.safetensors", 0, false, "stage-2.safetensors is damaged"},
    {"epoch-0002/stage-2.safetensors", 1000, true, "stage-2.safetensors is damaged"},
    {"epoch-0002/stage-1.safetensors", -1, false, "stage-1.safetensors cannot be read"},
    {"epoch-0002/manifest.json", 0, false, "manifest.json: line 1"},
    {"epoch-0002/manifest.json", 200, true, "manifest.json: line"},
    {"epoch-0002/manifest.json", 0, true, "manifest.json: line"},
    {"epoch-0002/manifest.json", -1, false, "manifest.json cannot be read"},
};
enum { DAMAGES = sizeof(damages) / sizeof(damages[0]) };

START_TEST(a_damaged_set_gives_way_to_an_older_one)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    struct checkpoint_set set;
    struct error error;

    run_discarded(&settings, NULL, UINT64_MAX);
    damage(damages[_i].file, damages[_i].offset, damages[_i].cut);
    ck_assert_int_eq(set_open(&set, &saved.folder, "epoch-0002", &error), -1);
    ck_assert_msg(strstr(error.text, damages[_i].message) && !strchr(error.text, '\n'), "%s", error.text);
    set = saved_newest(&saved);
    ck_assert_str_eq(set.name, "epoch-0001");
    set_release(&set);
    damage("epoch-0001/stage-2.safetensors", 5000, true);
    ck_assert_int_eq(set_open_newest(&set, &saved.folder, NULL, &error), -1);
}
END_TEST

/* Version 1 of the format had another order of columns: it must not pass for this one. */
START_TEST(a_set_of_an_older_format_is_refused)
{
    static const char text[] = "{\"format\": \"tp checkpoint\", \"version\": 1}";
    struct manifest manifest;
    struct error error;

    ck_assert_int_eq(manifest_read(&manifest, text, strlen(text), &error), -1);
    ck_assert_msg(strstr(error.text, "it was written by another version of tp") != NULL, "%s", error.text);
}
END_TEST

/* The first set has no place; training goes on, and the next is written. */
START_TEST(a_set_that_cannot_be_written_costs_only_itself)
{
    struct settings settings = saved_settings("timeprest", "mlp", 2, 2);
    static struct pipeline pipeline;
    struct checkpoint_set set;
    char path[256];

    snprintf(path, sizeof(path), "%s/checkpoints", saved.path);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    snprintf(path, sizeof(path), "%s/checkpoints/epoch-0001", saved.path);
    fclose(fopen(path, "w"));
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.checkpoints.failed, 1);
    ck_assert_int_eq(pipeline.checkpoints.written, 1);
    pipeline_destroy(&pipeline);
    set = saved_newest(&saved);
    ck_assert_str_eq(set.name, "epoch-0002");
    set_release(&set);
}
END_TEST

/* And so does one that the run passes. */
START_TEST(a_passed_set_that_cannot_be_written_costs_only_itself)
{
    struct settings settings = saved_settings("timeprest", "mlp", 3, 2);
    struct result whole = run(&settings, NULL, UINT64_MAX), passed;
    static struct pipeline pipeline;
    char path[256];

    tear_down();
    set_up();
    snprintf(path, sizeof(path), "%s/checkpoints", saved.path);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    snprintf(path, sizeof(path), "%s/checkpoints/epoch-0001-minibatch-000002", saved.path);
    fclose(fopen(path, "w"));
    pipeline_create_in(&pipeline, settings_list(&settings), &saved.folder, NULL);
    atomic_store(&pipeline.segment.board->save_at, stop_point(1, PHASE_TRAIN, 2));
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.checkpoints.failed, 1);
    ck_assert_int_eq(pipeline.checkpoints.written, SAVED_EPOCHS);
    passed = result_of(&pipeline);
    assert_equal(&whole, &passed);
    pipeline_destroy(&pipeline);
    result_free(&whole);
    result_free(&passed);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("checkpoint");
    TCase *exact = tcase_create("exact"), *sets = tcase_create("sets");

    tcase_set_timeout(exact, 120);
    tcase_add_checked_fixture(exact, set_up, tear_down);
    tcase_add_loop_test(exact, resumed_runs_equal_uninterrupted_ones_bit_for_bit, 0, SHAPES * SYSTEMS);
    tcase_add_loop_test(exact, lists_for_other_times_resume_bit_for_bit, 0, 2 * SYSTEMS);
    tcase_add_loop_test(exact, several_parts_resume_bit_for_bit, 0, SEVERAL);
    tcase_add_loop_test(exact, a_checkpoint_that_is_passed_changes_nothing_and_is_gone_on_from_bit_for_bit, 0,
                        SHAPES * SYSTEMS);
    tcase_add_loop_test(exact, checkpoints_every_few_minibatches_change_nothing, 0, 3 * SYSTEMS);
    tcase_add_loop_test(exact, a_stop_takes_the_place_of_a_checkpoint_that_is_under_way, 0, 3 * SYSTEMS);
    tcase_add_loop_test(exact, a_stop_may_come_at_any_moment, 0, SYSTEMS);
    tcase_add_test(exact, a_refilled_pipeline_goes_on_bit_for_bit);
    tcase_add_loop_test(exact, a_synchronous_run_goes_on_in_another_partition_bit_for_bit, 0, 4);
    tcase_add_test(exact, an_epoch_that_was_not_tested_is_tested);
    suite_add_tcase(suite, exact);

    tcase_set_timeout(sets, 60);
    tcase_add_checked_fixture(sets, set_up, tear_down);
    tcase_add_loop_test(sets, another_partition_begins_with_the_weights_that_were_saved, 0, 6);
    tcase_add_test(sets, files_have_names_and_layouts_of_pytorch);
    tcase_add_test(sets, a_linear_layer_on_coloured_images_reads_pytorchs_flattening);
    tcase_add_loop_test(sets, the_newest_and_the_best_are_kept, 0, 2);
    tcase_add_loop_test(sets, a_damaged_set_gives_way_to_an_older_one, 0, DAMAGES);
    tcase_add_test(sets, a_set_of_an_older_format_is_refused);
    tcase_add_test(sets, a_set_that_cannot_be_written_costs_only_itself);
    tcase_add_loop_test(sets, a_checkpoint_may_be_asked_for_at_the_start_and_in_a_test, 0, 2);
    tcase_add_loop_test(sets, a_checkpoint_that_stage_1_cannot_have_decided_is_not_written, 0, COUNT(minibatches));
    tcase_add_test(sets, a_passed_set_that_cannot_be_written_costs_only_itself);
    suite_add_tcase(suite, sets);

    return run_suite(suite);
}
