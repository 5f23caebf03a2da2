/* Reading rules as pure functions (rules/reading.h): the terms of each against a closed form, or against explicit steps in
 * doubles. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "rules/reading.h"
#include "tests/support/optimizer_oracle.h"
#include "tests/support/suite.h"

enum { RANDOM_READINGS = 60 };

/* The optimizers, and their forms. */
static const struct form {
    const char *name, *optimizer;
    bool momentum, nesterov;
} forms[] = {
    {"sgd without momentum", "sgd", false, false},
    {"sgd with momentum", "sgd", true, false},
    {"sgd, Nesterov's form", "sgd", true, true},
    {"adamw", "adamw", true, false},
    {"nadamw", "nadamw", true, false},
};
enum { FORMS = sizeof(forms) / sizeof(forms[0]) };

/* A part of one weight, and what a pass of it may read. */
struct scene {
    const struct form *form;
    struct rule_settings settings;
    struct optimizer_settings step;
    struct optimizer_course course;
    struct reading_facts facts;
    double vectors[VECTORS];
};

static void scene_set(struct scene *scene, struct dice *dice, const struct form *form, int part, int staleness,
                      int updates)
{
    *scene = (struct scene){.form = form, .step = random_optimizer_settings(dice)};
    scene->settings = (struct rule_settings){
        .significance = (enum significance)dice_between(dice, SIGNIFICANCE_EXPONENTIAL, SIGNIFICANCE_CONSTANT),
        .decay = 0.1 * dice_between(dice, 0, 10),
        .further = dice_between(dice, 0, 2),
        .discrepancy = 0.1 * dice_between(dice, 1, 9),
        .anneal = dice_between(dice, 1, 50),
        .momentum = 0.99,
        .strength = 0.04,
    };
    scene->step.momentum *= form->momentum;
    scene->step.nesterov = form->nesterov;
    scene->facts = (struct reading_facts){
        .settings = &scene->settings,
        .part = part,
        .staleness = staleness,
        .optimizer = optimizer_find(form->optimizer),
        .step = &scene->step,
        .course = &scene->course,
    };
    optimizer_catch_up(scene->facts.optimizer, &scene->step, updates, &scene->course);
    for (int v = VECTOR_LIVE; v < VECTORS; v++)
        scene->vectors[v] = (double)dice_normal(dice);
    scene->vectors[VECTOR_SQUARES] = 0.01 + fabs(scene->vectors[VECTOR_SQUARES]);
    scene->vectors[VECTOR_NONE] = (double)NAN;
}

static void scene_roll(struct scene *scene, struct dice *dice)
{
    const struct form *form = &forms[dice_between(dice, 0, FORMS - 1)];
    const int part = dice_between(dice, 1, 9), staleness = dice_between(dice, 0, 20);

    scene_set(scene, dice, form, part, staleness, dice_between(dice, 1, 30));
}

/* What a pass reads by the rule, less the live version. */
static double added(const struct scene *scene, const struct reading *reading, int *count)
{
    struct term terms[READING_TERMS_MAX];
    double sum = 0.0;

    *count = reading->terms(&scene->facts, terms);
    ck_assert_int_le(*count, READING_TERMS_MAX);
    for (int k = 0; k < *count; k++) {
        double value = scene->vectors[terms[k].plus];

        ck_assert(terms[k].minus == VECTOR_NONE || terms[k].square == VECTOR_NONE);
        if (terms[k].minus != VECTOR_NONE)
            value -= scene->vectors[terms[k].minus];
        if (terms[k].square != VECTOR_NONE)
            value /= sqrt(scene->vectors[terms[k].square]) / terms[k].root + terms[k].epsilon;
        sum += terms[k].coefficient * value;
    }
    return sum;
}

static void check_added(const struct scene *scene, const struct reading *reading, double expected)
{
    int count;

    assert_near(reading->name, scene->facts.staleness, added(scene, reading, &count), expected);
}

START_TEST(readings_are_whole)
{
    const struct reading *rows[FORWARD_RULES + BACKWARD_RULES];

    for (int n = 0; n < FORWARD_RULES; n++) {
        rows[n] = forward_reading((enum forward_rule)n);
        ck_assert_str_eq(forward_rule_name((enum forward_rule)n), rows[n]->name);
    }
    for (int n = 0; n < BACKWARD_RULES; n++) {
        rows[FORWARD_RULES + n] = backward_reading((enum backward_rule)n);
        ck_assert_str_eq(backward_rule_name((enum backward_rule)n), rows[FORWARD_RULES + n]->name);
    }
    for (int n = 0; n < FORWARD_RULES + BACKWARD_RULES; n++) {
        ck_assert(rows[n] && rows[n]->name[0] && rows[n]->formula[0] && rows[n]->summary[0]);
        ck_assert_msg(rows[n]->source != SOURCE_FORWARD || rows[n]->keeps_forward, "%s", rows[n]->name);
        ck_assert_msg(!rows[n]->terms || rows[n]->source == SOURCE_LIVE, "%s", rows[n]->name);
        for (int m = n < FORWARD_RULES ? 0 : FORWARD_RULES; m < n; m++)
            ck_assert_str_ne(rows[m]->name, rows[n]->name);
    }
}
END_TEST

START_TEST(versions_are_read_as_they_are)
{
    static const struct {
        const char *name;
        enum version_source source;
    } expected[] = {
        {"live", SOURCE_LIVE},       {"pinned", SOURCE_PINNED},       {"double-buffered", SOURCE_DOUBLE_BUFFERED},
        {"forward", SOURCE_FORWARD}, {"committed", SOURCE_COMMITTED},
    };
    const struct reading *rows[] = {
        forward_reading(FORWARD_LIVE),
        forward_reading(FORWARD_PINNED),
        forward_reading(FORWARD_DOUBLE_BUFFERED),
        backward_reading(BACKWARD_FORWARD),
        backward_reading(BACKWARD_COMMITTED),
    };

    for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
        ck_assert_str_eq(rows[n]->name, expected[n].name);
        ck_assert_int_eq(rows[n]->source, expected[n].source);
        ck_assert(!rows[n]->terms && !rows[n]->staleness);
        ck_assert_int_eq(rows[n]->keeps, VECTOR_NONE);
    }
    ck_assert_ptr_eq(forward_reading(FORWARD_LIVE), backward_reading(BACKWARD_LIVE));
}
END_TEST

/* With nothing to make up for, and before the first update, whatever the optimizer. */
START_TEST(without_staleness_the_newest_version_is_read)
{
    static const int last_without[] = {1, 2}; /* spectrain's parts for which r / 2 is 0 */

    for (int n = 0; n < FORWARD_RULES + BACKWARD_RULES; n++) {
        const struct reading *reading = n < FORWARD_RULES ? forward_reading((enum forward_rule)n)
                                                          : backward_reading((enum backward_rule)(n - FORWARD_RULES));
        struct dice dice = {.seed = 30000 + (uint64_t)n};
        struct scene scene;
        int count = -1;

        for (int f = 0; reading->terms && f < FORMS; f++) {
            for (int k = 0; k < 2; k++) {
                scene_set(&scene, &dice, &forms[f], last_without[k], 0, 5);
                scene.settings.further = 0;
                added(&scene, reading, &count);
                ck_assert_msg(count == 0, "%s, %s: %d terms", reading->name, forms[f].name, count);
            }
            if (reading == &reading_intermediate)
                continue; /* whose version is stale only after an update */
            scene_set(&scene, &dice, &forms[f], 9, 3, 0);
            added(&scene, reading, &count);
            ck_assert_msg(count == 0, "%s, %s before an update: %d terms", reading->name, forms[f].name, count);
        }
    }
}
END_TEST

START_TEST(intermediate_lies_between_its_ends)
{
    struct dice dice = {.seed = 31000 + (uint64_t)_i};
    struct scene scene;
    double way, d, expected;

    scene_roll(&scene, &dice);
    way = scene.vectors[VECTOR_FORWARD] - scene.vectors[VECTOR_LIVE];
    d = scene.facts.staleness;
    switch (scene.settings.significance) {
    case SIGNIFICANCE_EXPONENTIAL:
        expected = 1.0 / pow(exp(scene.settings.decay), d);
        break;
    case SIGNIFICANCE_HYPERBOLIC:
        expected = 1.0 / (scene.settings.decay * d + 1.0);
        break;
    default:
        expected = scene.settings.decay;
        break;
    }
    assert_near("significance", scene.facts.staleness, significance_of(&scene.settings, scene.facts.staleness),
                d > 0.0 ? expected : 1.0);
    check_added(&scene, &reading_intermediate, d > 0.0 ? expected * way : 0.0);
    assert_near("staleness", scene.facts.staleness,
                reading_intermediate.staleness(&scene.settings, scene.facts.staleness), expected * d);
    ck_assert(reading_intermediate.keeps_forward && reading_intermediate.measures);
}
END_TEST

/* The optimizer's newest step: sgd's with the newest gradient once more, moments as the newest update left them. */
static double newest_step(const struct scene *scene)
{
    const struct optimizer_settings *step = &scene->step;
    const double *vectors = scene->vectors;
    const int t = scene->course.updates;
    double m = vectors[VECTOR_MOMENTUM];

    if (strcmp(scene->form->optimizer, "sgd") == 0)
        return oracle_step("sgd", step, t + 1, vectors[VECTOR_GRADIENT], &m, 0.0);
    m /= step->beta1; /* before that update, whose gradient was 0 then */
    return oracle_step(scene->form->optimizer, step, t, 0.0, &m, vectors[VECTOR_SQUARES]);
}

START_TEST(spectrain_takes_the_newest_step_up_to_stage_ones_end)
{
    struct dice dice = {.seed = 32000 + (uint64_t)_i};
    struct scene scene;
    double one;
    int steps;

    scene_roll(&scene, &dice);
    one = -scene.step.rate * newest_step(&scene);
    steps = (int)floor((scene.facts.part - 1) / 2.0);
    check_added(&scene, &reading_spectrain_backward, steps * one);
    check_added(&scene, &reading_spectrain_forward, (steps + scene.facts.staleness) * one);
}
END_TEST

START_TEST(pipeoptim_takes_the_newest_step_up_to_the_update)
{
    struct dice dice = {.seed = 33000 + (uint64_t)_i};
    struct scene scene;

    scene_roll(&scene, &dice);
    check_added(&scene, &reading_pipeoptim,
                -scene.step.rate * (scene.facts.staleness + scene.settings.further) * newest_step(&scene));
}
END_TEST

/* In the limit of a momentum that does not decay, msnag's way is linear. */
START_TEST(linear_is_msnag_without_slowing_down)
{
    struct dice dice = {.seed = 33500 + (uint64_t)_i};
    struct scene scene;
    double way;

    scene_set(&scene, &dice, &forms[1], 1, dice_between(&dice, 0, 20), 10);
    way = -scene.step.rate * scene.facts.staleness * scene.vectors[VECTOR_MOMENTUM];
    check_added(&scene, &reading_linear, way);
    scene.step.momentum = 1.0;
    check_added(&scene, &reading_msnag, way);
    ck_assert(reading_linear.needs_momentum);
}
END_TEST

START_TEST(msnag_takes_the_steps_that_come_without_a_gradient)
{
    struct dice dice = {.seed = 34000 + (uint64_t)_i};
    struct scene scene;
    double m, way = 0.0;

    scene_roll(&scene, &dice);
    m = scene.vectors[VECTOR_MOMENTUM];
    for (int j = 1; j <= scene.facts.staleness && scene.form->momentum; j++)
        way -= scene.step.rate * oracle_step(scene.form->optimizer, &scene.step, scene.course.updates + j, 0.0, &m,
                                             scene.vectors[VECTOR_SQUARES]);
    check_added(&scene, &reading_msnag, way);
    ck_assert(reading_msnag.needs_momentum);
}
END_TEST

/* The way of sgd's momentum is a geometric series. */
START_TEST(msnag_of_sgd_is_one_term)
{
    for (int staleness = 1; staleness <= READING_TERMS_MAX; staleness++) {
        struct dice dice = {.seed = 34500 + (uint64_t)staleness};
        struct scene scene;
        double g, expected;
        int count;

        scene_set(&scene, &dice, &forms[1], 1, staleness, 10);
        g = scene.step.momentum;
        expected = -scene.step.rate * scene.vectors[VECTOR_MOMENTUM] * g * (1.0 - pow(g, staleness)) / (1.0 - g);
        assert_near("msnag", staleness, added(&scene, &reading_msnag, &count), expected);
        ck_assert_int_eq(count, 1);
    }
}
END_TEST

START_TEST(no_staleness_makes_too_many_terms)
{
    for (int f = 0; f < FORMS; f++) {
        struct dice dice = {.seed = 34900};
        struct scene scene;
        int count;

        scene_set(&scene, &dice, &forms[f], 1, 10 * READING_TERMS_MAX, 10);
        ck_assert(isfinite(added(&scene, &reading_msnag, &count)));
    }
}
END_TEST

START_TEST(pipemare_goes_back_along_the_average_difference)
{
    struct dice dice = {.seed = 35000 + (uint64_t)_i};
    struct scene scene;
    int tau;

    scene_roll(&scene, &dice);
    tau = scene.facts.staleness;
    check_added(&scene, &reading_pipemare, -tau * scene.vectors[VECTOR_DIFFERENCES]);
    ck_assert_int_eq(reading_pipemare.keeps, VECTOR_DIFFERENCES);
    assert_near("what tau updates keep", tau, pow(differences_kept(&scene.settings, tau), tau),
                tau > 0 ? scene.settings.discrepancy : 1.0);
    assert_near("what one keeps of none", 0, differences_kept(&scene.settings, 0), 0.0);
}
END_TEST

/* Of weights that move evenly, the average is each step, and what is read is what the forward read. */
START_TEST(pipemare_reads_the_forwards_weights_of_an_even_way)
{
    struct dice dice = {.seed = 36000 + (uint64_t)_i};
    const double step = (double)dice_normal(&dice);
    struct scene scene;
    double keep;

    scene_roll(&scene, &dice);
    keep = differences_kept(&scene.settings, scene.facts.staleness);
    scene.vectors[VECTOR_DIFFERENCES] = 0.0;
    for (int n = 0; n < 10000; n++)
        scene.vectors[VECTOR_DIFFERENCES] = keep * scene.vectors[VECTOR_DIFFERENCES] + (1.0 - keep) * step;
    check_added(&scene, &reading_pipemare, -scene.facts.staleness * step);
}
END_TEST

/* Moments hold what the newest gradient has to say of their way. */
START_TEST(readings_keep_what_they_read)
{
    static const struct {
        const struct reading *reading;
        enum vector of_sgd, of_moments;
    } rows[] = {
        {&reading_spectrain_forward, VECTOR_GRADIENT, VECTOR_NONE},
        {&reading_spectrain_backward, VECTOR_GRADIENT, VECTOR_NONE},
        {&reading_pipeoptim, VECTOR_GRADIENT, VECTOR_NONE},
        {&reading_msnag, VECTOR_NONE, VECTOR_NONE},
        {&reading_pipemare, VECTOR_DIFFERENCES, VECTOR_DIFFERENCES},
        {&reading_intermediate, VECTOR_NONE, VECTOR_NONE},
    };

    for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
        ck_assert_int_eq(reading_keeps(rows[n].reading, &optimizer_sgd), rows[n].of_sgd);
        ck_assert_int_eq(reading_keeps(rows[n].reading, &optimizer_adamw), rows[n].of_moments);
        ck_assert_int_eq(reading_keeps(rows[n].reading, &optimizer_nadamw), rows[n].of_moments);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reading");
    TCase *cases = tcase_create("reading");

    tcase_add_test(cases, readings_are_whole);
    tcase_add_test(cases, versions_are_read_as_they_are);
    tcase_add_test(cases, without_staleness_the_newest_version_is_read);
    tcase_add_loop_test(cases, intermediate_lies_between_its_ends, 0, RANDOM_READINGS);
    tcase_add_loop_test(cases, spectrain_takes_the_newest_step_up_to_stage_ones_end, 0, RANDOM_READINGS);
    tcase_add_loop_test(cases, pipeoptim_takes_the_newest_step_up_to_the_update, 0, RANDOM_READINGS);
    tcase_add_loop_test(cases, linear_is_msnag_without_slowing_down, 0, RANDOM_READINGS);
    tcase_add_loop_test(cases, msnag_takes_the_steps_that_come_without_a_gradient, 0, RANDOM_READINGS);
    tcase_add_test(cases, msnag_of_sgd_is_one_term);
    tcase_add_test(cases, no_staleness_makes_too_many_terms);
    tcase_add_loop_test(cases, pipemare_goes_back_along_the_average_difference, 0, RANDOM_READINGS);
    tcase_add_loop_test(cases, pipemare_reads_the_forwards_weights_of_an_even_way, 0, RANDOM_READINGS);
    tcase_add_test(cases, readings_keep_what_they_read);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
