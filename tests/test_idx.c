/* IDX files that are as they should be, plain and gzip, and the real Fashion-MNIST: what is read of them. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/idx_files.h"
#include "tests/support/opened.h"
#include "tests/support/suite.h"

/* All sixteen mixtures of plain and gzip files; some of the latter in two members. */
START_TEST(reads_plain_and_gzip_files)
{
    for (int f = 0; f < IDX_FILES; f++) {
        struct content plain = idx_good((enum idx_file)f);
        struct content head = {.size = plain.size / 2}, tail = {.size = plain.size - plain.size / 2};
        memcpy(head.bytes, plain.bytes, head.size);
        memcpy(tail.bytes, plain.bytes + head.size, tail.size);
        struct content whole = content_packed(&plain), first = content_packed(&head), second = content_packed(&tail);
        content_append(&first, second.bytes, second.size);
        if (_i >> f & 1)
            idx_write(idx_names[f], ".gz", _i == 15 ? &first : &whole);
        else
            idx_write(idx_names[f], "", &plain);
    }
    struct dataset *dataset = opened(&idx_options);
    idx_check_good(dataset);
    dataset_close(dataset);
}
END_TEST

START_TEST(prefers_the_plain_file)
{
    struct content damaged = {.size = 3, .bytes = "xyz"};

    idx_write_good();
    for (int f = 0; f < IDX_FILES; f++)
        idx_write(idx_names[f], ".gz", &damaged);
    struct dataset *dataset = opened(&idx_options);
    idx_check_good(dataset);
    dataset_close(dataset);
}
END_TEST

START_TEST(reads_colour_images)
{
    static const uint32_t train[] = {4, 5, 7, 3}, test[] = {2, 5, 7, 3};
    struct content train_images = idx_content(4, train, idx_pixel), test_images = idx_content(4, test, idx_pixel);
    struct content train_labels = idx_content(1, train, idx_label), test_labels = idx_content(1, test, idx_label);

    idx_write(_i ? idx_colour_names[0] : idx_names[TRAIN_IMAGES], "", &train_images);
    idx_write(_i ? idx_colour_names[1] : idx_names[TEST_IMAGES], "", &test_images);
    idx_write(idx_names[TRAIN_LABELS], "", &train_labels);
    idx_write(idx_names[TEST_LABELS], "", &test_labels);
    struct dataset *dataset = opened(&idx_options);
    ck_assert_int_eq(dataset->train.count, 4);
    ck_assert_int_eq(dataset->test.count, 2);
    ck_assert_int_eq(dataset->train.shape.height, 5);
    ck_assert_int_eq(dataset->train.shape.width, 7);
    ck_assert_int_eq(dataset->train.shape.channels, 3);
    idx_check_bytes(opened_images(&dataset->train), 4 * 5 * 7 * 3, idx_pixel);
    dataset_close(dataset);
}
END_TEST

START_TEST(statistics_are_those_of_the_training_images)
{
    double sum = 0.0, squares = 0.0, count = IDX_TRAIN * IDX_HEIGHT * IDX_WIDTH;

    idx_write_good();
    for (size_t i = 0; i < IDX_TRAIN * IDX_HEIGHT * IDX_WIDTH; i++)
        sum += idx_pixel(i) / 255.0;
    for (size_t i = 0; i < IDX_TRAIN * IDX_HEIGHT * IDX_WIDTH; i++)
        squares += pow(idx_pixel(i) / 255.0 - sum / count, 2.0);
    struct dataset *dataset = opened(&idx_options);
    ck_assert_double_eq_tol((double)dataset->normalisation.mean[0], sum / count, 1e-6);
    ck_assert_double_eq_tol((double)dataset->normalisation.deviation[0], sqrt(squares / count), 1e-6);
    dataset_close(dataset);
}
END_TEST

static unsigned char black(size_t i)
{
    (void)i;
    return 0;
}

START_TEST(images_without_contrast_stay_finite)
{
    struct content content = idx_content(3, (const uint32_t[]){IDX_TRAIN, IDX_HEIGHT, IDX_WIDTH}, black);
    float out[IDX_HEIGHT * IDX_WIDTH];

    idx_write_good();
    idx_write(idx_names[TRAIN_IMAGES], "", &content);
    struct dataset *dataset = opened(&idx_options);
    data_gather_images(dataset, &dataset->train, (const int[]){0}, 1, NULL, out);
    for (int i = 0; i < IDX_HEIGHT * IDX_WIDTH; i++)
        ck_assert(out[i] == 0.0f);
    dataset_close(dataset);
}
END_TEST

START_TEST(labels_alone_need_no_images)
{
    struct content garbage = {.size = 3, .bytes = "xyz"};

    idx_write_good();
    for (int f = TRAIN_IMAGES; f < IDX_FILES; f += TEST_IMAGES - TRAIN_IMAGES) {
        unlink(idx_path(idx_names[f], ""));
        if (_i)
            idx_write(idx_names[f], "", &garbage);
    }
    struct dataset *dataset = opened_parts(&idx_options, DATA_TARGETS);
    ck_assert_int_eq(dataset->train.elements.piece_count, 0);
    ck_assert_int_eq(dataset->test.elements.piece_count, 0);
    ck_assert_int_eq(dataset->train.count, IDX_TRAIN);
    ck_assert_int_eq(dataset->test.count, IDX_TEST);
    idx_check_labels(dataset->train.targets, IDX_TRAIN);
    idx_check_labels(dataset->test.targets, IDX_TEST);
    ck_assert(dataset->normalisation.mean[0] == 0.0f && dataset->normalisation.deviation[0] == 1.0f);
    dataset_close(dataset);
}
END_TEST

START_TEST(images_alone_need_no_labels)
{
    idx_write_good();
    unlink(idx_path(idx_names[TRAIN_LABELS], ""));
    unlink(idx_path(idx_names[TEST_LABELS], ""));
    struct dataset *dataset = opened_parts(&idx_options, DATA_IMAGES);
    ck_assert_ptr_null(dataset->train.targets);
    ck_assert_ptr_null(dataset->test.targets);
    ck_assert_int_eq(dataset->train.count, IDX_TRAIN);
    idx_check_bytes(opened_images(&dataset->train), IDX_TRAIN * IDX_HEIGHT * IDX_WIDTH, idx_pixel);
    dataset_close(dataset);
}
END_TEST

static const struct {
    int limit, train, test;
} limits[] = {{0, IDX_TRAIN, IDX_TEST},   {1, 1, 1}, {4, 4, 1}, {10, 10, 2}, {IDX_TRAIN, IDX_TRAIN, 2},
              {1000, IDX_TRAIN, IDX_TEST}};

START_TEST(limit_keeps_the_first)
{
    struct data_options options = idx_options;

    idx_write_good();
    options.limit = limits[_i].limit;
    for (int parts = 1; parts <= (DATA_IMAGES | DATA_TARGETS); parts++) {
        struct dataset *dataset = opened_parts(&options, parts);
        ck_assert_int_eq(dataset->train.count, limits[_i].train);
        ck_assert_int_eq(dataset->test.count, limits[_i].test);
        if (parts & DATA_IMAGES)
            idx_check_bytes(opened_images(&dataset->train), (size_t)limits[_i].train * IDX_HEIGHT * IDX_WIDTH,
                            idx_pixel);
        if (parts & DATA_TARGETS)
            idx_check_labels(dataset->test.targets, (size_t)limits[_i].test);
        dataset_close(dataset);
    }
}
END_TEST

/* As some archives unpack them. */
START_TEST(files_are_found_under_the_names_that_they_have)
{
    static const char *const names[][IDX_FILES] = {
        {"train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"},
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "test-images-idx3-ubyte", "test-labels-idx1-ubyte"},
        {"train-images.idx3-ubyte", "train-labels-idx1-ubyte", "test-images.idx3-ubyte", "t10k-labels.idx1-ubyte"},
    };
    const char *const *own = names[_i / 3];
    const char *ending = _i % 3 == 1 ? ".gz" : "";

    for (int f = 0; f < IDX_FILES; f++) {
        struct content plain = idx_good((enum idx_file)f), packed = content_packed(&plain);
        idx_write(own[f], ending, _i % 3 == 1 ? &packed : &plain);
        /* And beside them a folder of the usual name. */
        if (_i % 3 == 2 && strcmp(own[f], idx_names[f]) != 0)
            ck_assert_int_eq(mkdir(idx_path(idx_names[f], ""), 0700), 0);
    }
    struct dataset *dataset = opened(&idx_options);
    idx_check_good(dataset);
    dataset_close(dataset);
    for (int f = 0; f < IDX_FILES; f++)
        unlink(idx_path(own[f], ending));
}
END_TEST

START_TEST(fashion_mnist_is_what_it_should_be)
{
    const struct data_options options = {.set = "fashion-mnist", .dir = "", .classes = 10};
    struct dataset *dataset = opened(&options);
    const struct samples *halves[] = {&dataset->train, &dataset->test};
    static const int counts[] = {60000, 10000};

    for (int h = 0; h < 2; h++) {
        int histogram[10] = {0};
        ck_assert_int_eq(halves[h]->count, counts[h]);
        ck_assert_int_eq(halves[h]->shape.height, 28);
        ck_assert_int_eq(halves[h]->shape.width, 28);
        ck_assert_int_eq(halves[h]->shape.channels, 1);
        for (int i = 0; i < counts[h]; i++)
            histogram[halves[h]->targets[i]]++;
        for (int label = 0; label < 10; label++)
            ck_assert_int_eq(histogram[label], counts[h] / 10);
    }
    ck_assert_double_eq_tol((double)dataset->normalisation.mean[0], 0.2860,
                            5e-5); /* the values everybody normalises it with */
    ck_assert_double_eq_tol((double)dataset->normalisation.deviation[0], 0.3530, 5e-5);
    dataset_close(dataset);

    struct data_options too_few = options;
    too_few.classes = 9;
    opened_not(&too_few, "train-labels-idx1-ubyte.gz", "model.classes = 9");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idx");
    TCase *files = tcase_create("files"), *real = tcase_create("real");

    tcase_add_unchecked_fixture(files, idx_make_folder, idx_remove_folder);
    tcase_add_checked_fixture(files, idx_empty_folder, NULL);
    tcase_set_timeout(files, 60);
    tcase_add_loop_test(files, reads_plain_and_gzip_files, 0, 16);
    tcase_add_test(files, prefers_the_plain_file);
    tcase_add_loop_test(files, reads_colour_images, 0, 2);
    tcase_add_test(files, statistics_are_those_of_the_training_images);
    tcase_add_test(files, images_without_contrast_stay_finite);
    tcase_add_loop_test(files, labels_alone_need_no_images, 0, 2);
    tcase_add_test(files, images_alone_need_no_labels);
    tcase_add_loop_test(files, limit_keeps_the_first, 0, COUNT(limits));
    tcase_add_loop_test(files, files_are_found_under_the_names_that_they_have, 0, 9);
    suite_add_tcase(suite, files);

    tcase_set_timeout(real, 60);
    tcase_add_test(real, fashion_mnist_is_what_it_should_be);
    suite_add_tcase(suite, real);

    return run_suite(suite);
}
