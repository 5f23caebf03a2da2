/* plan/describe.h: what passes read and parts keep, in words and numbers worked out by hand. */
#include <check.h>
#include <stddef.h>
#include <string.h>

#include "plan/describe.h"
#include "tests/support/suite.h"

static struct plan plan;
static struct network *network;

enum { OVERRIDES_MAX = 16 };

static void make_plan(const char *settings)
{
    static const struct data_facts facts = {.train_count = 1000, .test_count = 200, .shape = {28, 28, 1}};
    static struct config_mistakes mistakes;
    static struct config config;
    const char *overrides[OVERRIDES_MAX];
    char copy[512], *rest = copy, *word;
    int count = 0;

    snprintf(copy, sizeof(copy), "%s", settings);
    while (count < OVERRIDES_MAX && (word = strsep(&rest, " ")) != NULL)
        overrides[count++] = word;
    ck_assert_msg(config_load(&config, "/dev/null", overrides, count, &mistakes) == 0 &&
                      plan_begin(&plan, &config, &facts, &network, &mistakes) == 0,
                  "%s", mistakes.lines[0]);
}

#define AT_TENTH " pipeline.microbatches=1 train.lr=0.1 train.lr_schedule=constant train.warmup_epochs=0"

static const struct {
    const char *settings;
    bool forward;
    int part, staleness, version_forward, live;
    const char *text;
} sums[] = {
    {"pipeline.system=pipeoptim staleness.further=0 train.momentum=0.5" AT_TENTH, true, 1, 3, 7, 7,
     "v7 - 0.15 momentum_buffer - 0.3 last_gradient"},
    {"pipeline.system=pipeoptim staleness.further=1 train.momentum=0" AT_TENTH, true, 2, 0, 7, 7,
     "v7 - 0.3 last_gradient"},
    {"pipeline.system=pipeoptim staleness.further=0 staleness.measure=measured" AT_TENTH, true, 1, 0, 7, 7, "v7"},
    {"pipeline.system=spectrain train.momentum=0.5" AT_TENTH, false, 3, 1, 6, 7,
     "v7 - 0.05 momentum_buffer - 0.1 last_gradient"},
    {"pipeline.system=spectrain" AT_TENTH, true, 1, 3, 0, 0, "v0"},
    /* 0.5 + 0.25 + 0.125 of the buffer */
    {"pipeline.system=msnag train.momentum=0.5" AT_TENTH, true, 1, 3, 7, 7, "v7 - 0.0875 momentum_buffer"},
    /* 2 x 0.1 / (1 - 0.5); sqrt(1 - 0.75) */
    {"pipeline.system=pipeoptim staleness.further=0 train.optimizer=adamw train.beta1=0.5 "
     "train.beta2=0.75" AT_TENTH,
     true, 2, 2, 1, 1, "v1 - 0.4 exp_avg / (sqrt(exp_avg_sq) / 0.5 + 1e-08)"},
    {"pipeline.system=pipemare" AT_TENTH, false, 1, 3, 4, 7, "v7 - 3 average_difference"},
    {"pipeline.system=i-timeprest staleness.significance=hyperbolic pipeline.microbatches=3", false, 1, 1, 6, 7,
     "v7 + 0.5 (v6 - v7)"},
};

/* Of four stages, stage 1 is three updates stale and stage 2 two. By hand from the formulas. */
START_TEST(what_sums_passes_read_is_said_in_numbers)
{
    char text[READ_TEXT_MAX];

    make_plan(sums[_i].settings);
    const struct summed_read read = {
        .reading = sums[_i].forward ? forward_reading(plan.schedule.forward) : backward_reading(plan.schedule.backward),
        .part = sums[_i].part,
        .staleness = sums[_i].staleness,
        .forward = sums[_i].version_forward,
        .live = sums[_i].live,
    };
    struct optimizer_course course = {0};
    describe_read(&plan, &read, &course, text);
    ck_assert_str_eq(text, sums[_i].text);
    network_destroy(network);
}
END_TEST

START_TEST(settings_that_stages_do_not_share_are_a_range)
{
    char text[SETTING_TEXT_MAX];

    make_plan("pipeline.system=pipemare staleness.anneal=1" AT_TENTH);
    describe_setting(&plan, offsetof(struct optimizer_settings, rate), plan.minibatches_per_epoch / 2 - 1, text);
    ck_assert_str_eq(text, "0.05774 to 0.1"); /* 0.1 / sqrt(3), halfway through K */
    describe_setting(&plan, offsetof(struct optimizer_settings, rate), plan.minibatches_per_epoch, text);
    ck_assert_str_eq(text, "0.1");
    network_destroy(network);
    make_plan("pipeline.system=nesterov-async staleness.update=nesterov-by-stage pipeline.microbatches=1");
    describe_setting(&plan, offsetof(struct optimizer_settings, beta1), 0, text);
    ck_assert_str_eq(text, "0.9 to 0.9675"); /* 0.9 + 3 (0.99 - 0.9) / 4 */
    network_destroy(network);
}
END_TEST

static const char *const kept[][2] = {
    {"train.momentum=0", "nothing"},
    {"pipeline.system=pipemare pipeline.microbatches=1", "momentum_buffer, average_difference"},
    {"pipeline.system=spectrain pipeline.microbatches=1", "momentum_buffer, last_gradient"},
    {"pipeline.system=spectrain train.optimizer=adamw pipeline.microbatches=1", "exp_avg, exp_avg_sq"},
    {"pipeline.system=gap-aware pipeline.microbatches=1", "momentum_buffer, average_squared_momentum"},
};

START_TEST(what_parts_keep_is_named)
{
    char text[KEPT_TEXT_MAX];

    make_plan(kept[_i][0]);
    describe_kept(&plan, text);
    ck_assert_str_eq(text, kept[_i][1]);
    network_destroy(network);
}
END_TEST

START_TEST(updates_ahead_are_those_of_the_mini_batches_before)
{
    make_plan("data.batch=64");
    ck_assert_int_eq(plan.minibatches_per_epoch, 16);
    ck_assert_int_eq(plan_staleness_ahead(&plan, 1, 1, 0), 0);
    ck_assert_int_eq(plan_staleness_ahead(&plan, 1, 4, 0), 3);
    ck_assert_int_eq(plan_staleness_ahead(&plan, 2, 5, 17), 3);
    network_destroy(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("describe");
    TCase *tcase = tcase_create("describe");

    tcase_add_loop_test(tcase, what_sums_passes_read_is_said_in_numbers, 0, COUNT(sums));
    tcase_add_test(tcase, settings_that_stages_do_not_share_are_a_range);
    tcase_add_loop_test(tcase, what_parts_keep_is_named, 0, COUNT(kept));
    tcase_add_test(tcase, updates_ahead_are_those_of_the_mini_batches_before);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
