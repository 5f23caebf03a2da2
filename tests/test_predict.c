/* Goal of this test: a prediction uses the times that the config gives, else the measured ones, and the links that it
 * describes; what it says about an epoch is what can be worked out by hand. The simulation itself is test_events'. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "plan/idle.h"
#include "plan/predict.h"
#include "plan/replay.h"
#include "tests/support/suite.h"

static struct config config;
static struct config_mistakes mistakes;
static struct plan plan;
static struct network *network;
static struct prediction prediction;
static struct error error;

enum { IMAGES = 1000, OVERRIDES_MAX = 16 };

static const struct machine_facts machine = {.backends[PLACE_CPU] = "reference"};

/* Layers of the mlp give 256, 256 and 10 numbers. "pipeline.stages=3 data.batch=7 ...". Returns plan_begin's answer. */
static int begin(const char *settings)
{
    const struct data_facts facts = {.train_count = IMAGES, .test_count = 200, .shape = {28, 28, 1}};
    const char *overrides[OVERRIDES_MAX];
    char copy[512], *rest = copy, *word;
    int count = 0;

    snprintf(copy, sizeof(copy), "%s", settings);
    while ((word = strsep(&rest, " ")) != NULL) {
        ck_assert_int_lt(count, OVERRIDES_MAX);
        if (word[0])
            overrides[count++] = word;
    }
    ck_assert_msg(config_load(&config, "/dev/null", overrides, count, &mistakes) == 0, "%s", mistakes.lines[0]);
    return plan_begin(&plan, &config, &facts, &network, &mistakes);
}

/* Layer l (0..) takes l + 1 milliseconds forward and 10, 100, 1000 times as long for the halves and the update. */
static void make_plan(const char *settings, bool measured)
{
    ck_assert_msg(begin(settings) == 0, "%s: %s", settings, mistakes.lines[0]);
    struct layer_cost *costs = calloc((size_t)network->layer_count, sizeof(*costs));
    for (int l = 0; l < network->layer_count && measured; l++) {
        const double time = 1e-3 * (l + 1);

        costs[l].op_seconds[OP_FORWARD] = time;
        costs[l].op_seconds[OP_BACKWARD_INPUT] = 10 * time;
        costs[l].op_seconds[OP_BACKWARD_WEIGHTS] = 100 * time;
        costs[l].op_seconds[OP_BACKWARD] = 110 * time;
        costs[l].update_seconds = 1000 * time;
    }
    ck_assert_msg(plan_place(&plan, &machine, &mistakes) == 0, "%s", mistakes.lines[0]);
    ck_assert_msg(plan_finish(&plan, network, costs, &error) == 0, "%s", error.text);
    free(costs);
}

static void make_prediction(const char *settings, int minibatches)
{
    make_plan(settings, true);
    ck_assert_msg(predict(&prediction, &plan, minibatches, &error) == 0, "%s: %s", settings, error.text);
}

static void drop(void)
{
    prediction_release(&prediction);
    network_destroy(network);
}

#define MLP "model.arch=mlp pipeline.stages=3 pipeline.partition=1,1,1 "

static const struct {
    const char *settings, *mistake;
} mistaken[] = {
    {MLP "simulation.forward_ms=1,2",
     "--set simulation.forward_ms: 2 numbers, but there are 3 stages; give one for all, or one for each"},
    {MLP "simulation.backward_ms=1,2,3,4", "--set simulation.backward_ms: 4 numbers, but there are 3 stages"},
    {MLP "simulation.backward_input_ms=1,2", "--set simulation.backward_input_ms: 2 numbers"},
    {MLP "simulation.backward_weights_ms=1,2", "--set simulation.backward_weights_ms: 2 numbers"},
    {MLP "simulation.update_ms=1,2", "--set simulation.update_ms: 2 numbers"},
    {MLP "simulation.link_mbit=1,2,3", "--set simulation.link_mbit: 3 numbers, but there are 2 links"},
    {MLP "simulation.link_us=1,2,3", "--set simulation.link_us: 3 numbers, but there are 2 links"},
};

START_TEST(mistakes_name_the_key)
{
    const char *expected = mistaken[_i].mistake;

    ck_assert_int_eq(begin(mistaken[_i].settings), -1);
    ck_assert_int_eq(mistakes.count, 1);
    ck_assert_msg(strncmp(mistakes.lines[0], expected, strlen(expected)) == 0, "%s", mistakes.lines[0]);
}
END_TEST

START_TEST(given_times_go_before_measured_ones)
{
    make_prediction(MLP "simulation.forward_ms=7,8.5,9 simulation.update_ms=0", 5);
    for (int s = 0; s < 3; s++) {
        const struct part_times *times = &prediction.times[s];
        static const int64_t forward[] = {7000000, 8500000, 9000000};

        ck_assert_int_eq(times->op[OP_FORWARD], forward[s]);
        ck_assert_int_eq(times->op[OP_BACKWARD], 110000000 * (s + 1));
        ck_assert_int_eq(times->op[OP_BACKWARD_INPUT], 10000000 * (s + 1));
        ck_assert_int_eq(times->op[OP_BACKWARD_WEIGHTS], 100000000 * (s + 1));
        ck_assert_int_eq(times->update, 0);
        ck_assert_int_eq(plan.parts[s].times.update, INT64_C(1000000000) * (s + 1));
    }
    ck_assert(prediction.given[OP_FORWARD] && !prediction.given[OP_BACKWARD] && prediction.update_given);
    ck_assert(prediction.shared_memory);
    ck_assert_int_eq(prediction.events->minibatch_count, 5);
    drop();
}
END_TEST

/* A stage's times are its layers'. */
START_TEST(stages_add_up_their_layers)
{
    make_prediction("model.arch=mlp pipeline.stages=2 pipeline.partition=1,2 simulation.backward_input_ms=4", 1);
    ck_assert_int_eq(prediction.times[0].op[OP_FORWARD], 1000000);
    ck_assert_int_eq(prediction.times[1].op[OP_FORWARD], 5000000);
    ck_assert_int_eq(prediction.times[1].update, 5000000000);
    ck_assert_int_eq(prediction.times[0].op[OP_BACKWARD_INPUT], 4000000);
    ck_assert_int_eq(prediction.times[1].op[OP_BACKWARD_INPUT], 4000000);
    drop();
}
END_TEST

START_TEST(times_must_come_from_somewhere)
{
    make_plan(MLP "simulation.forward_ms=1 simulation.backward_input_ms=2", false);
    ck_assert_int_eq(predict(&prediction, &plan, 0, &error), -1);
    ck_assert_str_eq(error.text, "how long a backward of stage 1 takes is neither measured nor given");
    drop();
    make_plan(MLP "simulation.forward_ms=1 simulation.backward_ms=0", false);
    ck_assert_int_eq(predict(&prediction, &plan, 0, &error), 0);
    drop();
}
END_TEST

START_TEST(links_carry_bytes)
{
    /* 20 rows of 256 numbers: 163,840 bits. */
    make_prediction(MLP "data.batch=60 simulation.link_mbit=100,0 simulation.link_us=0,2.5", 3);
    ck_assert(!prediction.shared_memory);
    ck_assert_int_eq(prediction.links[0].activation, 1638400);
    ck_assert_int_eq(prediction.links[0].gradient, 3 * 1638400);
    ck_assert_int_eq(prediction.links[0].latency, 0);
    ck_assert_int_eq(prediction.links[1].activation, 0);
    ck_assert_int_eq(prediction.links[1].latency, 2500);
    ck_assert_int_eq(prediction.links[0].slots.activations, plan.parts[0].activation_slots);
    ck_assert_int_eq(prediction.links[0].slots.gradients, plan.parts[0].gradient_slots);
    drop();
    /* Where backwards go by micro-batch, so do their messages. */
    make_prediction(MLP "data.batch=60 pipeline.system=gpipe simulation.link_mbit=100", 3);
    ck_assert_int_eq(prediction.links[1].gradient, 1638400);
    drop();
}
END_TEST

/* One mini-batch at a time, in milliseconds: 15 mini-batches of 64 images and one of 40. */
START_TEST(an_epoch_is_the_sum_of_its_minibatches)
{
    const char *settings = MLP "pipeline.system=naive pipeline.microbatches=1 simulation.forward_ms=8,16,24 "
                               "simulation.backward_ms=80,8,32 simulation.update_ms=1";
    const double seconds = 1e-3 * (15 * (168 + 1) + 0.625 * 168 + 1);

    make_prediction(settings, 0);
    ck_assert_int_eq(prediction.events->minibatch_count, 16);
    ck_assert_int_eq(prediction.events->duration, INT64_C(1000000) * (15 * 169 + 105 + 1));
    ck_assert_double_eq_tol(prediction.images_per_second, IMAGES / seconds, 1e-9 * IMAGES / seconds);
    ck_assert_double_eq_tol(prediction.epoch_seconds, seconds, 1e-9 * seconds);
    ck_assert_double_eq_tol(prediction.events->minibatch_duration, 169e6, 1.0);
    drop();

    /* Two mini-batches, both whole, stand for the epoch, of which the last takes its share of what a whole one takes. */
    const double shared = 1e-3 * 15.625 * 169;
    make_prediction(settings, 2);
    ck_assert_int_eq(prediction.events->duration, 1000000 * 2 * 169);
    ck_assert_double_eq_tol(prediction.images_per_second, IMAGES / shared, 1e-9 * IMAGES / shared);
    ck_assert_double_eq_tol(prediction.epoch_seconds, shared, 1e-9 * shared);
    drop();
}
END_TEST

/* A pipeline fills and drains once in an epoch, however few of its mini-batches are simulated, or more than it has. */
START_TEST(an_epoch_fills_and_drains_once)
{
    const char *settings =
        MLP "data.batch=50 pipeline.system=v-timeprest pipeline.microbatches=2 pipeline.order=dynamic "
            "simulation.forward_ms=8 simulation.backward_ms=16 simulation.update_ms=1";
    double seconds;

    make_prediction(settings, 0);
    seconds = prediction.epoch_seconds;
    ck_assert_int_eq(prediction.events->minibatch_count, 20);
    ck_assert_double_eq_tol(seconds, 1e-9 * (double)prediction.events->duration, 1e-9);
    ck_assert_double_gt(prediction.events->duration, 20 * prediction.events->minibatch_duration * 1.02);
    drop();
    for (int minibatches = 8; minibatches <= 40; minibatches += 16) {
        make_prediction(settings, minibatches);
        ck_assert_int_eq(prediction.events->minibatch_count, minibatches);
        ck_assert_double_eq_tol(prediction.epoch_seconds, seconds, 0.01 * seconds);
        ck_assert_double_eq_tol(prediction.images_per_second, IMAGES / seconds, 0.01 * IMAGES / seconds);
        drop();
    }
}
END_TEST

/* With backwards that take twice a forward (4, 3) has v = 2, but a replay keeps what the unit-time schedule has. */
START_TEST(static_order_keeps_its_versions)
{
    char settings[256];

    for (int replay = 0; replay <= 1; replay++) {
        snprintf(settings, sizeof(settings),
                 "pipeline.stages=4 data.batch=10 pipeline.order=%s simulation.forward_ms=1 "
                 "simulation.backward_ms=0.666666667 simulation.update_ms=0",
                 replay ? "static" : "dynamic");
        make_prediction(settings, 0);
        ck_assert_int_eq(plan.version_difference_simulated, 1);
        ck_assert_int_eq(prediction.events->version_difference_min, replay ? 1 : 2);
        ck_assert_int_eq(prediction.events->version_difference_max, replay ? 1 : 2);
        for (int s = 0; s < 4; s++)
            ck_assert_int_le(prediction.events->parts[s].weight_versions, plan.parts[s].weight_version_buffers);
        drop();
    }
}
END_TEST

START_TEST(split_backwards_have_halves)
{
    static const bool whole[OP_KINDS] = {[OP_FORWARD] = true, [OP_BACKWARD] = true};

    for (int kind = 0; kind < OP_KINDS; kind++) {
        ck_assert_int_eq(begin(MLP), 0);
        ck_assert_int_eq(predict_has(&plan.schedule, (enum op_kind)kind), whole[kind]);
        network_destroy(network);
        ck_assert_int_eq(begin(MLP "pipeline.system=zb-h1"), 0);
        ck_assert_int_eq(predict_has(&plan.schedule, (enum op_kind)kind), kind == OP_FORWARD || !whole[kind]);
        network_destroy(network);
    }
}
END_TEST

/* A backward over N micro-batches takes N times as long as one of one; a backward is its halves, and a half is half of it. */
START_TEST(times_mean_the_same_for_every_system)
{
    static const struct {
        const char *settings;
        int64_t backward, input, weights; /* microseconds */
    } cases[] = {
        {"pipeline.microbatches=3 simulation.backward_ms=2", 6000, 1000, 1000},
        {"pipeline.microbatches=1 pipeline.system=pipedream simulation.backward_ms=2", 2000, 1000, 1000},
        {"pipeline.microbatches=3 pipeline.system=gpipe simulation.backward_ms=2", 2000, 1000, 1000},
        {"pipeline.microbatches=3 pipeline.system=zb-h1 simulation.backward_ms=2", 2000, 1000, 1000},
        {"pipeline.microbatches=4 simulation.backward_input_ms=1 simulation.backward_weights_ms=0.5", 6000, 1000, 500},
        {"pipeline.microbatches=2 pipeline.system=zb-h1 simulation.backward_input_ms=3 "
         "simulation.backward_weights_ms=4 "
         "simulation.backward_ms=9",
         9000, 3000, 4000},
    };
    char settings[512];

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        snprintf(settings, sizeof(settings), MLP "simulation.forward_ms=1 simulation.update_ms=0 %s",
                 cases[k].settings);
        make_prediction(settings, 2);
        ck_assert(predict_all_given(&plan));
        ck_assert_int_eq(prediction.times[1].op[OP_BACKWARD], 1000 * cases[k].backward);
        ck_assert_int_eq(prediction.times[1].op[OP_BACKWARD_INPUT], 1000 * cases[k].input);
        ck_assert_int_eq(prediction.times[1].op[OP_BACKWARD_WEIGHTS], 1000 * cases[k].weights);
        predict_scale(&plan.config, 3);
        ck_assert_int_eq(predict_time(&plan.config, &plan.schedule, OP_FORWARD, 2), 3000000);
        drop();
    }
}
END_TEST

START_TEST(times_that_are_not_used_are_refused)
{
    static const struct {
        const char *settings, *mistake;
    } cases[] = {
        {MLP "simulation.backward_ms=1 simulation.backward_input_ms=1",
         "--set simulation.backward_input_ms: not used: backwards of timeprest are not split"},
        {MLP "pipeline.system=zb-h1 simulation.backward_ms=1 simulation.backward_input_ms=1 "
             "simulation.backward_weights_ms=1",
         "--set simulation.backward_ms: not used: backwards of zb-h1 are split, and both halves are given"},
        {"model.arch=mlp pipeline.stages=1 simulation.link_us=3",
         "--set simulation.link_us: not used: a single part has no links"},
        {MLP "pipeline.system=zb-h1 simulation.backward_ms=1", NULL},
        {MLP "simulation.backward_weights_ms=1 simulation.backward_input_ms=1", NULL},
        {MLP "simulation.backward_ms=1 simulation.link_mbit=100", NULL},
    };

    for (size_t k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        ck_assert_int_eq(begin(cases[k].settings), 0);
        predict_check_used(&plan, &mistakes);
        ck_assert_int_eq(mistakes.count, cases[k].mistake != NULL);
        if (cases[k].mistake)
            ck_assert_msg(strncmp(mistakes.lines[0], cases[k].mistake, strlen(cases[k].mistake)) == 0, "%s",
                          mistakes.lines[0]);
        network_destroy(network);
    }
}
END_TEST

static void set_shares(const double *shares)
{
    for (int k = 0; k < plan.part_count; k++)
        plan.parts[k].compute_share = shares[k];
}

/* By the closed forms, and by what the plan says of lists where all parts cost the same. */
START_TEST(idle_is_what_can_be_worked_out)
{
    static const double even[] = {1.0 / 3, 1.0 / 3, 1.0 / 3}, odd[] = {0.25, 0.25, 0.5};
    struct idle_figures figures;
    struct replay_figures replay;

    make_plan(MLP "pipeline.system=naive pipeline.microbatches=1", false);
    set_shares(odd);
    ck_assert_int_eq(plan_idle(&plan, &figures), 0);
    ck_assert_double_eq_tol(figures.unit, 2.0 / 3, 1e-9);
    ck_assert_double_eq_tol(figures.costs, 2.0 / 3, 1e-9);
    network_destroy(network);

    /* Of 3 N + 2 * 3 steps of a stage that all others wait for, the fill and drain go through the others as well. */
    make_plan(MLP "pipeline.system=gpipe pipeline.microbatches=4", false);
    set_shares(even);
    ck_assert_int_eq(plan_idle(&plan, &figures), 0);
    ck_assert_double_eq_tol(figures.costs, 2.0 / 6, 1e-9);
    set_shares(odd);
    ck_assert_int_eq(plan_idle(&plan, &figures), 0);
    /* Parts take 3/4, 3/4 and 3/2: a mini-batch 4 * 3 * 3/2 + 3 * (3/4 + 3/4), a third of it busy for 4 * 3 in all. */
    ck_assert_double_eq_tol(figures.costs, 1 - 4 * 3 * 3 / (3 * (4 * 3 * 1.5 + 3 * 1.5)), 1e-9);
    network_destroy(network);

    make_plan(MLP "pipeline.microbatches=2", false);
    set_shares(even);
    ck_assert_int_eq(plan_idle(&plan, &figures), 0);
    ck_assert_int_eq(replay_figures(&plan, STATIC_UNIT, &replay, &error), 0);
    ck_assert_double_eq_tol(figures.unit, plan.bubble_fraction, 1e-9);
    if (plan_replays(&plan))
        ck_assert_double_eq_tol(figures.costs, replay.idle, 1e-9);
    ck_assert(figures.costs >= figures.unit && !figures.measured);
    network_destroy(network);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("predict");
    TCase *tcase = tcase_create("predict");

    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, mistakes_name_the_key, 0, COUNT(mistaken));
    tcase_add_test(tcase, given_times_go_before_measured_ones);
    tcase_add_test(tcase, stages_add_up_their_layers);
    tcase_add_test(tcase, times_must_come_from_somewhere);
    tcase_add_test(tcase, links_carry_bytes);
    tcase_add_test(tcase, an_epoch_is_the_sum_of_its_minibatches);
    tcase_add_test(tcase, an_epoch_fills_and_drains_once);
    tcase_add_test(tcase, static_order_keeps_its_versions);
    tcase_add_test(tcase, split_backwards_have_halves);
    tcase_add_test(tcase, times_mean_the_same_for_every_system);
    tcase_add_test(tcase, times_that_are_not_used_are_refused);
    tcase_add_test(tcase, idle_is_what_can_be_worked_out);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
