/* data/: synthetic images, the order of an epoch, and batches of normalised and augmented images. */
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/random.h"
#include "data/elements.h"
#include "data/source.h"
#include "tests/support/opened.h"
#include "tests/support/suite.h"

enum { CLASSES = 10 };

static struct data_options synthetic(struct shape shape, int limit, uint64_t seed)
{
    return (struct data_options){
        .set = "synthetic", .dir = "", .limit = limit, .classes = CLASSES, .synthetic = shape, .seed = seed};
}

START_TEST(synthetic_sets_repeat)
{
    const struct shape shape = {32, 28, 3};
    const size_t size = shape_size(shape);
    struct data_options options = synthetic(shape, 50, 1), more = synthetic(shape, 80, 1);
    struct data_options other_seed = synthetic(shape, 50, 2);
    struct dataset *a = opened(&options), *b = opened(&more), *c = opened(&other_seed);
    struct dataset *labels = opened_parts(&options, DATA_TARGETS);

    ck_assert_int_eq(a->train.count, 50);
    ck_assert_int_eq(a->test.count, 10);
    ck_assert_int_eq(b->train.count, 80);
    ck_assert_int_eq(b->test.count, 16);
    ck_assert_mem_eq(opened_images(&a->train), opened_images(&b->train), 50 * size);
    ck_assert_mem_eq(opened_images(&a->test), opened_images(&b->test), 10 * size);
    ck_assert_mem_eq(a->train.targets, b->train.targets, 50 * sizeof(int32_t));
    ck_assert_mem_ne(opened_images(&a->train), opened_images(&c->train), size);
    ck_assert_mem_ne(opened_images(&a->train), opened_images(&a->train) + CLASSES * size,
                     size); /* two samples of one class */
    ck_assert_mem_ne(opened_images(&a->train), opened_images(&a->test), size);
    ck_assert_mem_eq(a->train.targets, labels->train.targets, 50 * sizeof(int32_t));
    ck_assert_mem_eq(a->test.targets, labels->test.targets, 10 * sizeof(int32_t));
    ck_assert_int_eq(labels->train.elements.piece_count, 0);
    ck_assert(labels->normalisation.mean[0] == 0.0f && labels->normalisation.deviation[0] == 1.0f);
    dataset_close(a);
    dataset_close(b);
    dataset_close(c);
    dataset_close(labels);
}
END_TEST

/* The descriptor is all that a process needs, and nobody can change what lies behind it. */
START_TEST(a_shared_set_is_the_same_set)
{
    const struct data_options options = synthetic((struct shape){28, 30, 3}, 50, 1);
    const size_t size = 28 * 30 * 3;
    struct dataset *own = opened(&options), *mapped;
    struct error error;
    const int descriptor = dataset_share(opened(&options), &error);

    ck_assert_msg(descriptor >= 0, "%s", error.text);
    ck_assert_msg(!dataset_map(&mapped, descriptor, &error), "%s", error.text);
    ck_assert_int_eq(write(descriptor, "", 1), -1);
    close(descriptor);
    ck_assert_int_eq(mapped->train.count, 50);
    ck_assert_int_eq(mapped->test.count, 10);
    ck_assert_mem_eq(&mapped->train.shape, &own->train.shape, sizeof(own->train.shape));
    ck_assert_mem_eq(&mapped->test.shape, &own->test.shape, sizeof(own->test.shape));
    ck_assert(mapped->normalisation.mean[0] == own->normalisation.mean[0] &&
              mapped->normalisation.deviation[0] == own->normalisation.deviation[0]);
    ck_assert_mem_eq(opened_images(&mapped->train), opened_images(&own->train), 50 * size);
    ck_assert_mem_eq(mapped->train.targets, own->train.targets, 50 * sizeof(int32_t));
    ck_assert_mem_eq(opened_images(&mapped->test), opened_images(&own->test), 10 * size);
    ck_assert_mem_eq(mapped->test.targets, own->test.targets, 10 * sizeof(int32_t));
    dataset_close(mapped);
    dataset_close(own);
}
END_TEST

START_TEST(what_nobody_shared_is_not_mapped)
{
    const int file = memfd_create("foreign", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    const int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    struct dataset *dataset;
    struct error error;

    ck_assert_int_eq(ftruncate(file, 4096), 0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(dataset_map(&dataset, i == 0 ? -1 : file, &error), -1);
        ck_assert_ptr_nonnull(strstr(error.text, "is no shared data set"));
        if (i == 1)
            ck_assert_int_eq(fcntl(file, F_ADD_SEALS, all_seals), 0);
    }
    close(file);
}
END_TEST

START_TEST(synthetic_sets_have_a_default_size)
{
    struct data_options options = synthetic((struct shape){28, 28, 1}, 0, 1);
    struct dataset *dataset = opened_parts(&options, DATA_TARGETS);
    int histogram[CLASSES] = {0};

    ck_assert_int_eq(dataset->train.count, 10000);
    ck_assert_int_eq(dataset->test.count, 2000);
    for (int i = 0; i < dataset->train.count; i++)
        histogram[dataset->train.targets[i]]++;
    for (int label = 0; label < CLASSES; label++)
        ck_assert_int_eq(histogram[label], 1000);
    dataset_close(dataset);
}
END_TEST

/* Classifies test images by the nearest mean of the training images. */
START_TEST(synthetic_classes_can_be_told_apart)
{
    const struct shape shape = {28, 28, 1};
    enum { SIZE = 28 * 28, SHARE = 100 };
    struct data_options options = synthetic(shape, SHARE * CLASSES, (uint64_t)_i);
    struct dataset *dataset = opened(&options);
    const uint8_t *train = opened_images(&dataset->train), *test = opened_images(&dataset->test);
    static double means[CLASSES][SIZE];
    int right = 0;

    memset(means, 0, sizeof(means));
    for (int i = 0; i < dataset->train.count; i++)
        for (int p = 0; p < SIZE; p++)
            means[dataset->train.targets[i]][p] += (double)train[i * SIZE + p] / SHARE;
    for (int i = 0; i < dataset->test.count; i++) {
        double distance[CLASSES] = {0};
        int nearest = 0;
        for (int label = 0; label < CLASSES; label++) {
            for (int p = 0; p < SIZE; p++)
                distance[label] += pow(test[i * SIZE + p] - means[label][p], 2.0);
            nearest = distance[label] < distance[nearest] ? label : nearest;
        }
        right += nearest == dataset->test.targets[i];
    }
    ck_assert_msg(right >= dataset->test.count * 95 / 100, "seed %d: %d of %d are right", _i, right,
                  dataset->test.count);
    dataset_close(dataset);
}
END_TEST

START_TEST(orders_are_permutations)
{
    static const int counts[] = {1, 2, 3, 17, 1000, 60000};

    for (int c = 0; c < COUNT(counts); c++) {
        int count = counts[c], *order = malloc((size_t)count * sizeof(*order));
        bool *seen = calloc((size_t)count, sizeof(*seen));
        int fixed = 0;
        for (int i = 0; i < count; i++)
            order[i] = -1;
        data_order(3, _i, count, order);
        for (int i = 0; i < count; i++) {
            if (order[i] < 0 || order[i] >= count || seen[order[i]])
                ck_abort_msg("epoch %d, %d samples: order[%d] = %d", _i, count, i, order[i]);
            seen[order[i]] = true;
            fixed += order[i] == i;
        }
        ck_assert_msg(count < 17 || fixed < 12, "epoch %d, %d samples: %d stay where they were", _i, count, fixed);
        free(order);
        free(seen);
    }
}
END_TEST

START_TEST(orders_depend_on_seed_and_epoch)
{
    int a[100], b[100];

    data_order(1, 1, 100, a);
    data_order(1, 1, 100, b);
    ck_assert_mem_eq(a, b, sizeof(a));
    data_order(1, 2, 100, b);
    ck_assert_mem_ne(a, b, sizeof(a));
    data_order(2, 1, 100, b);
    ck_assert_mem_ne(a, b, sizeof(a));
}
END_TEST

START_TEST(all_orders_are_as_likely)
{
    enum { PERMUTATIONS = 24, EPOCHS = 24000 };
    int counts[256] = {0}, seen = 0;
    double chi_squared = 0.0, expected = (double)EPOCHS / PERMUTATIONS;

    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        int order[4];
        data_order(9, epoch, 4, order);
        counts[order[0] * 64 + order[1] * 16 + order[2] * 4 + order[3]]++;
    }
    for (int i = 0; i < 256; i++) {
        seen += counts[i] > 0;
        if (counts[i] > 0)
            chi_squared += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    ck_assert_int_eq(seen, PERMUTATIONS);
    ck_assert_msg(chi_squared < 58.6, "chi squared %g of 23 degrees of freedom (p = 0.0001 at 58.6)", chi_squared);
}
END_TEST

/* Samples of random bytes, to be freed. */
static struct dataset *random_set(struct shape shape, int count, uint64_t seed)
{
    struct dataset *dataset = calloc(1, sizeof(*dataset));
    size_t bytes = (size_t)count * shape_size(shape);

    uint8_t *images = malloc(bytes);
    struct error error;

    *dataset = (struct dataset){
        .train = {.count = count, .shape = shape, .stored = shape, .elements = {.stride = shape_size(shape)}},
        .normalisation = {{0.3f, 0.3f, 0.3f}, {0.2f, 0.2f, 0.2f}}};
    ck_assert_int_eq(source_hold(dataset, (struct data_memory){.bytes = images, .size = bytes}, &error), 0);
    dataset->train.targets = malloc((size_t)count * sizeof(int32_t));
    dataset->train.targets_per_sample = 1;
    for (size_t i = 0; i < bytes; i++)
        images[i] = (uint8_t)random_below(seed, RANDOM_TEST, 7, i, 256);
    ck_assert_int_eq(elements_add(&dataset->train.elements, images, (size_t)count, &error), 0);
    for (int i = 0; i < count; i++)
        dataset->train.targets[i] = (int32_t)random_below(seed, RANDOM_TEST, 8, (uint64_t)i, CLASSES);
    return dataset;
}

/* Pixel by pixel, from the place of each in the enlarged image. */
static void check_enlarged(const struct samples *plain, const struct samples *enlarged)
{
    const struct shape in = plain->shape, out = enlarged->shape;
    const uint8_t *plain_images = opened_images(plain), *enlarged_images = opened_images(enlarged);

    ck_assert_int_eq(enlarged->count, plain->count);
    ck_assert_int_eq(out.height, in.height + 4);
    ck_assert_int_eq(out.width, in.width + 4);
    ck_assert_int_eq(out.channels, 3);
    for (size_t i = 0; i < (size_t)plain->count * shape_size(out); i++) {
        const int channel = (int)(i % 3), x = (int)(i / 3) % out.width - 2,
                  y = (int)(i / 3) / out.width % out.height - 2;
        const size_t image = i / shape_size(out);
        const bool inside = x >= 0 && x < in.width && y >= 0 && y < in.height;
        const size_t pixel = (image * (size_t)in.height + (size_t)y) * (size_t)in.width + (size_t)x;
        const size_t source = in.channels == 1 ? pixel : 3 * pixel + (size_t)channel;

        if (enlarged_images[i] != (inside ? plain_images[source] : 0))
            ck_abort_msg("image %zu, row %d, column %d, channel %d", image, y, x, channel);
    }
}

static const struct shape shapes[] = {{28, 28, 1}, {28, 30, 3}, {33, 28, 1}};

START_TEST(enlarged_images_have_a_border_and_colours)
{
    struct data_options options = synthetic(shapes[_i], 20, 1);
    struct dataset *plain = opened(&options), *enlarged, *labels;

    options.enlarge = true;
    enlarged = opened(&options);
    labels = opened_parts(&options, DATA_TARGETS);
    check_enlarged(&plain->train, &enlarged->train);
    check_enlarged(&plain->test, &enlarged->test);
    ck_assert_mem_eq(plain->train.targets, enlarged->train.targets, 20 * sizeof(int32_t));
    ck_assert_int_eq(labels->train.elements.piece_count, 0);
    ck_assert(enlarged->normalisation.mean[0] < plain->normalisation.mean[0]);
    dataset_close(plain);
    dataset_close(enlarged);
    dataset_close(labels);
}
END_TEST

/* They are made when they are gathered. */
START_TEST(enlarged_images_need_no_room)
{
    struct data_options options = synthetic((struct shape){28, 28, 1}, 2000, 1);

    options.room = 2 << 20; /* of which 2000 images take one and a half */
    options.enlarge = true;
    dataset_close(opened(&options));
}
END_TEST

START_TEST(what_is_foretold_is_enlarged_too)
{
    const struct data_options options = {.set = "fashion-mnist", .dir = "", .classes = CLASSES, .enlarge = true};
    struct samples train, test;

    ck_assert(dataset_foretell(&options, &train, &test));
    ck_assert(train.shape.height == 32 && train.shape.width == 32 && train.shape.channels == 3);
    ck_assert_mem_eq(&train.shape, &test.shape, sizeof(test.shape));
}
END_TEST

static const struct shape gather_shapes[] = {{28, 28, 1}, {32, 32, 3}, {7, 5, 3}, {5, 9, 1}};

static double normalised(const struct dataset *dataset, uint8_t byte)
{
    return (byte / 255.0 - (double)dataset->normalisation.mean[0]) / (double)dataset->normalisation.deviation[0];
}

static bool near(float value, double expected)
{
    return fabs((double)value - expected) <= 1e-5 * fmax(1.0, fabs(expected));
}

static float *poisoned(size_t count)
{
    float *values = malloc((count + 1) * sizeof(*values));

    for (size_t i = 0; i <= count; i++)
        values[i] = NAN;
    return values;
}

START_TEST(gathered_images_are_normalised)
{
    static const int indices[] = {4, 0, 7, 7, 3};
    struct shape shape = gather_shapes[_i];
    struct dataset *dataset = random_set(shape, 8, (uint64_t)_i);
    size_t size = shape_size(shape), count = COUNT(indices) * size;
    struct augmentation off = {.kind = AUGMENT_NONE, .seed = 1, .epoch = 1};
    float *out = poisoned(count), *again = poisoned(count);
    const uint8_t *images = opened_images(&dataset->train);

    data_gather_images(dataset, &dataset->train, indices, COUNT(indices), NULL, out);
    data_gather_images(dataset, &dataset->train, indices, COUNT(indices), &off, again);
    for (size_t i = 0; i < count; i++) {
        double expected = normalised(dataset, images[(size_t)indices[i / size] * size + i % size]);
        if (!near(out[i], expected))
            ck_abort_msg("value %zu is %g, not %g", i, (double)out[i], expected);
    }
    ck_assert(isnan(out[count]));
    ck_assert_mem_eq(out, again, count * sizeof(*out));
    free(out);
    free(again);
    dataset_close(dataset);
}
END_TEST

START_TEST(gathered_labels_are_the_samples)
{
    static const int indices[] = {4, 0, 7, 7, 3};
    struct dataset *dataset = random_set((struct shape){5, 5, 1}, 8, 1);
    int32_t out[COUNT(indices) + 1];
    struct error error;

    memset(out, 0xee, sizeof(out));
    ck_assert_int_eq(data_gather_targets(&dataset->train, indices, COUNT(indices), CLASSES, out, &error), 0);
    for (int r = 0; r < COUNT(indices); r++)
        ck_assert_int_eq(out[r], dataset->train.targets[indices[r]]);
    ck_assert_int_eq(out[COUNT(indices)], (int32_t)0xeeeeeeee);
    dataset_close(dataset);
}
END_TEST

/* Is `out` the sample, mirrored first if asked and then moved down and right, zero where nothing is? */
static bool is_moved(const struct dataset *dataset, int sample, int down, int right, bool mirrored, const float *out)
{
    struct shape shape = dataset->train.shape;
    const uint8_t *image = elements_at(&dataset->train.elements, (size_t)sample, NULL);

    for (int y = 0; y < shape.height; y++) {
        for (int x = 0; x < shape.width; x++) {
            for (int c = 0; c < shape.channels; c++) {
                int from_y = y - down, from_x = x - right;
                bool inside = from_y >= 0 && from_y < shape.height && from_x >= 0 && from_x < shape.width;
                int column = mirrored ? shape.width - 1 - from_x : from_x;
                float value = out[(y * shape.width + x) * shape.channels + c];
                if (!inside ? value != 0.0f
                            : !near(value,
                                    normalised(dataset, image[(from_y * shape.width + column) * shape.channels + c])))
                    return false;
            }
        }
    }
    return true;
}

enum { SHIFTS = 5, MOVES = SHIFTS * SHIFTS * 2 };

/* Which of the fifty moves made `out`; -1 if none or several did. */
static int find_move(const struct dataset *dataset, int sample, const float *out)
{
    int found = -1;

    for (int move = 0; move < MOVES; move++) {
        if (is_moved(dataset, sample, move / 2 / SHIFTS - 2, move / 2 % SHIFTS - 2, move % 2, out)) {
            if (found >= 0)
                return -1;
            found = move;
        }
    }
    return found;
}

/* Each augmented image is exactly one of the fifty moves of its sample, and all moves are as likely. */
START_TEST(augmentation_draws_every_move)
{
    enum { SAMPLES = 40, EPOCHS = 50 };
    struct shape shape = gather_shapes[_i];
    struct dataset *dataset = random_set(shape, SAMPLES, (uint64_t)_i);
    size_t size = shape_size(shape);
    float *out = poisoned(SAMPLES * size);
    int indices[SAMPLES], counts[MOVES] = {0};
    double chi_squared = 0.0, expected = (double)SAMPLES * EPOCHS / MOVES;

    data_order(1, 1, SAMPLES, indices);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        struct augmentation augmentation = {.kind = AUGMENT_SHIFT, .seed = 5, .epoch = epoch};
        data_gather_images(dataset, &dataset->train, indices, SAMPLES, &augmentation, out);
        for (int r = 0; r < SAMPLES; r++) {
            int move = find_move(dataset, indices[r], out + (size_t)r * size);
            if (move < 0)
                ck_abort_msg("epoch %d, row %d is no move of sample %d", epoch, r, indices[r]);
            counts[move]++;
        }
        ck_assert(isnan(out[SAMPLES * size]));
    }
    for (int move = 0; move < MOVES; move++)
        chi_squared += (counts[move] - expected) * (counts[move] - expected) / expected;
    ck_assert_msg(chi_squared < 97.1, "chi squared %g of 49 degrees of freedom (p = 0.0001 at 97.1)", chi_squared);
    free(out);
    dataset_close(dataset);
}
END_TEST

/* The same sample comes out the same whoever gathers it, beside whatever; another epoch or seed changes it. */
START_TEST(augmentation_depends_on_seed_epoch_and_sample)
{
    enum { SAMPLES = 64 };
    struct shape shape = {28, 28, 1};
    size_t size = shape_size(shape);
    struct dataset *dataset = random_set(shape, SAMPLES, 1);
    struct augmentation augmentation = {.kind = AUGMENT_SHIFT, .seed = 5, .epoch = 3};
    struct augmentation other_epoch = {.kind = AUGMENT_SHIFT, .seed = 5, .epoch = 4};
    struct augmentation other_seed = {.kind = AUGMENT_SHIFT, .seed = 6, .epoch = 3};
    float *all = poisoned(SAMPLES * size), *one = poisoned(size);
    int indices[SAMPLES], epochs_differ = 0, seeds_differ = 0;

    data_order(1, 1, SAMPLES, indices);
    data_gather_images(dataset, &dataset->train, indices, SAMPLES, &augmentation, all);
    for (int r = 0; r < SAMPLES; r++) {
        const float *row = all + (size_t)r * size;
        data_gather_images(dataset, &dataset->train, &indices[r], 1, &augmentation, one);
        ck_assert_mem_eq(one, row, size * sizeof(*one));
        data_gather_images(dataset, &dataset->train, &indices[r], 1, &other_epoch, one);
        epochs_differ += memcmp(one, row, size * sizeof(*one)) != 0;
        data_gather_images(dataset, &dataset->train, &indices[r], 1, &other_seed, one);
        seeds_differ += memcmp(one, row, size * sizeof(*one)) != 0;
    }
    ck_assert_int_ge(epochs_differ, SAMPLES * 8 / 10); /* 98 of 100 expected */
    ck_assert_int_ge(seeds_differ, SAMPLES * 8 / 10);
    free(all);
    free(one);
    dataset_close(dataset);
}
END_TEST

START_TEST(shifts_beyond_tiny_images_leave_nothing)
{
    struct dataset *dataset = random_set((struct shape){1, 1, 1}, 50, 1);

    for (int sample = 0; sample < 50; sample++) {
        struct augmentation augmentation = {.kind = AUGMENT_SHIFT, .seed = 5, .epoch = 3};
        float out[2] = {NAN, NAN};
        data_gather_images(dataset, &dataset->train, &sample, 1, &augmentation, out);
        ck_assert(out[0] == 0.0f ||
                  near(out[0], normalised(dataset, *elements_at(&dataset->train.elements, (size_t)sample, NULL))));
        ck_assert(isnan(out[1]));
    }
    dataset_close(dataset);
}
END_TEST

START_TEST(microbatches_share_the_rows)
{
    for (int rows = 0; rows <= 40; rows++) {
        for (int parts = 1; parts <= 12; parts++) {
            ck_assert_int_eq(microbatch_start(rows, parts, 0), 0);
            ck_assert_int_eq(microbatch_start(rows, parts, parts), rows);
            int before = rows;
            for (int j = 0; j < parts; j++) {
                int share = microbatch_start(rows, parts, j + 1) - microbatch_start(rows, parts, j);
                ck_assert_msg(share == rows / parts || share == (rows + parts - 1) / parts, "%d of %d in %d", share,
                              rows, parts);
                ck_assert_int_le(share, before);
                before = share;
            }
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *tcase = tcase_create("data");

    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, synthetic_sets_repeat);
    tcase_add_test(tcase, a_shared_set_is_the_same_set);
    tcase_add_test(tcase, what_nobody_shared_is_not_mapped);
    tcase_add_test(tcase, synthetic_sets_have_a_default_size);
    tcase_add_loop_test(tcase, synthetic_classes_can_be_told_apart, 0, 5);
    tcase_add_loop_test(tcase, orders_are_permutations, 0, 3);
    tcase_add_test(tcase, orders_depend_on_seed_and_epoch);
    tcase_add_test(tcase, all_orders_are_as_likely);
    tcase_add_loop_test(tcase, enlarged_images_have_a_border_and_colours, 0, COUNT(shapes));
    tcase_add_test(tcase, enlarged_images_need_no_room);
    tcase_add_test(tcase, what_is_foretold_is_enlarged_too);
    tcase_add_loop_test(tcase, gathered_images_are_normalised, 0, COUNT(gather_shapes));
    tcase_add_test(tcase, gathered_labels_are_the_samples);
    tcase_add_loop_test(tcase, augmentation_draws_every_move, 0, COUNT(gather_shapes));
    tcase_add_test(tcase, augmentation_depends_on_seed_epoch_and_sample);
    tcase_add_test(tcase, shifts_beyond_tiny_images_leave_nothing);
    tcase_add_test(tcase, microbatches_share_the_rows);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
