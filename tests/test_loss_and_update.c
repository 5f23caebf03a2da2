/* Conformance of the compute backends, continued: loss and ranks, the optimiser's step, the blend of weight versions,
 * each against its definition in doubles. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "tests/support/compare.h"
#include "tests/support/layer_case.h"

static const struct backend *const backends[] = {&backend_reference, &backend_onednn};

enum { BACKENDS = sizeof(backends) / sizeof(backends[0]) };

enum { RANDOM_LOSSES = 50, RANDOM_UPDATES = 60 };

/* Logits of a random magnitude up to 10^4; some are equal. */
static struct guarded random_logits(struct dice *dice, int rows, int classes)
{
    struct guarded logits =
        guarded_normal(dice, (size_t)(rows * classes), powf(10.0f, (float)dice_between(dice, -2, 4)));

    for (int i = 0; i < rows; i++)
        logits.values[i * classes + dice_between(dice, 0, classes - 1)] = logits.values[i * classes];
    return logits;
}

struct loss_oracle {
    double loss;
    int rank;
};

/* One row's, and its gradient, by the definitions. */
static struct loss_oracle loss_row(int classes, const float *logits, int label, double *gradient)
{
    struct loss_oracle oracle = {0};
    double largest = (double)logits[0], sum = 0.0;

    for (int j = 0; j < classes; j++) {
        largest = fmax(largest, (double)logits[j]);
        oracle.rank += logits[j] > logits[label] || (j < label && logits[j] >= logits[label]);
    }
    for (int j = 0; j < classes; j++)
        sum += exp((double)logits[j] - largest);
    for (int j = 0; j < classes; j++)
        gradient[j] = exp((double)logits[j] - largest) / sum - (j == label);
    oracle.loss = log(sum) + largest - (double)logits[label];
    return oracle;
}

START_TEST(loss_and_ranks_match_their_definitions)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 9000 + (uint64_t)_i};
        const int rows = dice_between(&dice, 0, 20), classes = dice_between(&dice, 2, 100);
        const float scale = 1.0f / 7.0f;
        struct guarded logits = random_logits(&dice, rows, classes), gradient = guarded_create(&dice, logits.count);
        struct loss_result result = {.loss_sum = 3.0, .top1 = 100, .top5 = 1000}, expected = result, again = result;
        double *gradients = guarded_doubles(&logits);
        uint8_t labels[20];
        struct error error;

        for (int row = 0; row < rows; row++) {
            labels[row] = (uint8_t)dice_between(&dice, 0, classes - 1);

            const struct loss_oracle oracle =
                loss_row(classes, logits.values + row * classes, labels[row], gradients + row * classes);

            expected.loss_sum += oracle.loss;
            expected.top1 += oracle.rank < 1;
            expected.top5 += oracle.rank < 5;
        }
        for (size_t j = 0; j < logits.count; j++)
            gradients[j] *= (double)scale;
        ck_assert_int_eq(backends[i]->softmax_cross_entropy(NULL, rows, classes, logits.values, labels, scale,
                                                            gradient.values, &result, &error),
                         0);
        ck_assert_int_eq(
            backends[i]->softmax_cross_entropy(NULL, rows, classes, logits.values, labels, scale, NULL, &again, &error),
            0);
        ck_assert_close(backends[i]->name, gradient.values, gradients, logits.count, 1e-6, (double)scale);
        ck_assert_double_eq_tol(result.loss_sum, expected.loss_sum, 1e-6 * (1.0 + fabs(expected.loss_sum)));
        ck_assert_int_eq(result.top1, expected.top1);
        ck_assert_int_eq(result.top5, expected.top5);
        ck_assert_mem_eq(&again, &result, sizeof(result));
        guarded_destroy(&logits);
        guarded_destroy(&gradient);
        free(gradients);
    }
}
END_TEST

START_TEST(loss_of_equal_and_broken_logits)
{
    const float equal[6] = {2.0f, 2.0f, 2.0f, 2.0f, 2.0f, 2.0f}, broken[6] = {0.0f, NAN, 0.0f, 0.0f, 0.0f, 9.0f};

    for (int i = 0; i < BACKENDS; i++) {
        for (uint8_t label = 0; label < 6; label++) {
            struct loss_result result = {0};
            struct error error;

            ck_assert_int_eq(backends[i]->softmax_cross_entropy(NULL, 1, 6, equal, &label, 1.0f, NULL, &result, &error),
                             0);
            ck_assert_int_eq(result.top1, label == 0);
            ck_assert_int_eq(result.top5, label < 5);
            ck_assert_double_eq_tol(result.loss_sum, log(6.0), 1e-12);
        }

        struct loss_result result = {0};
        struct error error;

        ck_assert_int_eq(
            backends[i]->softmax_cross_entropy(NULL, 1, 6, broken, (const uint8_t[]){5}, 1.0f, NULL, &result, &error),
            0);
        ck_assert_int_eq(result.top1, 0);
        ck_assert(isnan(result.loss_sum));
        ck_assert_int_eq(
            backends[i]->softmax_cross_entropy(NULL, 1, 6, equal, (const uint8_t[]){6}, 1.0f, NULL, &result, &error),
            -1);
        ck_assert_ptr_nonnull(strstr(error.text, "label 6"));
    }
}
END_TEST

/* Three steps of the formula in kernels/backend.h. */
START_TEST(sgd_matches_its_formula)
{
    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 10000 + (uint64_t)_i};
        const size_t count = (size_t)dice_between(&dice, 0, 5000);
        const bool in_place = dice_between(&dice, 0, 1);
        const struct sgd sgd = {.rate = 0.1f,
                                .momentum = dice_between(&dice, 0, 2) ? 0.9f : 0.0f,
                                .weight_decay = dice_between(&dice, 0, 1) ? 0.01f : 0.0f,
                                .nesterov = dice_between(&dice, 0, 1)};
        const double momentum = (double)sgd.momentum, rate = (double)sgd.rate, decay = (double)sgd.weight_decay;
        struct guarded weights = guarded_normal(&dice, count, 1.0f), buffer = guarded_normal(&dice, count, 1.0f);
        double *expected = guarded_doubles(&weights), *expected_buffer = guarded_doubles(&buffer);
        struct error error;

        for (int step = 0; step < 3; step++) {
            struct guarded gradient = guarded_normal(&dice, count, 1.0f), next = guarded_create(&dice, count);

            for (size_t j = 0; j < count; j++) {
                const double d = (double)gradient.values[j] + decay * expected[j];

                expected_buffer[j] = momentum * expected_buffer[j] + d;
                expected[j] -= rate * (sgd.nesterov ? d + momentum * expected_buffer[j] : expected_buffer[j]);
                if (momentum == 0.0)
                    expected_buffer[j] = (double)buffer.values[j];
            }
            ck_assert_int_eq(backends[i]->sgd_update(NULL, &sgd, count, weights.values, gradient.values,
                                                     momentum != 0.0 ? buffer.values : NULL,
                                                     in_place ? weights.values : next.values, &error),
                             0);
            if (!in_place)
                memcpy(weights.values, next.values, count * sizeof(float));
            guarded_destroy(&gradient);
            guarded_destroy(&next);
        }
        ck_assert_close(backends[i]->name, weights.values, expected, count, 1e-6, 1.0);
        ck_assert_close(backends[i]->name, buffer.values, expected_buffer, count, 1e-6, 1.0);
        free(expected);
        free(expected_buffer);
        guarded_destroy(&weights);
        guarded_destroy(&buffer);
    }
}
END_TEST

START_TEST(sgd_demands_its_buffer)
{
    for (int i = 0; i < BACKENDS; i++) {
        const struct sgd sgd = {.rate = 0.1f, .momentum = 0.9f};
        float weight = 1.0f, gradient = 1.0f;
        struct error error;

        ck_assert_int_eq(backends[i]->sgd_update(NULL, &sgd, 1, &weight, &gradient, NULL, &weight, &error), -1);
        ck_assert_ptr_nonnull(strstr(error.text, "buffer"));
    }
}
END_TEST

START_TEST(blend_lies_between_its_ends)
{
    static const float significances[] = {0.0f, 0.25f, 0.36787945f, 1.0f};

    for (int i = 0; i < BACKENDS; i++) {
        struct dice dice = {.seed = 11000 + (uint64_t)_i};
        struct guarded live = guarded_normal(&dice, 1000, 1.0f), stale = guarded_normal(&dice, 1000, 1.0f);
        struct guarded blended = guarded_create(&dice, 1000);
        double *expected = guarded_doubles(&live);
        struct error error;

        for (size_t j = 0; j < 1000; j++)
            expected[j] += (double)significances[_i] * ((double)stale.values[j] - expected[j]);
        ck_assert_int_eq(
            backends[i]->blend(NULL, 1000, live.values, stale.values, significances[_i], blended.values, &error), 0);
        ck_assert_close(backends[i]->name, blended.values, expected, 1000, 1e-6, 1.0);
        free(expected);
        guarded_destroy(&live);
        guarded_destroy(&stale);
        guarded_destroy(&blended);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss and update");
    TCase *cases = tcase_create("loss and update");
    SRunner *runner = srunner_create(suite);
    int failures;

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, loss_and_ranks_match_their_definitions, 0, RANDOM_LOSSES);
    tcase_add_test(cases, loss_of_equal_and_broken_logits);
    tcase_add_loop_test(cases, sgd_matches_its_formula, 0, RANDOM_UPDATES);
    tcase_add_test(cases, sgd_demands_its_buffer);
    tcase_add_loop_test(cases, blend_lies_between_its_ends, 0, 4);
    suite_add_tcase(suite, cases);
    srunner_run_all(runner, CK_ENV);
    failures = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failures > 0;
}
