/* Optimizers: the rows on every backend against PyTorch's steps (tests/golden/optimizers/make.py has the files' format), and
 * what a row says of its way against explicit steps in doubles. */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/backend.h"
#include "optimizers/optimizer.h"
#include "tests/support/compare.h"
#include "tests/support/machine.h"
#include "tests/support/optimizer_oracle.h"
#include "tests/support/suite.h"

enum { PARAMETERS = 17, STEPS = 100, STORED = 13, VECTORS_MAX = UPDATE_SLOTS + 1, RANDOM_COURSES = 40 };

static const struct {
    const char *file, *optimizer;
    bool product; /* "mu_product" is stored */
} goldens[] = {
    {"sgd", "sgd", false},      {"sgd-decay", "sgd", false},
    {"momentum", "sgd", false}, {"momentum-decay", "sgd", false},
    {"nesterov", "sgd", false}, {"nesterov-decay", "sgd", false},
    {"adamw", "adamw", false},  {"adamw-decay", "adamw", false},
    {"nadamw", "nadamw", true}, {"nadamw-decay", "nadamw", true},
};
enum { GOLDENS = sizeof(goldens) / sizeof(goldens[0]) };

static FILE *golden_open(const char *name)
{
    char path[64];
    FILE *file;

    snprintf(path, sizeof(path), "tests/golden/optimizers/%s.txt", name);
    file = fopen(path, "r");
    ck_assert_msg(file, "cannot open %s", path);
    return file;
}

/* The next words of the line that strtok has begun. */
static void read_numbers(double *values, int count)
{
    for (int i = 0; i < count; i++) {
        const char *word = strtok(NULL, " \n");
        char *end;

        ck_assert_msg(word, "only %d of %d numbers", i, count);
        values[i] = strtod(word, &end);
        ck_assert_msg(*end == '\0', "no number: %s", word);
    }
    ck_assert_ptr_null(strtok(NULL, " \n"));
}

/* Of each step, its rate and its gradients. */
static void read_steps(double steps[STEPS][1 + PARAMETERS])
{
    FILE *file = golden_open("steps");
    char line[1024];
    int count = 0;

    while (fgets(line, sizeof(line), file)) {
        const char *word = strtok(line, " \n");

        if (word[0] == '#')
            continue;
        ck_assert_int_lt(count, STEPS);
        ck_assert_int_eq(atoi(word), count + 1);
        read_numbers(steps[count++], 1 + PARAMETERS);
    }
    ck_assert_int_eq(count, STEPS);
    fclose(file);
}

/* What has been trained so far, and the largest that each element of a vector was to be: rounding errors are relative to
 * that. */
struct trained {
    struct machine machine;
    const struct optimizer *optimizer;
    struct optimizer_settings settings;
    struct optimizer_course course;
    struct guarded weights, slots[UPDATE_SLOTS];
    double largest[VECTORS_MAX][PARAMETERS];
    int vectors; /* compared */
};

static void set(struct optimizer_settings *settings, const char *name)
{
    const struct {
        const char *name;
        double *value;
    } numbers[] = {
        {"momentum", &settings->momentum},
        {"eps", &settings->epsilon},
        {"momentum_decay", &settings->momentum_decay},
        {"weight_decay", &settings->weight_decay},
    };
    double betas[2];

    if (strcmp(name, "betas") == 0) {
        read_numbers(betas, 2);
        settings->beta1 = betas[0];
        settings->beta2 = betas[1];
        return;
    }
    if (strcmp(name, "nesterov") == 0 || strcmp(name, "decoupled_weight_decay") == 0) {
        ck_assert_str_eq(strtok(NULL, " \n"), "True");
        settings->nesterov |= strcmp(name, "nesterov") == 0;
        return;
    }
    for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++)
        if (strcmp(name, numbers[k].name) == 0) {
            read_numbers(numbers[k].value, 1);
            return;
        }
    ck_abort_msg("unknown setting %s", name);
}

static void train(struct trained *trained, const double step[1 + PARAMETERS], int number)
{
    struct dice dice = {.seed = 20000};
    struct guarded gradient = guarded_create(&dice, PARAMETERS);
    struct update_call call = {.count = PARAMETERS};
    struct update update;
    struct error error;

    for (int i = 0; i < PARAMETERS; i++)
        gradient.values[i] = (float)step[1 + i];
    trained->settings.rate = step[0];
    optimizer_catch_up(trained->optimizer, &trained->settings, number - 1, &trained->course);
    update = optimizer_update(trained->optimizer, &trained->settings, &trained->course);
    call.weights = call.new_weights = machine_lend(&trained->machine, &trained->weights);
    call.gradient = machine_lend(&trained->machine, &gradient);
    for (int k = 0; k < optimizer_slot_count(trained->optimizer, &trained->settings); k++)
        call.slots[k] = machine_lend(&trained->machine, &trained->slots[k]);
    ck_assert_int_eq(trained->machine.backend->update(trained->machine.engine, &update, &call, &error), 0);
    machine_return(&trained->machine);
    guarded_destroy(&gradient);
}

static void compare(struct trained *trained, const char *what, const struct guarded *tensor, double *largest)
{
    double expected[PARAMETERS];
    float actual[PARAMETERS];

    read_numbers(expected, PARAMETERS);
    for (int i = 0; i < PARAMETERS; i++) {
        largest[i] = fmax(largest[i], fmax(fabs(expected[i]), (double)FLT_MIN));
        expected[i] /= largest[i];
        actual[i] = (float)((double)tensor->values[i] / largest[i]);
    }
    ck_assert_close(what, actual, expected, PARAMETERS, 1e-6, 1.0);
    trained->vectors++;
}

/* A line of a vector: the parameters at first, then what they and the slots should be after `number` steps. */
static void check_vector(struct trained *trained, const char *file, const char *name, int number)
{
    double values[PARAMETERS];
    char what[128];

    snprintf(what, sizeof(what), "%s, %s: %s after %d steps", trained->machine.backend->name, file, name, number);
    if (strcmp(name, "parameter") == 0 && number == 0) {
        read_numbers(values, PARAMETERS);
        for (int i = 0; i < PARAMETERS; i++)
            trained->weights.values[i] = (float)values[i];
        return;
    }
    if (strcmp(name, "parameter") == 0) {
        compare(trained, what, &trained->weights, trained->largest[UPDATE_SLOTS]);
        return;
    }
    for (int k = 0; k < optimizer_slot_count(trained->optimizer, &trained->settings); k++)
        if (strcmp(name, trained->optimizer->slots[k].name) == 0) {
            compare(trained, what, &trained->slots[k], trained->largest[k]);
            return;
        }
    ck_assert_msg(strcmp(name, "mu_product") == 0, "%s: no such vector here", what);
    read_numbers(values, 1);
    optimizer_catch_up(trained->optimizer, &trained->settings, number, &trained->course);
    ck_assert_msg(fabs(trained->course.product - values[0]) <= 1e-6 * values[0], "%s: %.9g, not %.9g", what,
                  trained->course.product, values[0]);
    trained->vectors++;
}

static void follow(struct trained *trained, const char *name, double steps[STEPS][1 + PARAMETERS])
{
    FILE *file = golden_open(name);
    int number = 0;
    char line[1024];

    while (fgets(line, sizeof(line), file)) {
        const char *word = strtok(line, " \n");

        if (strcmp(word, "setting") == 0) {
            set(&trained->settings, strtok(NULL, " \n"));
        } else if (strcmp(word, "step") == 0) {
            for (const int last = atoi(strtok(NULL, " \n")); number < last; number++)
                train(trained, steps[number], number + 1);
        } else if (word[0] != '#') {
            check_vector(trained, name, word, number);
        }
    }
    ck_assert_int_eq(number, STEPS);
    fclose(file);
}

START_TEST(steps_are_pytorchs)
{
    static double steps[STEPS][1 + PARAMETERS];

    const struct backend *backend;

    read_steps(steps);
    for (int i = 0; (backend = usable_backend(i)); i++) {
        struct trained trained = {.optimizer = optimizer_find(goldens[_i].optimizer), .settings.gradient_scale = 1.0};
        struct dice dice = {.seed = 20000};

        machine_open(&trained.machine, backend, &(struct engine_options){.threads = 1});
        trained.weights = guarded_create(&dice, PARAMETERS);
        for (int k = 0; k < UPDATE_SLOTS; k++)
            trained.slots[k] = guarded_normal(&dice, PARAMETERS, 0.0f);
        follow(&trained, goldens[_i].file, steps);
        ck_assert_int_eq(trained.vectors, STORED * (1 + optimizer_slot_count(trained.optimizer, &trained.settings) +
                                                    goldens[_i].product));
        machine_close(&trained.machine);
        guarded_destroy(&trained.weights);
        for (int k = 0; k < UPDATE_SLOTS; k++)
            guarded_destroy(&trained.slots[k]);
    }
}
END_TEST

static double value_of(const struct term *term, double m, double s)
{
    ck_assert_int_eq(term->plus, VECTOR_MOMENTUM);
    ck_assert_int_eq(term->minus, VECTOR_NONE);
    if (term->square == VECTOR_NONE)
        return term->coefficient * m;
    ck_assert_int_eq(term->square, VECTOR_SQUARES);
    return term->coefficient * m / (sqrt(s) / term->root + term->epsilon);
}

START_TEST(directions_are_those_of_updates_without_a_gradient)
{
    const struct optimizer *optimizer;

    for (int n = 0; (optimizer = optimizer_at(n)); n++) {
        struct dice dice = {.seed = 21000 + (uint64_t)_i};
        const struct optimizer_settings settings = random_optimizer_settings(&dice);
        const int updates = dice_between(&dice, 1, 30);
        const double newest = (double)dice_normal(&dice), s = 0.01 + fabs((double)dice_normal(&dice));
        struct optimizer_course course = {0};
        double m = newest, sum = 0.0, expected = 0.0;

        optimizer_catch_up(optimizer, &settings, updates, &course);
        for (int j = 1; j <= 20; j++) {
            const struct term term = optimizer->direction(&settings, &course, j);

            sum += value_of(&term, newest, s);
            expected += oracle_step(optimizer->name, &settings, updates + j, 0.0, &m, s);
            assert_near(optimizer->name, j, sum, expected);
        }
        ck_assert_double_ne(sum, 0.0);
    }
}
END_TEST

/* j = 0: the newest update had no gradient either. */
START_TEST(the_newest_step_is_that_of_the_newest_momentum)
{
    const struct optimizer *optimizer;

    for (int n = 0; (optimizer = optimizer_at(n)); n++) {
        struct dice dice = {.seed = 22000 + (uint64_t)_i};
        const struct optimizer_settings settings = random_optimizer_settings(&dice);
        const int updates = dice_between(&dice, 1, 30);
        const double s = 0.01 + fabs((double)dice_normal(&dice));
        struct optimizer_course course = {0};
        double m = (double)dice_normal(&dice), expected;
        struct term term;

        optimizer_catch_up(optimizer, &settings, updates, &course);
        expected = oracle_step(optimizer->name, &settings, updates, 0.0, &m, s);
        term = optimizer->direction(&settings, &course, 0);
        assert_near(optimizer->name, 0, value_of(&term, m, s), expected);
    }
}
END_TEST

START_TEST(courses_catch_up_from_anywhere)
{
    const struct optimizer *optimizer;

    for (int n = 0; (optimizer = optimizer_at(n)); n++) {
        struct dice dice = {.seed = 23000 + (uint64_t)_i};
        const struct optimizer_settings settings = random_optimizer_settings(&dice);
        struct optimizer_course course = {0};

        for (int k = 0; k < 10; k++) {
            const int updates = dice_between(&dice, 0, 40);
            struct optimizer_course fresh = {0};

            optimizer_catch_up(optimizer, &settings, updates, &course);
            optimizer_catch_up(optimizer, &settings, updates, &fresh);
            ck_assert_int_eq(course.updates, updates);
            ck_assert_int_eq(fresh.updates, updates);
            ck_assert_double_eq(course.product, fresh.product);
            assert_near(optimizer->name, updates, course.product,
                        optimizer == &optimizer_nadamw ? nadam_product(&settings, updates) : 1.0);
        }
    }
}
END_TEST

START_TEST(rows_are_whole)
{
    const struct optimizer_settings settings = {.momentum = 0.9};
    const struct optimizer *optimizer;
    int count = 0;

    for (; (optimizer = optimizer_at(count)); count++) {
        const int slots = optimizer_slot_count(optimizer, &settings);

        ck_assert_ptr_eq(optimizer_find(optimizer->name), optimizer);
        for (int n = 0; n < count; n++)
            ck_assert_str_ne(optimizer_at(n)->name, optimizer->name);
        ck_assert(optimizer->summary[0] && optimizer->source[0]);
        ck_assert(optimizer->prepare && optimizer->direction);
        ck_assert_int_eq(optimizer_kind(optimizer, &settings), optimizer->kind);
        ck_assert_int_eq(slots, update_slot_count(optimizer->kind));
        for (int k = 0; k < slots; k++) {
            ck_assert_int_eq(optimizer->slots[k].vector, k == 0 ? VECTOR_MOMENTUM : VECTOR_SQUARES);
            ck_assert(optimizer->slots[k].name[0]);
        }
    }
    ck_assert_int_ge(count, 3);
    ck_assert_ptr_null(optimizer_find("rmsprop"));
}
END_TEST

START_TEST(sgd_without_momentum_keeps_nothing)
{
    const struct optimizer_settings settings = {.rate = 0.1, .weight_decay = 0.01, .gradient_scale = 0.5};
    const struct optimizer_course course = {.updates = 3, .product = 1.0};
    const struct update update = optimizer_update(&optimizer_sgd, &settings, &course);

    ck_assert_int_eq(optimizer_slot_count(&optimizer_sgd, &settings), 0);
    ck_assert_int_eq(optimizer_kind(&optimizer_sgd, &settings), UPDATE_GRADIENT);
    ck_assert_int_eq(update.kind, UPDATE_GRADIENT);
    ck_assert_double_eq((double)update.rate, (double)0.1f);
    ck_assert_double_eq((double)update.decay, (double)0.01f);
    ck_assert_double_eq((double)update.gradient_scale, (double)0.5f);
    ck_assert_int_eq(optimizer_slot_count(&optimizer_adamw, &settings), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("optimizers");
    TCase *cases = tcase_create("optimizers");

    tcase_set_timeout(cases, 60);
    tcase_add_loop_test(cases, steps_are_pytorchs, 0, GOLDENS);
    tcase_add_loop_test(cases, directions_are_those_of_updates_without_a_gradient, 0, RANDOM_COURSES);
    tcase_add_loop_test(cases, the_newest_step_is_that_of_the_newest_momentum, 0, RANDOM_COURSES);
    tcase_add_loop_test(cases, courses_catch_up_from_anywhere, 0, RANDOM_COURSES);
    tcase_add_test(cases, rows_are_whole);
    tcase_add_test(cases, sgd_without_momentum_keeps_nothing);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
