/* Conformance of the compute backends, continued: the optimizer's step and the correction of a gradient, each against its
 * definition in doubles. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "tests/support/compare.h"
#include "tests/support/machine.h"
#include "tests/support/suite.h"

enum { RANDOM_UPDATES = 90, RANDOM_CORRECTIONS = 40, STEPS = 3, COUNT_MAX = 5000 };

static const struct engine_options options = {.threads = 1};

/* The first cases have 0, 1, 2 elements. */
static size_t random_count(struct dice *dice, int number)
{
    return number < 3 ? (size_t)number : (size_t)dice_between(dice, 0, COUNT_MAX);
}

static float random_of(struct dice *dice, float a, float b)
{
    return dice_between(dice, 0, 1) ? a : b;
}

static struct update random_update(struct dice *dice)
{
    return (struct update){
        .kind = (enum update_kind)dice_between(dice, 0, UPDATE_KINDS - 1),
        .gradient_scale = random_of(dice, 1.0f, 0.3f),
        .decay = random_of(dice, 0.0f, 0.01f),
        .rate = 0.1f,
        .keep = 0.9f,
        .take = 0.2f,
        .keep_square = 0.99f,
        .take_square = 0.05f,
        .along = random_of(dice, 1.0f, 0.9f),
        .across = random_of(dice, 0.0f, 1.0f),
        .root = 0.5f,
        .epsilon = 0.1f,
    };
}

/* The definitions in kernels/elements.h, of one element; m and s are its slots. */
static double stepped(const struct update *update, double w, double gradient, double *m, double *s)
{
    const double scaled = gradient * (double)update->gradient_scale, decayed = scaled + (double)update->decay * w;
    const double keep = (double)update->keep, take = (double)update->take;
    const double keep_square = (double)update->keep_square, take_square = (double)update->take_square;
    const double along = (double)update->along, across = (double)update->across, rate = (double)update->rate;

    switch (update->kind) {
    case UPDATE_GRADIENT:
        return w - rate * decayed;
    case UPDATE_MOMENTUM:
        *m = keep * *m + decayed;
        return w - rate * along * *m - rate * across * decayed;
    case UPDATE_MOMENTS:
        *m = (1.0 - take) * *m + take * scaled;
        *s = keep_square * *s + take_square * scaled * scaled;
        return w - (double)update->decay * w -
               (along * *m + across * scaled) / (sqrt(*s) / (double)update->root + (double)update->epsilon);
    case UPDATE_KINDS:
        break;
    }
    ck_abort_msg("update of kind %d", (int)update->kind);
    return 0.0;
}

/* Vectors of an update, and what they should be. */
struct updated {
    struct guarded weights, first, second, differences;
    double *expected, *expected_first, *expected_second, *expected_differences;
};

static struct updated updated_create(struct dice *dice, size_t count)
{
    struct updated updated = {
        .weights = guarded_normal(dice, count, 1.0f),
        .first = guarded_normal(dice, count, 1.0f),
        .second = guarded_squares(dice, count),
        .differences = guarded_normal(dice, count, 0.1f),
    };

    updated.expected = guarded_doubles(&updated.weights);
    updated.expected_first = guarded_doubles(&updated.first);
    updated.expected_second = guarded_doubles(&updated.second);
    updated.expected_differences = guarded_doubles(&updated.differences);
    return updated;
}

static void updated_destroy(struct updated *updated)
{
    free(updated->expected);
    free(updated->expected_first);
    free(updated->expected_second);
    free(updated->expected_differences);
    guarded_destroy(&updated->weights);
    guarded_destroy(&updated->first);
    guarded_destroy(&updated->second);
    guarded_destroy(&updated->differences);
}

/* One step; new weights into `next`, or in place. */
static void step(struct machine *machine, const struct update *update, struct updated *updated,
                 const struct guarded *gradient, const struct guarded *next, const float *keep_differences)
{
    const bool has_first = update->kind != UPDATE_GRADIENT, has_second = update->kind == UPDATE_MOMENTS;
    const struct update_call call = {
        .count = updated->weights.count,
        .weights = machine_lend(machine, &updated->weights),
        .gradient = machine_lend(machine, gradient),
        .slots = {has_first ? machine_lend(machine, &updated->first) : NULL,
                  has_second ? machine_lend(machine, &updated->second) : NULL},
        .differences = keep_differences ? machine_lend(machine, &updated->differences) : NULL,
        .keep_differences = keep_differences ? *keep_differences : 0.0f,
        .new_weights = machine_lend(machine, next ? next : &updated->weights),
    };
    struct error error;

    ck_assert_int_eq(machine->backend->update(machine->engine, update, &call, &error), 0);
    machine_return(machine);
}

static void check_updates(const struct backend *backend, struct dice dice, int number)
{
    const size_t count = random_count(&dice, number);
    const struct update update = random_update(&dice);
    const bool in_place = dice_between(&dice, 0, 1), averages = dice_between(&dice, 0, 1);
    const float keep = random_of(&dice, 0.6f, 0.0f);
    struct updated updated = updated_create(&dice, count);
    struct machine machine;

    machine_open(&machine, backend, &options);
    for (int n = 0; n < STEPS; n++) {
        struct guarded gradient = guarded_normal(&dice, count, 1.0f), next = guarded_create(&dice, count);
        struct guarded same_gradient = guarded_copy(&dice, &gradient), old = guarded_copy(&dice, &updated.weights);

        for (size_t j = 0; j < count; j++) {
            const double from = updated.expected[j];

            updated.expected[j] = stepped(&update, from, (double)gradient.values[j], &updated.expected_first[j],
                                          &updated.expected_second[j]);
            if (averages)
                updated.expected_differences[j] = (double)keep * updated.expected_differences[j] +
                                                  (1.0 - (double)keep) * (updated.expected[j] - from);
        }
        step(&machine, &update, &updated, &gradient, in_place ? NULL : &next, averages ? &keep : NULL);
        ck_assert_same(backend->name, gradient.values, same_gradient.values, count);
        if (!in_place) {
            ck_assert_same(backend->name, updated.weights.values, old.values, count);
            memcpy(updated.weights.values, next.values, count * sizeof(float));
        }
        guarded_destroy(&gradient);
        guarded_destroy(&same_gradient);
        guarded_destroy(&old);
        guarded_destroy(&next);
    }
    machine_close(&machine);
    ck_assert_close(backend->name, updated.weights.values, updated.expected, count, 1e-6, 1.0);
    ck_assert_close(backend->name, updated.first.values, updated.expected_first, count, 1e-6, 1.0);
    ck_assert_close(backend->name, updated.second.values, updated.expected_second, count, 1e-6, 1.0);
    ck_assert_close(backend->name, updated.differences.values, updated.expected_differences, count, 1e-6, 1.0);
    updated_destroy(&updated);
}

START_TEST(updates_match_their_formulas)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++)
        check_updates(backend, (struct dice){.seed = 10000 + (uint64_t)_i}, _i);
}
END_TEST

/* Nesterov's form, as Sutskever et al. have it (2013): the momentum is of points x, the gradients are of the points
 * w = x + keep v to which it looks ahead, and w is what an update keeps. */
START_TEST(momentum_across_the_gradient_is_nesterovs)
{
    const struct update update = {
        .kind = UPDATE_MOMENTUM, .gradient_scale = 1.0f, .rate = 0.1f, .keep = 0.9f, .along = 0.9f, .across = 1.0f};
    const double keep = (double)update.keep, rate = (double)update.rate;
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 10500};
        struct updated updated = updated_create(&dice, 100);
        double *x = guarded_doubles(&updated.weights), *v = guarded_doubles(&updated.weights);
        struct machine machine;

        machine_open(&machine, backend, &options);
        memset(updated.first.values, 0, 100 * sizeof(float));
        memset(v, 0, 100 * sizeof(double));
        for (int n = 0; n < 10; n++) {
            struct guarded gradient = guarded_normal(&dice, 100, 1.0f);

            for (size_t j = 0; j < 100; j++) {
                v[j] = keep * v[j] - rate * (double)gradient.values[j];
                x[j] += v[j];
                updated.expected[j] = x[j] + keep * v[j];
            }
            step(&machine, &update, &updated, &gradient, NULL, NULL);
            guarded_destroy(&gradient);
        }
        ck_assert_close(backend->name, updated.weights.values, updated.expected, 100, 1e-6, 1.0);
        machine_close(&machine);
        updated_destroy(&updated);
        free(x);
        free(v);
    }
}
END_TEST

/* The slots that each form has, and one less. */
START_TEST(updates_demand_their_slots)
{
    static const int slots[UPDATE_KINDS] = {[UPDATE_GRADIENT] = 0, [UPDATE_MOMENTUM] = 1, [UPDATE_MOMENTS] = 2};

    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++)
        for (int kind = 0; kind < UPDATE_KINDS; kind++)
            for (int given = 0; given <= slots[kind]; given++) {
                const struct update update = {
                    .kind = (enum update_kind)kind, .gradient_scale = 1.0f, .rate = 0.1f, .along = 0.1f, .root = 1.0f};
                struct dice dice = {.seed = 12000};
                struct updated updated = updated_create(&dice, 1);
                struct guarded gradient = guarded_normal(&dice, 1, 1.0f);
                const float weight = updated.weights.values[0];
                struct machine machine;
                struct error error;

                machine_open(&machine, backend, &options);

                const struct update_call call = {
                    .count = 1,
                    .weights = machine_lend(&machine, &updated.weights),
                    .gradient = machine_lend(&machine, &gradient),
                    .slots = {given > 0 ? machine_lend(&machine, &updated.first) : NULL,
                              given > 1 ? machine_lend(&machine, &updated.second) : NULL},
                    .new_weights = machine_lend(&machine, &updated.weights),
                };
                const int result = backend->update(machine.engine, &update, &call, &error);

                machine_close(&machine);
                ck_assert_int_eq(update_slot_count((enum update_kind)kind), slots[kind]);
                ck_assert_int_eq(result, given < slots[kind] ? -1 : 0);
                ck_assert_int_eq(updated.weights.values[0] == weight, given < slots[kind]);
                if (given < slots[kind])
                    ck_assert_ptr_nonnull(strstr(error.text, "vectors of its own"));
                updated_destroy(&updated);
                guarded_destroy(&gradient);
            }
}
END_TEST

static struct correction random_correction(struct dice *dice, enum correction_kind kind)
{
    return (struct correction){
        .kind = kind,
        .gradient_scale = random_of(dice, 1.0f, 0.3f),
        .strength = random_of(dice, 0.04f, 2.0f),
        .decay = random_of(dice, 0.0f, 0.01f),
        .rate = 0.1f,
        .keep = random_of(dice, 0.999f, 0.5f),
        .take = 0.3f,
        .weight = random_of(dice, 1.0f, 0.2f),
        .epsilon = 0.01f,
    };
}

/* The definitions in kernels/elements.h, of one element. */
static double corrected(const struct correction *correction, double gradient, double live, double forward, double m,
                        double *average)
{
    const double g = gradient * (double)correction->gradient_scale, decay = (double)correction->decay * live;

    if (correction->kind == CORRECTION_TAYLOR)
        return g + (double)correction->strength * g * g * (live - forward);
    *average = (double)correction->keep * *average + (double)correction->take * m * m;

    const double usual =
        (double)correction->rate * (sqrt(*average / (double)correction->weight) + (double)correction->epsilon);

    return (g + decay) * usual / (usual + fabs(live - forward)) - decay;
}

/* Vectors of a correction; a gradient that CORRECTION_TAYLOR corrects is given no average. */
struct corrections {
    struct guarded live, forward, momentum, average, gradient;
};

static struct corrections corrections_create(struct dice *dice, size_t count)
{
    return (struct corrections){
        .live = guarded_normal(dice, count, 1.0f),
        .forward = guarded_normal(dice, count, 1.0f),
        .momentum = guarded_normal(dice, count, 1.0f),
        .average = guarded_squares(dice, count),
        .gradient = guarded_normal(dice, count, 1.0f),
    };
}

static void corrections_destroy(struct corrections *corrections)
{
    guarded_destroy(&corrections->live);
    guarded_destroy(&corrections->forward);
    guarded_destroy(&corrections->momentum);
    guarded_destroy(&corrections->average);
    guarded_destroy(&corrections->gradient);
}

static void correct(struct machine *machine, const struct correction *correction, struct corrections *corrections)
{
    const bool gap = correction->kind == CORRECTION_GAP;
    const struct correction_call call = {
        .count = corrections->live.count,
        .live = machine_lend(machine, &corrections->live),
        .forward = machine_lend(machine, &corrections->forward),
        .momentum = gap ? machine_lend(machine, &corrections->momentum) : NULL,
        .average = gap ? machine_lend(machine, &corrections->average) : NULL,
        .gradient = machine_lend(machine, &corrections->gradient),
    };
    struct error error;

    ck_assert_int_eq(machine->backend->correct(machine->engine, correction, &call, &error), 0);
    machine_return(machine);
}

static void check_corrections(const struct backend *backend, struct dice dice, int number)
{
    const size_t count = random_count(&dice, number / CORRECTION_KINDS);
    const struct correction correction = random_correction(&dice, (enum correction_kind)(number % CORRECTION_KINDS));
    struct corrections vectors = corrections_create(&dice, count);
    struct guarded live = guarded_copy(&dice, &vectors.live), forward = guarded_copy(&dice, &vectors.forward);
    struct guarded momentum = guarded_copy(&dice, &vectors.momentum);
    double *average = guarded_doubles(&vectors.average);
    struct machine machine;

    machine_open(&machine, backend, &options);
    for (int n = 0; n < STEPS; n++) {
        double *expected;

        guarded_destroy(&vectors.gradient);
        vectors.gradient = guarded_normal(&dice, count, 1.0f);
        expected = guarded_doubles(&vectors.gradient);
        for (size_t j = 0; j < count; j++)
            expected[j] = corrected(&correction, expected[j], (double)live.values[j], (double)forward.values[j],
                                    (double)momentum.values[j], &average[j]);
        correct(&machine, &correction, &vectors);
        ck_assert_close(backend->name, vectors.gradient.values, expected, count, 1e-6, 1.0);
        free(expected);
    }
    machine_close(&machine);
    ck_assert_close(backend->name, vectors.average.values, average, count, 1e-6, 1.0);
    ck_assert_same(backend->name, vectors.live.values, live.values, count);
    ck_assert_same(backend->name, vectors.forward.values, forward.values, count);
    ck_assert_same(backend->name, vectors.momentum.values, momentum.values, count);
    guarded_destroy(&live);
    guarded_destroy(&forward);
    guarded_destroy(&momentum);
    corrections_destroy(&vectors);
    free(average);
}

START_TEST(corrections_match_their_formulas)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++)
        check_corrections(backend, (struct dice){.seed = 13000 + (uint64_t)_i}, _i);
}
END_TEST

/* Also gradients whose squares are no numbers, and the smallest there are. */
START_TEST(no_distance_corrects_nothing)
{
    static const float gradients[] = {0.0f, -0.0f, 1.0f, -1.0f / 3.0f, 1e30f, -FLT_MAX, FLT_MIN, -FLT_MIN / 8.0f};
    enum { GRADIENTS = sizeof(gradients) / sizeof(gradients[0]) };

    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 14000 + (uint64_t)_i};
        struct corrections vectors = corrections_create(&dice, GRADIENTS);
        struct correction correction = random_correction(&dice, (enum correction_kind)_i);
        double *average = guarded_doubles(&vectors.average);
        struct machine machine;

        correction.gradient_scale = 1.0f;
        memcpy(vectors.forward.values, vectors.live.values, sizeof(gradients));
        memcpy(vectors.gradient.values, gradients, sizeof(gradients));
        machine_open(&machine, backend, &options);
        correct(&machine, &correction, &vectors);
        ck_assert_same(backend->name, vectors.gradient.values, gradients, GRADIENTS);
        for (int j = 0; j < GRADIENTS; j++)
            corrected(&correction, 0.0, 0.0, 0.0, (double)vectors.momentum.values[j], &average[j]);
        ck_assert_close(backend->name, vectors.average.values, average, GRADIENTS, 1e-6, 1.0);
        machine_close(&machine);
        corrections_destroy(&vectors);
        free(average);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("update");
    TCase *cases = tcase_create("update");

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, updates_match_their_formulas, 0, RANDOM_UPDATES);
    tcase_add_test(cases, momentum_across_the_gradient_is_nesterovs);
    tcase_add_test(cases, updates_demand_their_slots);
    tcase_add_loop_test(cases, corrections_match_their_formulas, 0, RANDOM_CORRECTIONS);
    tcase_add_loop_test(cases, no_distance_corrects_nothing, 0, CORRECTION_KINDS);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
