/* Update rules as pure functions (rules/update_rule.h): what each changes, against a closed form, or against explicit steps
 * in doubles. */
#include <check.h>
#include <math.h>

#include "kernels/backend.h"
#include "rules/update_rule.h"
#include "tests/support/optimizer_oracle.h"
#include "tests/support/suite.h"

enum { RANDOM_RULES = 40 };

START_TEST(update_rules_are_whole)
{
    for (int n = 0; n < UPDATE_RULES; n++) {
        const struct update_rule *rule = update_rule((enum update_rule_name)n);

        ck_assert(rule && rule->name[0] && rule->formula[0] && rule->summary[0]);
        for (int m = 0; m < n; m++)
            ck_assert_str_ne(update_rule((enum update_rule_name)m)->name, rule->name);
        ck_assert_msg(!rule->correction || rule->keeps_forward, "%s", rule->name);
        ck_assert_msg(!(rule->needs_momentum && rule->needs_moments), "%s", rule->name);
        ck_assert_int_eq(!rule->settle && !rule->adjust && !rule->correction, n == UPDATE_PLAIN);
    }
    ck_assert_int_eq(update_rule_gap_aware.keeps, VECTOR_SQUARED_MOMENTUM);
    ck_assert(update_rule_gap_aware.needs_momentum && update_rule_spike_compensation.needs_momentum);
    ck_assert(update_rule_nesterov_async.needs_moments && update_rule_nesterov_by_stage.needs_moments);
}
END_TEST

static void assert_same_settings(const struct optimizer_settings *a, const struct optimizer_settings *b)
{
    ck_assert_double_eq(a->rate, b->rate);
    ck_assert_double_eq(a->momentum, b->momentum);
    ck_assert_int_eq(a->nesterov, b->nesterov);
    ck_assert_double_eq(a->beta1, b->beta1);
    ck_assert_double_eq(a->beta2, b->beta2);
    ck_assert_double_eq(a->epsilon, b->epsilon);
    ck_assert_double_eq(a->momentum_decay, b->momentum_decay);
    ck_assert_double_eq(a->weight_decay, b->weight_decay);
    ck_assert_double_eq(a->gradient_scale, b->gradient_scale);
}

static struct optimizer_settings settled(const struct update_rule *rule, const struct update_facts *facts,
                                         const struct optimizer_settings *before)
{
    struct optimizer_settings step = *before;

    rule->settle(facts, &step);
    return step;
}

START_TEST(pipemare_divides_the_rate_less_and_less)
{
    const struct rule_settings settings = {.anneal = 20};
    const struct optimizer_settings before = {.rate = 0.5, .momentum = 0.9, .beta1 = 0.8};
    double last = 0.0;

    for (int tau = 0; tau <= 8; tau++)
        for (int updates = 0; updates < 40; updates++) {
            const struct update_facts facts = {.settings = &settings, .staleness = tau, .updates = updates};
            struct optimizer_settings after = settled(&update_rule_pipemare, &facts, &before);
            const double rate = after.rate, p = updates >= 19 ? 0.0 : (19 - updates) / 20.0;

            assert_near("rate", tau, rate, tau <= 1 ? 0.5 : 0.5 * exp(-p * log(tau)));
            ck_assert_msg(updates == 0 || rate >= last, "tau %d, %d updates", tau, updates);
            ck_assert_msg(rate <= 0.5, "tau %d, %d updates: %g", tau, updates, rate);
            if (updates >= 19)
                ck_assert_double_eq(rate, 0.5);
            last = rate;
            after.rate = before.rate;
            assert_same_settings(&after, &before);
        }
}
END_TEST

START_TEST(nesterovs_method_sets_beta1_alone)
{
    static const struct update_rule *const rules[] = {&update_rule_nesterov_async, &update_rule_nesterov_by_stage};

    const struct rule_settings settings = {.momentum = 0.99};
    const struct optimizer_settings before = {.rate = 0.5, .momentum = 0.7, .beta1 = 0.9, .beta2 = 0.999};

    for (int stages = 1; stages <= 8; stages++)
        for (int stage = 1; stage <= stages; stage++)
            for (int by_stage = 0; by_stage <= 1; by_stage++) {
                const struct update_facts facts = {
                    .settings = &settings, .stages = stages, .nominal = stages - stage, .staleness = 100};
                struct optimizer_settings after = settled(rules[by_stage], &facts, &before);

                assert_near(rules[by_stage]->name, stage, after.beta1,
                            by_stage ? 0.9 + 0.09 * (stages - stage) / stages : 0.99);
                if (by_stage && stage == stages)
                    ck_assert_double_eq(after.beta1, 0.9);
                after.beta1 = before.beta1;
                assert_same_settings(&after, &before);
            }
}
END_TEST

/* How far a gradient of 1 at update `at` has moved the weight by -1 at rate 1 when `updates` are over. */
static double moved_by(const struct update *update, int at, int updates)
{
    double m = 0.0, way = 0.0;

    for (int n = 0; n < updates; n++) {
        const double gradient = n == at;

        m = (double)update->keep * m + gradient;
        way += (double)update->along * m + (double)update->across * gradient;
    }
    return way;
}

static struct update prepared(const struct optimizer_settings *step)
{
    const struct optimizer_course course = {.product = 1.0};

    return optimizer_update(&optimizer_sgd, step, &course);
}

START_TEST(spike_compensation_makes_up_for_what_was_missed)
{
    const struct optimizer_settings step = {.rate = 0.1, .momentum = 0.0999 * (1 + _i), .gradient_scale = 1.0};
    const struct update plain = prepared(&step);

    for (int tau = 0; tau <= 20; tau++) {
        const struct update_facts facts = {.staleness = tau, .nominal = tau};
        struct update update = plain;

        update_rule_spike_compensation.adjust(&facts, &step, &update);
        for (int updates = tau + 1; updates < 60; updates++) {
            const double undelayed = moved_by(&plain, 0, updates), late = moved_by(&update, tau, updates);

            ck_assert_msg(fabs(late - undelayed) <= 1e-6 * undelayed, "tau %d, %d updates: %.9g, not %.9g", tau,
                          updates, late, undelayed);
        }
        if (tau == 0)
            ck_assert_mem_eq(&update, &plain, sizeof(plain));
        update.along = plain.along;
        update.across = plain.across;
        ck_assert_mem_eq(&update, &plain, sizeof(plain));
    }
}
END_TEST

START_TEST(spike_compensation_of_one_update_is_nesterovs_form)
{
    struct optimizer_settings step = {.rate = 0.1, .momentum = 0.9, .weight_decay = 0.01, .gradient_scale = 1.0};
    const struct update_facts facts = {.staleness = 1, .nominal = 1};
    struct update update = prepared(&step), nesterov;

    update_rule_spike_compensation.adjust(&facts, &step, &update);
    step.nesterov = true;
    nesterov = prepared(&step);
    ck_assert_mem_eq(&update, &nesterov, sizeof(nesterov));
}
END_TEST

/* A correction of one element, on the backend in plain C. */
static float corrected(const struct correction *correction, float gradient, float live, float forward, float momentum,
                       float *average)
{
    const struct correction_call call = {
        .count = 1,
        .live = &live,
        .forward = &forward,
        .momentum = &momentum,
        .average = average,
        .gradient = &gradient,
    };
    struct error error;

    ck_assert_int_eq(backend_reference.correct(NULL, correction, &call, &error), 0);
    return gradient;
}

static void assert_float_near(const char *what, float actual, double expected)
{
    ck_assert_msg(fabs((double)actual - expected) <= 1e-5 * (1.0 + fabs(expected)), "%s: %.9g, not %.9g", what,
                  (double)actual, expected);
}

START_TEST(no_distance_leaves_a_gradient_alone)
{
    static const struct update_rule *const rules[] = {&update_rule_gap_aware, &update_rule_dc_asgd};

    const struct rule_settings settings = {.strength = 2.0};

    for (int n = 0; n < 2; n++)
        for (int updates = 0; updates < 3; updates++) {
            const struct update_facts facts = {
                .settings = &settings, .staleness = 3, .updates = updates, .peak_rate = 0.1};
            const struct optimizer_settings step = {.momentum = 0.9, .weight_decay = 0.01, .gradient_scale = 1.0};
            const struct correction correction = rules[n]->correction(&facts, &step);
            float average = 0.0f;

            ck_assert_double_eq((double)corrected(&correction, 1.0f / 3.0f, 0.7f, 0.7f, 0.1f, &average),
                                (double)(1.0f / 3.0f));
        }
}
END_TEST

START_TEST(dc_asgd_carries_the_gradient_on)
{
    struct dice dice = {.seed = 37000 + (uint64_t)_i};
    const struct rule_settings settings = {.strength = 0.01 * dice_between(&dice, 1, 200)};
    const struct optimizer_settings step = {.gradient_scale = dice_between(&dice, 0, 1) ? 1.0 : 0.25};
    const struct update_facts facts = {.settings = &settings, .staleness = 3};
    const struct correction correction = update_rule_dc_asgd.correction(&facts, &step);
    const float gradient = dice_normal(&dice), live = dice_normal(&dice), forward = dice_normal(&dice);
    const double g = step.gradient_scale * (double)gradient;

    assert_float_near("dc-asgd", corrected(&correction, gradient, live, forward, NAN, NULL),
                      g + settings.strength * g * g * ((double)live - (double)forward));
}
END_TEST

/* While the momentum stays what it is, so does the average of its squares, corrected for its start: the usual step is the
 * peak rate times the momentum. What the optimizer then makes of gradient and decay is divided. */
START_TEST(gap_aware_divides_by_the_steps_between)
{
    struct dice dice = {.seed = 38000 + (uint64_t)_i};
    const struct optimizer_settings step = {
        .momentum = 0.9, .weight_decay = dice_between(&dice, 0, 1) ? 0.1 : 0.0, .gradient_scale = 0.5};
    const float momentum = 0.1f + fabsf(dice_normal(&dice));
    float average = 0.0f;

    for (int updates = 0; updates < 200; updates++) {
        const struct update_facts facts = {.staleness = 3, .updates = updates, .peak_rate = 0.2};
        const struct correction correction = update_rule_gap_aware.correction(&facts, &step);
        const float gradient = dice_normal(&dice), live = dice_normal(&dice), forward = dice_normal(&dice);
        const double decay = step.weight_decay * (double)live;
        const double steps = fabs((double)live - (double)forward) / (0.2 * (double)momentum);
        const float actual = corrected(&correction, gradient, live, forward, momentum, &average);

        assert_float_near("gap-aware", actual + (float)decay, (0.5 * (double)gradient + decay) / (1.0 + steps));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("update rule");
    TCase *cases = tcase_create("update rule");

    tcase_add_test(cases, update_rules_are_whole);
    tcase_add_test(cases, pipemare_divides_the_rate_less_and_less);
    tcase_add_test(cases, nesterovs_method_sets_beta1_alone);
    tcase_add_loop_test(cases, spike_compensation_makes_up_for_what_was_missed, 0, 10);
    tcase_add_test(cases, spike_compensation_of_one_update_is_nesterovs_form);
    tcase_add_test(cases, no_distance_leaves_a_gradient_alone);
    tcase_add_loop_test(cases, dc_asgd_carries_the_gradient_on, 0, RANDOM_RULES);
    tcase_add_loop_test(cases, gap_aware_divides_by_the_steps_between, 0, RANDOM_RULES);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
