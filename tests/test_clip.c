/* Goal of this test: train.clip_norm shortens the gradient of the whole network where a flush lets parts wait for each
 * other, and each part's own elsewhere. Waiting for the norm makes no stage, checkpoint or request to stop wait for ever or
 * see half of an update. Stages are threads. */
#include <check.h>
#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "board/records.h"
#include "checkpoint/sets.h"
#include "telemetry/explain.h"
#include "tests/support/compare.h"
#include "tests/support/follow.h"
#include "tests/support/saved.h"
#include "tests/support/suite.h"
#include "tests/support/trained.h"

/* A gradient's norm is between these, in all runs below. */
static const char always[] = "0.05", never[] = "1000000";

static const struct shape_of_run {
    const char *system;
    int stages, parts;
    const char *placement;
    int microbatches;
} flushing[] = {
    {"gpipe", 1, 1, "loop", 2},
    {"gpipe", 3, 1, "loop", 3},
    {"1f1b", 2, 1, "loop", 3},
    {"1f1b", 4, 1, "loop", 2},
    {"zb-h1", 3, 1, "loop", 3},
    {"naive", 3, 1, "loop", 1},
    {"interleaved-1f1b", 2, 2, "loop", 2},
    {"interleaved-1f1b", 1, 3, "loop", 2},
    {"zb-v", 2, 2, "v", 3},
    {"dualpipe-v", 2, 2, "v", 4},
};
enum { FLUSHING = sizeof(flushing) / sizeof(flushing[0]) };

static struct settings settings_for(const struct shape_of_run *shape, const char *clip_norm)
{
    struct settings settings = saved_settings(shape->system, "resnet8", shape->stages, shape->microbatches);

    settings_number(&settings, "pipeline.parts", shape->parts);
    settings_set(&settings, "pipeline.placement", shape->placement);
    settings_set(&settings, "train.lr", "0.02");
    settings_set(&settings, "train.clip_norm", clip_norm);
    return settings;
}

START_TEST(the_whole_gradient_is_clipped_as_in_one_process)
{
    for (int order = 0; order < 2; order++) {
        struct settings settings = settings_for(&flushing[_i], always);

        settings_set(&settings, "pipeline.order", order ? "static" : "dynamic");
        follow_oracle(&settings);
    }
}
END_TEST

static double difference_norm(const float *a, const float *b, const struct slice *slice)
{
    double squares = 0;

    for (size_t p = slice->parameter_offset; p < slice->parameter_offset + slice->parameters; p++)
        squares += pow((double)a[p] - (double)b[p], 2);
    return sqrt(squares);
}

/* A step of plain gradient descent is as long as the rate times what the gradient was clipped at. */
START_TEST(a_step_has_the_length_that_it_is_clipped_to)
{
    static const struct shape_of_run pipedream = {"pipedream", 3, 1, "loop", 1};
    static struct pipeline pipeline;
    const bool flushes = _i < FLUSHING;
    struct settings settings = settings_for(flushes ? &flushing[_i] : &pipedream, always);
    const double expected = 0.02 * atof(always);
    float *initial, *state, *weights;
    struct slice whole;

    settings_set(&settings, "data.limit", "6");
    settings_set(&settings, "run.epochs", "1");
    settings_set(&settings, "train.momentum", "0");
    settings_set(&settings, "train.nesterov", "no");
    settings_set(&settings, "train.weight_decay", "0");
    pipeline_run(&pipeline, settings_list(&settings));
    whole = network_slice(pipeline.network, 0, pipeline.network->block_count);
    initial = malloc(whole.parameters * sizeof(float));
    state = malloc(whole.state * sizeof(float));
    network_initialise(pipeline.network, &whole, (uint64_t)pipeline.plan.config.run.seed, initial, state);
    weights = pipeline_weights(&pipeline);
    ck_assert_int_eq(plan_clips_together(&pipeline.plan), flushes);
    if (flushes)
        ck_assert_double_eq_tol(difference_norm(weights, initial, &whole), expected, 1e-4 * expected);
    for (int k = 0; k < pipeline.plan.part_count && !flushes; k++)
        ck_assert_double_eq_tol(difference_norm(weights, initial, &pipeline.plan.parts[k].slice), expected,
                                1e-4 * expected);
    free(initial);
    free(state);
    free(weights);
    pipeline_destroy(&pipeline);
}
END_TEST

START_TEST(a_norm_that_is_never_reached_changes_no_bit)
{
    struct settings unclipped = settings_for(&flushing[_i], "0"), clipped = settings_for(&flushing[_i], never);

    trained_assert_same(&unclipped, &clipped, 0, flushing[_i].system);
}
END_TEST

/* Norms are added up part by part: the same partition gives the same bits, whatever the order of work. */
START_TEST(neither_order_nor_partition_shows)
{
    struct settings one = settings_for(&(struct shape_of_run){"gpipe", 1, 1, "loop", 4}, always);
    struct settings three = settings_for(&(struct shape_of_run){"gpipe", 3, 1, "loop", 4}, always);
    const struct shape_of_run same[] = {{"1f1b", 3, 1, "loop", 4}, {"zb-h1", 3, 1, "loop", 4}};
    const struct shape_of_run others[] = {
        {"gpipe", 3, 1, "loop", 4}, {"interleaved-1f1b", 2, 2, "loop", 4}, {"zb-v", 2, 2, "v", 4}};

    for (size_t k = 0; k < sizeof(same) / sizeof(same[0]); k++) {
        struct settings other = settings_for(&same[k], always);

        trained_assert_same(&three, &other, 0, same[k].system);
        settings_set(&other, "pipeline.order", "dynamic");
        trained_assert_same(&three, &other, 0, same[k].system);
    }
    for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++) {
        struct settings other = settings_for(&others[k], always);

        trained_assert_same(&one, &other, 1e-6, others[k].system);
    }
}
END_TEST

/* Whatever optimizer takes the clipped gradient. */
START_TEST(other_optimizers_take_the_clipped_gradient)
{
    struct settings one = settings_for(&(struct shape_of_run){"gpipe", 1, 1, "loop", 2}, always);
    struct settings other = settings_for(&(struct shape_of_run){"zb-v", 2, 2, "v", 2}, always);

    settings_set(&one, "train.optimizer", "adamw");
    settings_set(&other, "train.optimizer", "adamw");
    trained_assert_same(&one, &other, 1e-3, "adamw");
}
END_TEST

static struct saved saved;

static void set_up(void)
{
    saved_set_up(&saved);
}

static void tear_down(void)
{
    saved_tear_down(&saved);
}

/* From `from`, or NULL, to the end; a checkpoint is passed at `pass`, if that is not 0. */
static float *run(struct settings *settings, struct checkpoint_set *from, uint64_t stop, uint64_t pass, size_t *count)
{
    static struct pipeline pipeline;
    float *weights;

    pipeline_create_in(&pipeline, settings_list(settings), &saved.folder, from);
    atomic_store(&pipeline.segment.board->stopped_at, stop);
    atomic_store(&pipeline.segment.board->save_at, pass);
    pipeline_start(&pipeline);
    pipeline_wait(&pipeline, 0);
    ck_assert_int_eq(pipeline.checkpoints.failed, 0);
    weights = pipeline_weights(&pipeline);
    *count = pipeline.network->parameters;
    pipeline_destroy(&pipeline);
    return weights;
}

static void assert_resumes(struct settings *settings, const char *name, const float *whole)
{
    struct checkpoint_set set;
    struct error error;
    size_t count;
    float *resumed;

    ck_assert_msg(!set_open(&set, &saved.folder, name, &error), "%s", error.text);
    resumed = run(settings, &set, UINT64_MAX, 0, &count);
    ck_assert_same("weights", whole, resumed, count);
    free(resumed);
    set_release(&set);
}

/* Stopped there, or passing a checkpoint there. */
START_TEST(clipped_runs_resume_bit_for_bit)
{
    struct settings settings = settings_for(&flushing[_i], always);
    size_t count;
    float *whole, *passed;
    char name[64];

    settings_set(&settings, "checkpoints.keep", "100");
    whole = run(&settings, NULL, UINT64_MAX, 0, &count);
    for (int k = 1; k < 5; k += 2) {
        snprintf(name, sizeof(name), "epoch-%04d-minibatch-%06d", 1, k);
        tear_down();
        set_up();
        free(run(&settings, NULL, stop_point(1, PHASE_TRAIN, k), 0, &count));
        assert_resumes(&settings, name, whole);
        tear_down();
        set_up();
        passed = run(&settings, NULL, UINT64_MAX, stop_point(1, PHASE_TRAIN, k), &count);
        ck_assert_same("weights", whole, passed, count);
        free(passed);
        assert_resumes(&settings, name, whole);
    }
    free(whole);
}
END_TEST

static struct activity activity_of(const struct pipeline *pipeline, int part)
{
    return activity_unpack(atomic_load(&segment_stage(&pipeline->segment, part)->activity));
}

static bool waits_for_norm(const struct pipeline *pipeline, int part)
{
    const struct activity activity = activity_of(pipeline, part);

    return activity.kind == ACTIVITY_WAIT && activity.cause == WAIT_NORM;
}

/* Three stages, of which the first is held before its last backward of the second mini-batch: the others wait for it. */
static void start_held(struct pipeline *pipeline, struct settings *settings)
{
    pipeline_create_in(pipeline, settings_list(settings), &saved.folder, NULL);
    pipeline->segment.header->interactive = true;
    atomic_store(&segment_controls(&pipeline->segment)->ops_allowed[0], 7);
    pipeline_start(pipeline);
    while (activity_of(pipeline, 1).kind != ACTIVITY_HELD || !waits_for_norm(pipeline, 2) ||
           !waits_for_norm(pipeline, 3))
        sched_yield();
}

static void let_go(struct pipeline *pipeline)
{
    atomic_store(&segment_controls(&pipeline->segment)->ops_allowed[0], UINT64_MAX);
    segment_ring_all(&pipeline->segment);
}

static const struct shape_of_run held = {"gpipe", 3, 1, "loop", 2};

/* What whoever asks is told, and what is not there yet. */
START_TEST(who_waits_says_for_whom)
{
    static struct pipeline pipeline;
    static struct snapshot snapshot;
    struct settings settings = settings_for(&held, always);
    char text[EXPLANATION_MAX];

    start_held(&pipeline, &settings);
    snapshot_take(&snapshot, &pipeline.segment);
    for (int s = 2; s <= 3; s++) {
        char expected[80];

        snapshot.stages[s - 1].state = STAGE_RUNNING; /* threads say nothing of it */
        snprintf(expected, sizeof(expected),
                 "stage %d waits for the gradient norm of mini-batch 2 from stage 1, which ", s);
        explain_wait(&snapshot, s, text, sizeof(text));
        ck_assert_msg(strncmp(text, expected, strlen(expected)) == 0, "says: %s", text);
        ck_assert_int_eq(snapshot.stages[s - 1].version_live, 1);
    }
    let_go(&pipeline);
    pipeline_wait(&pipeline, 0);
    for (int s = 2; s <= 3; s++)
        ck_assert_uint_gt(segment_stage(&pipeline.segment, s)->counters.wait_ns[WAIT_NORM], 0);
    pipeline_destroy(&pipeline);
}
END_TEST

START_TEST(an_abort_ends_who_waits)
{
    static struct pipeline pipeline;
    struct settings settings = settings_for(&held, always);

    start_held(&pipeline, &settings);
    segment_abort(&pipeline.segment);
    pipeline_wait(&pipeline, -1);
    pipeline_destroy(&pipeline);
}
END_TEST

/* A request to stop, or for a checkpoint, that comes while stages wait. */
START_TEST(requests_find_whole_updates)
{
    static struct pipeline pipeline;
    struct settings settings = settings_for(&held, always);
    size_t count;
    float *whole = run(&settings, NULL, UINT64_MAX, 0, &count);

    tear_down();
    set_up();
    settings_set(&settings, "checkpoints.keep", "100");
    start_held(&pipeline, &settings);
    if (_i == 0)
        atomic_store(&pipeline.segment.board->stop, 1);
    else
        segment_ask_checkpoint(&pipeline.segment);
    let_go(&pipeline);
    pipeline_wait(&pipeline, 0);
    for (int s = 1; s <= 3; s++)
        ck_assert_int_eq(segment_stage(&pipeline.segment, s)->applied, _i == 0 ? 2 : 10);
    pipeline_destroy(&pipeline);
    assert_resumes(&settings, "epoch-0001-minibatch-000002", whole);
    free(whole);
}
END_TEST

/* An update that came later is in the sums, if not in its op's record. */
START_TEST(records_and_sums_tell_of_each_update)
{
    static struct pipeline pipeline;
    struct settings settings = settings_for(&flushing[_i], always);

    pipeline_run(&pipeline, settings_list(&settings));
    for (int k = 1; k <= pipeline.plan.part_count; k++) {
        const struct stage_block *block = segment_stage(&pipeline.segment, k);
        uint64_t updated = 0, update_ns = 0, busy_ns = 0;

        for (uint64_t n = 0; n < pipeline_record_count(&pipeline, k); n++) {
            const struct op_record *record = pipeline_record(&pipeline, k, n);

            updated += record->updated;
            update_ns += record->update_ns;
            busy_ns += record->end_ns - record->start_ns - record->core_ns;
            ck_assert_ptr_null(record_check(record, &pipeline.plan));
        }
        ck_assert_uint_eq(updated, SAVED_EPOCHS * (uint64_t)pipeline.plan.minibatches_per_epoch);
        ck_assert_uint_eq(update_ns, 0);
        ck_assert_uint_gt(block->counters.update_ns, 0);
        ck_assert_uint_eq(block->counters.busy_ns, busy_ns + block->counters.update_ns);
    }
    pipeline_destroy(&pipeline);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clip");
    TCase *weights = tcase_create("weights"), *runs = tcase_create("runs");

    tcase_set_timeout(weights, 300);
    tcase_add_loop_test(weights, the_whole_gradient_is_clipped_as_in_one_process, 0, FLUSHING);
    tcase_add_loop_test(weights, a_step_has_the_length_that_it_is_clipped_to, 0, FLUSHING + 1);
    tcase_add_loop_test(weights, a_norm_that_is_never_reached_changes_no_bit, 0, FLUSHING);
    tcase_add_test(weights, neither_order_nor_partition_shows);
    tcase_add_test(weights, other_optimizers_take_the_clipped_gradient);
    tcase_add_loop_test(weights, records_and_sums_tell_of_each_update, 0, FLUSHING);
    suite_add_tcase(suite, weights);

    tcase_set_timeout(runs, 300);
    tcase_add_checked_fixture(runs, set_up, tear_down);
    tcase_add_loop_test(runs, clipped_runs_resume_bit_for_bit, 0, FLUSHING);
    tcase_add_test(runs, who_waits_says_for_whom);
    tcase_add_test(runs, an_abort_ends_who_waits);
    tcase_add_loop_test(runs, requests_find_whole_updates, 0, 2);
    suite_add_tcase(suite, runs);

    return run_suite(suite);
}
