/* Conformance of the compute backends, continued: the sum that a pass reads in place of a weight version, and the sum of
 * squares, each against its definition in doubles. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "kernels/backend.h"
#include "tests/support/compare.h"
#include "tests/support/machine.h"
#include "tests/support/suite.h"

enum { RANDOM_SUMS = 40, COUNT_MAX = 5000, POOL = 6 };

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

/* A term of vectors of a pool, of which the last two are squares; -1: none. */
struct chosen {
    int plus, minus, square;
};

static struct chosen random_term(struct dice *dice)
{
    const int form = dice_between(dice, 0, 2);

    return (struct chosen){
        .plus = dice_between(dice, 0, POOL - 1),
        .minus = form == 1 ? dice_between(dice, 0, POOL - 1) : -1,
        .square = form == 2 ? dice_between(dice, POOL - 2, POOL - 1) : -1,
    };
}

static void combine(struct machine *machine, const struct guarded *base, const struct combine_term *terms, int count,
                    const struct guarded *combined)
{
    struct error error;

    ck_assert_int_eq(machine->backend->combine(machine->engine, base->count, machine_lend(machine, base), terms, count,
                                               machine_lend(machine, combined), &error),
                     0);
    machine_return(machine);
}

/* expected[count] = base + the terms; returns the largest sum of their magnitudes. */
static double sum_terms(const struct guarded *base, const struct guarded pool[], const struct chosen chosen[],
                        const struct combine_term *terms, int term_count, double *expected)
{
    double largest = 0.0;

    for (size_t j = 0; j < base->count; j++) {
        double magnitude = fabs((double)base->values[j]);

        expected[j] = (double)base->values[j];
        for (int k = 0; k < term_count; k++) {
            double value = (double)pool[chosen[k].plus].values[j];

            if (chosen[k].minus >= 0)
                value -= (double)pool[chosen[k].minus].values[j];
            if (chosen[k].square >= 0)
                value /=
                    sqrt((double)pool[chosen[k].square].values[j]) / (double)terms[k].root + (double)terms[k].epsilon;
            expected[j] += (double)terms[k].coefficient * value;
            magnitude += fabs((double)terms[k].coefficient * value);
        }
        largest = fmax(largest, magnitude);
    }
    return largest;
}

static void check_sum(const struct backend *backend, struct dice dice, int number)
{
    const size_t count = random_count(&dice, number);
    const int term_count = number == RANDOM_SUMS - 1 ? COMBINE_TERMS_MAX : dice_between(&dice, 1, 6);
    struct guarded base = guarded_normal(&dice, count, 1.0f), same = guarded_copy(&dice, &base), pool[POOL];
    struct guarded combined = guarded_create(&dice, count);
    struct combine_term terms[COMBINE_TERMS_MAX];
    struct chosen chosen[COMBINE_TERMS_MAX];
    double *expected = guarded_doubles(&base), magnitude;
    struct machine machine;

    machine_open(&machine, backend, &options);
    for (int p = 0; p < POOL; p++)
        pool[p] = p < POOL - 2 ? guarded_normal(&dice, count, 1.0f) : guarded_squares(&dice, count);
    for (int k = 0; k < term_count; k++) {
        chosen[k] = random_term(&dice);
        terms[k] = (struct combine_term){
            .coefficient = dice_normal(&dice),
            .plus = machine_lend(&machine, &pool[chosen[k].plus]),
            .minus = chosen[k].minus < 0 ? NULL : machine_lend(&machine, &pool[chosen[k].minus]),
            .square = chosen[k].square < 0 ? NULL : machine_lend(&machine, &pool[chosen[k].square]),
            .root = random_of(&dice, 1.0f, 0.3f),
            .epsilon = 0.1f,
        };
    }
    magnitude = sum_terms(&base, pool, chosen, terms, term_count, expected);
    combine(&machine, &base, terms, term_count, &combined);
    ck_assert_close(backend->name, combined.values, expected, count, 1e-6, magnitude);
    ck_assert_same(backend->name, base.values, same.values, count);
    machine_close(&machine);
    for (int p = 0; p < POOL; p++)
        guarded_destroy(&pool[p]);
    guarded_destroy(&base);
    guarded_destroy(&same);
    guarded_destroy(&combined);
    free(expected);
}

START_TEST(sums_match_their_definition)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++)
        check_sum(backend, (struct dice){.seed = 11000 + (uint64_t)_i}, _i);
}
END_TEST

static const float significances[] = {0.0f, 0.25f, 0.36787945f, 1.0f};

/* What runs have read at all times, to the bit; a GPU may round once where the host rounds twice. */
START_TEST(a_blend_is_a_sum_of_one_term)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 11500 + (uint64_t)_i};
        struct guarded live = guarded_normal(&dice, 3000, 1.0f), stale = guarded_normal(&dice, 3000, 1.0f);
        struct guarded blended = guarded_create(&dice, 3000), expected = guarded_copy(&dice, &live);
        struct machine machine;
        double *exact;

        machine_open(&machine, backend, &options);
        for (size_t j = 0; j < 3000; j++)
            expected.values[j] += significances[_i] * (stale.values[j] - live.values[j]);
        exact = guarded_doubles(&expected);

        const struct combine_term term = {
            .coefficient = significances[_i],
            .plus = machine_lend(&machine, &stale),
            .minus = machine_lend(&machine, &live),
        };

        combine(&machine, &live, &term, 1, &blended);
        if (backend->device == &device_host)
            ck_assert_same(backend->name, blended.values, expected.values, 3000);
        else
            ck_assert_close(backend->name, blended.values, exact, 3000, 1e-6, 1.0);
        machine_close(&machine);
        guarded_destroy(&live);
        guarded_destroy(&stale);
        guarded_destroy(&blended);
        guarded_destroy(&expected);
        free(exact);
    }
}
END_TEST

/* What the squares add to `start`. */
static double sum_of_squares(struct machine *machine, const struct guarded *vector, double start)
{
    const struct device_type *type = machine->device->type;
    struct error error;
    double *sum, result;
    void *memory;

    ck_assert_int_eq(type->allocate_host(machine->device, &memory, sizeof(double), "a sum", &error), 0);
    sum = memory;
    *sum = start;
    ck_assert_int_eq(
        machine->backend->sum_of_squares(machine->engine, vector->count, machine_lend(machine, vector), sum, &error),
        0);
    machine_return(machine);
    result = *sum;
    type->release_host(machine->device, memory);
    return result;
}

START_TEST(squares_are_added_up)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 15000 + (uint64_t)_i};
        struct guarded vector = guarded_normal(&dice, random_count(&dice, _i), 1e10f);
        const double start = dice_between(&dice, 0, 1) ? 1e22 : 0.0;
        struct machine machine;
        double expected = start, sum;

        for (size_t j = 0; j < vector.count; j++)
            expected += (double)vector.values[j] * (double)vector.values[j];
        machine_open(&machine, backend, &options);
        sum = sum_of_squares(&machine, &vector, start);
        ck_assert_msg(fabs(sum - expected) <= 1e-12 * expected, "%s: %.17g, not %.17g", backend->name, sum, expected);
        machine_close(&machine);
        guarded_destroy(&vector);
    }
}
END_TEST

/* The same bits wherever the vector lies, however many threads there are. */
START_TEST(squares_are_added_in_an_order_that_depends_on_their_count)
{
    const struct backend *backend;

    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct dice dice = {.seed = 16000 + (uint64_t)_i};
        struct guarded vector = guarded_normal(&dice, random_count(&dice, _i), 1.0f);
        double first = 0.0;

        for (int threads = 1; threads <= 4; threads++) {
            struct guarded elsewhere = guarded_copy(&dice, &vector);
            struct machine machine;
            double sum;

            machine_open(&machine, backend, &(struct engine_options){.threads = threads});
            sum = sum_of_squares(&machine, &elsewhere, 0.0);
            first = threads == 1 ? sum : first;
            ck_assert_msg(sum == first, "%s: %a with %d threads, %a with one", backend->name, sum, threads, first);
            machine_close(&machine);
            guarded_destroy(&elsewhere);
        }
        guarded_destroy(&vector);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sums");
    TCase *cases = tcase_create("sums");

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, sums_match_their_definition, 0, RANDOM_SUMS);
    tcase_add_loop_test(cases, a_blend_is_a_sum_of_one_term, 0, COUNT(significances));
    tcase_add_loop_test(cases, squares_are_added_up, 0, RANDOM_SUMS);
    tcase_add_loop_test(cases, squares_are_added_in_an_order_that_depends_on_their_count, 0, RANDOM_SUMS);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
