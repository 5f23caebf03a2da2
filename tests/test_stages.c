/* Whole runs of a few mini-batches: what the stages compute against an independent oracle, what they repeat bit for
 * bit, what they measure against what the plan foretold. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/follow.h"
#include "tests/support/suite.h"

#define VARIED  "tests/networks/varied.net"
#define DROPOUT "tests/networks/dropout.net"

/* W, N, rows; the last mini-batch is smaller, down to fewer rows than micro-batches. */
static const struct {
    const char *arch;
    int stages, microbatches, batch, samples;
} oracle_cases[] = {
    {"mlp", 1, 1, 8, 44},   {"mlp", 1, 3, 8, 44},     {"mlp", 2, 1, 8, 60},     {"mlp", 2, 3, 9, 56},
    {"mlp", 3, 1, 6, 50},   {"mlp", 3, 2, 7, 50},     {"mlp", 3, 5, 10, 62},    {DROPOUT, 1, 2, 5, 22},
    {DROPOUT, 2, 1, 6, 20}, {DROPOUT, 3, 2, 6, 26},   {VARIED, 1, 2, 5, 22},    {VARIED, 3, 2, 6, 26},
    {VARIED, 5, 1, 4, 18},  {"resnet8", 4, 3, 6, 26}, {"resnet8", 5, 1, 4, 30}, {"resnet8", 4, 2, 4, 21},
};
enum { SMALL_CASES = 10, ORACLE_CASES = sizeof(oracle_cases) / sizeof(oracle_cases[0]) };

START_TEST(gradients_equal_the_oracle_at_the_recorded_versions)
{
    static const char *const variants[][2] = {
        {"stored", "static"}, {"recompute", "static"}, {"stored", "dynamic"}, {"recompute", "dynamic"}};
    int differences = 0;

    for (int v = 0; v < 4; v++) {
        struct settings settings =
            settings_of(oracle_cases[_i].arch, oracle_cases[_i].stages, oracle_cases[_i].microbatches,
                        oracle_cases[_i].batch, oracle_cases[_i].samples);

        settings_set(&settings, "pipeline.system", "timeprest");
        settings_set(&settings, "pipeline.backward_activations", variants[v][0]);
        settings_set(&settings, "pipeline.order", variants[v][1]);
        settings_set(&settings, "train.lr", "0.02");
        settings_set(&settings, "run.epochs", v == 0 && _i < SMALL_CASES ? "3" : "1");
        settings_set(&settings, "train.lr_schedule", v == 0 ? "cosine" : "constant");
        settings_set(&settings, "train.warmup_epochs", v == 0 ? "0.4" : "0");
        differences += follow_oracle(&settings).differences;
    }
    /* The case must be one in which forward and backward do read different versions. */
    ck_assert(oracle_cases[_i].stages == 1 || differences > 0);
}
END_TEST

/* What is counted for a blend is the age of what was read, not of the older of its versions. */
START_TEST(a_blend_is_as_stale_as_its_parts_in_their_proportions)
{
    static struct pipeline pipeline;
    const double decay = 0.5;
    struct settings settings = settings_of("mlp", 3, 1, 4, 48);

    settings_set(&settings, "pipeline.system", "i-timeprest");
    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "staleness.decay", "0.5");
    pipeline_run(&pipeline, settings_list(&settings));
    for (int s = 1; s <= 3; s++) {
        const struct counters *counters = &segment_stage(&pipeline.segment, s)->counters;
        uint64_t buckets[STALENESS_BUCKETS] = {0};
        double sum = 0;

        for (uint64_t n = 0; n < pipeline_record_count(&pipeline, s); n++) {
            const struct op_record *record = pipeline_record(&pipeline, s, n);
            const int age = record->version_live - record->version_forward;

            if (record->kind != OP_BACKWARD)
                continue;
            ck_assert_int_eq(record->version_read, -1);
            sum += exp(-decay * age) * age;
            buckets[(int)ceil(exp(-decay * age) * age)]++;
        }
        ck_assert(sum > 1);
        ck_assert_msg(fabs(1e-6 * (double)counters->staleness_millionths - sum) < 1e-4, "stage %d: %g, not %g", s,
                      1e-6 * (double)counters->staleness_millionths, sum);
        for (int k = 0; k < STALENESS_BUCKETS; k++)
            ck_assert_uint_eq(counters->staleness_backward[k], buckets[k]);
    }
    pipeline_destroy(&pipeline);
}
END_TEST

static void assert_equal_runs(struct settings *one, struct settings *other)
{
    static struct pipeline a, b;
    float *first, *second;

    pipeline_run(&a, settings_list(one));
    pipeline_run(&b, settings_list(other));
    first = pipeline_weights(&a);
    second = pipeline_weights(&b);
    ck_assert_msg(!memcmp(first, second, a.network->parameters * sizeof(float)), "weights differ");
    for (int i = 1; i <= a.plan.minibatches_per_epoch; i++)
        ck_assert_msg(!(follow_loss(&a, i) < follow_loss(&b, i)) && !(follow_loss(&a, i) > follow_loss(&b, i)),
                      "mini-batch %d: loss %.9g and %.9g", i, follow_loss(&a, i), follow_loss(&b, i));
    ck_assert(
        !memcmp(&a.segment.board->epochs[0].train_loss, &b.segment.board->epochs[0].train_loss, 4 * sizeof(double)));
    free(first);
    free(second);
    pipeline_destroy(&a);
    pipeline_destroy(&b);
}

static const char *const backends[] = {"reference", "onednn"};

START_TEST(static_runs_repeat_bit_for_bit)
{
    struct settings settings = settings_of("resnet8", 3, 2, 12, 90);

    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "device.backend", backends[_i]);
    assert_equal_runs(&settings, &settings);
}
END_TEST

/* With a learning rate of 0 every pass is a forward pass of the same weights. */
START_TEST(forward_does_not_depend_on_the_partition)
{
    struct settings one = settings_of("resnet8", 1, 3, 12, 40), four = settings_of("resnet8", 4, 3, 12, 40);

    settings_set(&one, "device.backend", backends[_i]);
    settings_set(&one, "train.lr", "0");
    settings_set(&four, "device.backend", backends[_i]);
    settings_set(&four, "train.lr", "0");
    assert_equal_runs(&one, &four);
}
END_TEST

static const int foretold[][2] = {{1, 1}, {2, 1}, {2, 3}, {3, 2}, {4, 3}, {5, 1}, {5, 4}};

START_TEST(measures_what_the_plan_foretold)
{
    static struct pipeline pipeline;
    struct settings settings = settings_of("resnet8", foretold[_i][0], foretold[_i][1], 8, 160);
    int exact;

    settings_set(&settings, "device.backend", "onednn");
    settings_set(&settings, "pipeline.order", "static");
    pipeline_run(&pipeline, settings_list(&settings));
    for (int s = 1; s <= pipeline.plan.stage_count; s++) {
        const struct plan_part *plan = &pipeline.plan.parts[s - 1];
        const struct counters *counters = &segment_stage(&pipeline.segment, s)->counters;

        ck_assert_int_eq(counters->versions_peak, plan->weight_versions);
        ck_assert_int_eq(counters->in_flight_peak, plan->minibatches_in_flight);
        for (int m = 0; m < MEMORY_CATEGORIES; m++)
            ck_assert_msg(counters->memory_peak[m] == plan->memory[m], "stage %d: %s: %zu bytes, planned %zu", s,
                          memory_category_name((enum memory_category)m), (size_t)counters->memory_peak[m],
                          plan->memory[m]);
    }
    /* Every mini-batch in steady state has the exact version difference. */
    exact = version_difference_exact(foretold[_i][0], foretold[_i][1]);
    ck_assert_uint_ge(segment_stage(&pipeline.segment, pipeline.plan.stage_count)->counters.version_difference[exact],
                      (uint64_t)(pipeline.plan.minibatches_per_epoch - foretold[_i][0]));
    pipeline_destroy(&pipeline);
}
END_TEST

/* A stop ends the run after whole mini-batches, the same ones at every stage, whenever it comes: here after each number
 * of ops of each stage, in epochs so short that it often meets a drain or an evaluation. */
START_TEST(stops_on_request)
{
    static struct pipeline pipeline;
    struct settings settings = settings_of("mlp", 3, 2, 8, 20);
    int applied, stage = _i % 3 + 1;

    settings_set(&settings, "pipeline.order", _i % 2 ? "static" : "dynamic");
    settings_set(&settings, "run.epochs", "900");
    settings_set(&settings, "train.lr", "0.001");
    pipeline_create(&pipeline, settings_list(&settings));
    pipeline_start(&pipeline);
    while (atomic_load(&segment_stage(&pipeline.segment, stage)->counters.ops) < (uint64_t)_i)
        ;
    atomic_store(&pipeline.segment.board->stop, 1);
    pipeline_wait(&pipeline, 0);
    applied = segment_stage(&pipeline.segment, 1)->applied;
    ck_assert_int_lt(applied, 900 * pipeline.plan.minibatches_per_epoch);
    for (int s = 2; s <= 3; s++)
        ck_assert_int_eq(segment_stage(&pipeline.segment, s)->applied, applied);
    /* An epoch whose test set was finished is not lost. */
    ck_assert_int_ge(pipeline.segment.board->epochs_done, (applied - 1) / pipeline.plan.minibatches_per_epoch);
    pipeline_destroy(&pipeline);
}
END_TEST

START_TEST(aborts_wherever_a_stage_waits)
{
    static struct pipeline pipeline;
    struct settings settings = settings_of("mlp", 3, 2, 8, 4000);

    settings_set(&settings, "run.epochs", "100");
    settings_set(&settings, "train.lr", "0.001");
    pipeline_create(&pipeline, settings_list(&settings));
    pipeline_start(&pipeline);
    while (atomic_load(&segment_stage(&pipeline.segment, 1)->applied) < 5)
        ;
    segment_abort(&pipeline.segment);
    pipeline_wait(&pipeline, -1);
    pipeline_destroy(&pipeline);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("stages");
    TCase *threads = tcase_create("threads"), *networks = tcase_create("networks");

    /* Small enough for ThreadSanitizer. */
    tcase_set_timeout(threads, 300);
    tcase_add_loop_test(threads, gradients_equal_the_oracle_at_the_recorded_versions, 0, COUNT(oracle_cases));
    tcase_add_loop_test(threads, stops_on_request, 0, 120);
    tcase_add_test(threads, a_blend_is_as_stale_as_its_parts_in_their_proportions);
    tcase_add_test(threads, aborts_wherever_a_stage_waits);
    suite_add_tcase(suite, threads);

    tcase_set_timeout(networks, 300);
    tcase_set_tags(networks, "long");
    tcase_add_loop_test(networks, gradients_equal_the_oracle_at_the_recorded_versions, SMALL_CASES, ORACLE_CASES);
    tcase_add_loop_test(networks, static_runs_repeat_bit_for_bit, 0, COUNT(backends));
    tcase_add_loop_test(networks, forward_does_not_depend_on_the_partition, 0, COUNT(backends));
    tcase_add_loop_test(networks, measures_what_the_plan_foretold, 0, COUNT(foretold));
    suite_add_tcase(suite, networks);

    return run_suite(suite);
}
