/* Goal of this test: whatever list of ops stages run, what comes out is what its arithmetic says. With a flush every order
 * adds up the same gradients in the same order, so that all of them, and one process, train to the same bits: the rows of
 * the table, and schedule files that nobody has written. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "schedule/csv.h"
#include "tests/support/compare.h"
#include "tests/support/pipeline.h"
#include "tests/support/random_schedule.h"
#include "tests/support/suite.h"
#include "tests/support/trained.h"

/* Five mini-batches, the last one ragged; parts and placement as given, or one part. The caller frees. */
static float *train_parts(const char *system, const char *arch, int stages, int parts, const char *placement,
                          int microbatches, const char *key, const char *value, size_t *count)
{
    struct settings settings = settings_of(arch, stages, microbatches, 8, 38);

    settings_set(&settings, "pipeline.system", system);
    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "device.backend", "reference");
    settings_set(&settings, "train.lr", "0.01");
    settings_set(&settings, "train.momentum", "0.9");
    settings_number(&settings, "pipeline.parts", parts);
    settings_set(&settings, "pipeline.placement", placement);
    if (key)
        settings_set(&settings, key, value);
    return trained_weights(&settings, count);
}

static float *train(const char *system, const char *arch, int stages, int microbatches, const char *key,
                    const char *value, size_t *count)
{
    return train_parts(system, arch, stages, 1, "loop", microbatches, key, value, count);
}

static void assert_trains_to(const float *expected, const char *system, const char *arch, int stages, int microbatches,
                             const char *key, const char *value)
{
    size_t count;
    float *weights = train(system, arch, stages, microbatches, key, value, &count);

    ck_assert_same(system, expected, weights, count);
    free(weights);
}

#define DROPOUT "tests/networks/dropout.net"

static const struct {
    const char *arch;
    int stages, microbatches;
} shapes[] = {{"mlp", 2, 2},     {"mlp", 2, 4},     {"mlp", 3, 3},   {"mlp", 3, 6},
              {"resnet8", 4, 4}, {"resnet8", 4, 8}, {DROPOUT, 2, 2}, {DROPOUT, 3, 3}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

START_TEST(synchronous_rows_train_to_the_bits_of_one_process)
{
    static const char *const names[] = {"gpipe", "1f1b", "zb-h1", "zb-h2", "interleaved-1f1b", "breadth-first"};
    size_t count;
    float *one = train("gpipe", shapes[_i].arch, 1, shapes[_i].microbatches, NULL, NULL, &count);

    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
        assert_trains_to(one, names[k], shapes[_i].arch, shapes[_i].stages, shapes[_i].microbatches, NULL, NULL);
    free(one);
}
END_TEST

/* Where nothing is stale, the times for which a list is made change the order of ops, and nothing else. */
START_TEST(synchronous_lists_for_other_times_train_to_the_same_bits)
{
    static const char *const names[] = {"gpipe", "1f1b", "zb-h1", "zb-h2"};
    size_t count;
    float *one = train("gpipe", shapes[_i].arch, 1, shapes[_i].microbatches, NULL, NULL, &count);

    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
        assert_trains_to(one, names[k], shapes[_i].arch, shapes[_i].stages, shapes[_i].microbatches, "pipeline.static",
                         "nominal");
    free(one);
}
END_TEST

static const struct {
    const char *system, *arch;
    int stages, parts;
    const char *placement;
    int microbatches;
} several[] = {
    {"interleaved-1f1b", "mlp", 1, 3, "loop", 2},
    {"interleaved-1f1b", "resnet8", 2, 2, "loop", 4},
    {"interleaved-1f1b", "resnet20", 2, 4, "loop", 6},
    {"interleaved-1f1b", "resnet20", 4, 2, "loop", 8},
    {"breadth-first", "resnet8", 2, 2, "loop", 3},
    {"breadth-first", "resnet20", 3, 3, "loop", 2},
    {"zb-v", "resnet8", 1, 2, "v", 3},
    {"zb-v", DROPOUT, 2, 2, "v", 3},
    {"zb-v", "resnet8", 2, 2, "v", 1},
    {"zb-v", "resnet8", 2, 2, "v", 6},
    {"zb-v", "resnet20", 4, 2, "v", 8},
    {"dualpipe-v", "resnet8", 2, 2, "v", 4},
    {"dualpipe-v", "resnet20", 4, 2, "v", 8},
};
enum { SEVERAL = sizeof(several) / sizeof(several[0]) };

/* Wherever the parts lie. */
START_TEST(several_parts_train_to_the_bits_of_one_process)
{
    size_t count;
    float *one = train("gpipe", several[_i].arch, 1, several[_i].microbatches, NULL, NULL, &count);
    float *parts = train_parts(several[_i].system, several[_i].arch, several[_i].stages, several[_i].parts,
                               several[_i].placement, several[_i].microbatches, NULL, NULL, &count);

    ck_assert_same(several[_i].system, one, parts, count);
    free(one);
    free(parts);
}
END_TEST

/* A draw that a small network has blocks for, in PyTorch's form. */
static bool draw(uint64_t seed, struct random_schedule *random)
{
    *random = random_schedule_draw(seed);
    return random->stages * random->parts <= 5 && random->minibatches == 1 && random->microbatches <= 8;
}

START_TEST(random_schedule_files_train_to_the_same_bits)
{
    char path[] = "/tmp/tp-test-XXXXXX.csv";
    const int descriptor = mkstemps(path, 4);
    int tried = 0;

    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
    for (uint64_t seed = 0; tried < 20; seed++) {
        struct random_schedule random;
        size_t count;

        if (!draw(seed, &random))
            continue;
        char *text = random_schedule_csv(&random, seed);
        FILE *file = fopen(path, "w");
        ck_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
        free(text);
        const char *arch = random.stages * random.parts <= 3 ? "mlp" : "resnet8";
        float *one = train("gpipe", arch, 1, random.microbatches, NULL, NULL, &count);
        float *by_file = train_parts(path, arch, random.stages, random.parts, placement_name(random.placement),
                                     random.microbatches, NULL, NULL, &count);
        ck_assert_same(path, one, by_file, count);
        free(by_file);
        free(one);
        tried++;
    }
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lists");
    TCase *tests = tcase_create("training");

    tcase_set_timeout(tests, 240);
    tcase_add_loop_test(tests, synchronous_rows_train_to_the_bits_of_one_process, 0, SHAPES);
    tcase_add_loop_test(tests, synchronous_lists_for_other_times_train_to_the_same_bits, 0, SHAPES);
    tcase_add_loop_test(tests, several_parts_train_to_the_bits_of_one_process, 0, SEVERAL);
    tcase_add_test(tests, random_schedule_files_train_to_the_same_bits);
    suite_add_tcase(suite, tests);

    return run_suite(suite);
}
