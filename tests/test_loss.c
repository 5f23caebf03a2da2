/* Conformance of the compute backends, continued: loss and ranks against their definitions in doubles. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "tests/support/compare.h"
#include "tests/support/machine.h"
#include "tests/support/suite.h"

enum { RANDOM_LOSSES = 50, ROWS_MAX = 600 };

static const struct engine_options options = {.threads = 1};

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
static struct loss_oracle loss_row(int classes, const float *logits, int target, double *gradient)
{
    struct loss_oracle oracle = {0};
    double largest = (double)logits[0], sum = 0.0;

    for (int j = 0; j < classes; j++) {
        largest = fmax(largest, (double)logits[j]);
        oracle.rank += logits[j] > logits[target] || (j < target && logits[j] >= logits[target]);
    }
    for (int j = 0; j < classes; j++)
        sum += exp((double)logits[j] - largest);
    for (int j = 0; j < classes; j++)
        gradient[j] = exp((double)logits[j] - largest) / sum - (j == target);
    oracle.loss = log(sum) + largest - (double)logits[target];
    return oracle;
}

/* What the device adds to and reads from the host's memory. */
struct shared {
    struct loss_result result;
    int32_t targets[ROWS_MAX];
};

static struct shared *shared_create(struct machine *machine)
{
    struct error error;
    void *memory;

    ck_assert_int_eq(
        machine->device->type->allocate_host(machine->device, &memory, sizeof(struct shared), "targets", &error), 0);
    memset(memory, 0, sizeof(struct shared));
    return memory;
}

static void shared_destroy(struct machine *machine, struct shared *shared)
{
    machine->device->type->release_host(machine->device, shared);
}

/* The loss of `logits`, added to shared->result, and its gradient unless that is NULL. */
static int compute_loss(struct machine *machine, struct shared *shared, int rows, int classes,
                        const struct guarded *logits, float scale, const struct guarded *gradient, struct error *error)
{
    const int result = machine->backend->softmax_cross_entropy(
        machine->engine, rows, classes, machine_lend(machine, logits), shared->targets, scale,
        gradient ? machine_lend(machine, gradient) : NULL, &shared->result, error);

    machine_return(machine);
    return result;
}

static void check_loss(const struct backend *backend, struct dice dice, int rows)
{
    const int classes = dice_between(&dice, 2, 600);
    const float scale = 1.0f / 7.0f;
    struct guarded logits = random_logits(&dice, rows, classes), gradient = guarded_create(&dice, logits.count);
    struct loss_result expected = {.loss_sum = 3.0, .top1 = 100, .top5 = 1000}, first;
    double *gradients = guarded_doubles(&logits);
    struct machine machine;
    struct shared *shared;
    struct error error;

    machine_open(&machine, backend, &options);
    shared = shared_create(&machine);
    shared->result = expected;
    for (int row = 0; row < rows; row++) {
        shared->targets[row] = dice_between(&dice, 0, classes - 1);

        const struct loss_oracle oracle =
            loss_row(classes, logits.values + row * classes, shared->targets[row], gradients + row * classes);

        expected.loss_sum += oracle.loss;
        expected.top1 += oracle.rank < 1;
        expected.top5 += oracle.rank < 5;
    }
    for (size_t j = 0; j < logits.count; j++)
        gradients[j] *= (double)scale;
    ck_assert_int_eq(compute_loss(&machine, shared, rows, classes, &logits, scale, &gradient, &error), 0);
    ck_assert_close(backend->name, gradient.values, gradients, logits.count, 1e-6, (double)scale);
    ck_assert_double_eq_tol(shared->result.loss_sum, expected.loss_sum, 1e-6 * (1.0 + fabs(expected.loss_sum)));
    ck_assert_int_eq(shared->result.top1, expected.top1);
    ck_assert_int_eq(shared->result.top5, expected.top5);

    first = shared->result;
    shared->result = (struct loss_result){.loss_sum = 3.0, .top1 = 100, .top5 = 1000};
    ck_assert_int_eq(compute_loss(&machine, shared, rows, classes, &logits, scale, NULL, &error), 0);
    ck_assert_mem_eq(&shared->result, &first, sizeof(first));

    shared_destroy(&machine, shared);
    machine_close(&machine);
    guarded_destroy(&logits);
    guarded_destroy(&gradient);
    free(gradients);
}

START_TEST(loss_and_ranks_match_their_definitions)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 9000 + (uint64_t)_i};

        check_loss(backend, dice, dice_between(&dice, 0, 20));
    }
}
END_TEST

START_TEST(loss_of_many_rows)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++)
        check_loss(backend, (struct dice){.seed = 9100}, ROWS_MAX);
}
END_TEST

static struct guarded guarded_of(struct dice *dice, const float *values, size_t count)
{
    struct guarded tensor = guarded_create(dice, count);

    memcpy(tensor.values, values, count * sizeof(float));
    return tensor;
}

START_TEST(loss_of_equal_and_broken_logits)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 9200};
        struct guarded equal = guarded_of(&dice, (const float[]){2.0f, 2.0f, 2.0f, 2.0f, 2.0f, 2.0f}, 6);
        struct guarded broken = guarded_of(&dice, (const float[]){0.0f, NAN, 0.0f, 0.0f, 0.0f, 9.0f}, 6);
        struct machine machine;
        struct shared *shared;
        struct error error;

        machine_open(&machine, backend, &options);
        shared = shared_create(&machine);
        for (int32_t target = 0; target < 6; target++) {
            shared->targets[0] = target;
            shared->result = (struct loss_result){0};
            ck_assert_int_eq(compute_loss(&machine, shared, 1, 6, &equal, 1.0f, NULL, &error), 0);
            ck_assert_int_eq(shared->result.top1, target == 0);
            ck_assert_int_eq(shared->result.top5, target < 5);
            ck_assert_double_eq_tol(shared->result.loss_sum, log(6.0), 1e-12);
        }

        shared->targets[0] = 5;
        shared->result = (struct loss_result){0};
        ck_assert_int_eq(compute_loss(&machine, shared, 1, 6, &broken, 1.0f, NULL, &error), 0);
        ck_assert_int_eq(shared->result.top1, 0);
        ck_assert(isnan(shared->result.loss_sum));
        shared->targets[0] = 6;
        ck_assert_int_eq(compute_loss(&machine, shared, 1, 6, &equal, 1.0f, NULL, &error), -1);
        ck_assert_ptr_nonnull(strstr(error.text, "target 6"));
        shared->targets[0] = -1;
        ck_assert_int_eq(compute_loss(&machine, shared, 1, 6, &equal, 1.0f, NULL, &error), -1);
        ck_assert_ptr_nonnull(strstr(error.text, "target -1"));
        shared_destroy(&machine, shared);
        machine_close(&machine);
        guarded_destroy(&equal);
        guarded_destroy(&broken);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loss");
    TCase *cases = tcase_create("loss");

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, loss_and_ranks_match_their_definitions, 0, RANDOM_LOSSES);
    tcase_add_test(cases, loss_of_many_rows);
    tcase_add_test(cases, loss_of_equal_and_broken_logits);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
