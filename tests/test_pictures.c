/* Folders of pictures, which are written here: JPEGs in colour and grey, PNGs with and without alpha; scaling against a mean
 * that is taken pixel by pixel; splits and orders; the cache, which a changed folder makes anew; and what is wrong with a
 * folder, one line each. */
#ifndef TP_PICTURES

#include <stdio.h>

int main(void)
{
    puts("skipped: built without libjpeg-turbo and libpng");
    return 77;
}

#else

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

#include "base/random.h"
#include "data/data.h"
#include "data/picture.h"
#include "tests/support/opened.h"
#include "tests/support/suite.h"

enum { SIDE = 32 };

static char folder[64], dir[96], cache[96], path[256];
static struct error error;
static int notices;

static void shell(const char *format, ...)
{
    char command[512];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command, sizeof(command), format, arguments);
    va_end(arguments);
    ck_assert_int_eq(system(command), 0);
}

static void set_up(void)
{
    strcpy(folder, "/tmp/tp-pictures-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(dir, sizeof(dir), "%s/set", folder);
    snprintf(cache, sizeof(cache), "%s/cache/of/tp", folder);
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    notices = 0;
}

static void tear_down(void)
{
    shell("rm -r %s", folder);
}

/* A smooth picture of its own colour: JPEG leaves it nearly as it is. */
static uint8_t value(int picture, int y, int x, int channel)
{
    return (uint8_t)((picture * 37 + channel * 60 + y + 2 * x) % 200 + 20);
}

static void write_jpeg(const char *to, int picture, int height, int width, int channels)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(to, "wb");
    JSAMPLE row[512 * 3];
    JSAMPROW rows[1] = {row};

    ck_assert_ptr_nonnull(file);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_height = (JDIMENSION)height;
    jpeg.image_width = (JDIMENSION)width;
    jpeg.input_components = channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    for (int c = 0; c < channels; c++)
        jpeg.comp_info[c].h_samp_factor = jpeg.comp_info[c].v_samp_factor = 1;
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                row[x * channels + c] = value(picture, y, x, channels == 1 ? 0 : c);
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

/* Format: PNG_FORMAT_GRAY, _RGB or _RGBA, whose alpha is 0 in the left half and 255 in the right one. */
static void write_png(const char *to, int picture, int height, int width, unsigned format)
{
    png_image image = {.version = PNG_IMAGE_VERSION, .format = format};
    const int channels = (int)PNG_IMAGE_SAMPLE_CHANNELS(format);
    uint8_t *pixels = malloc((size_t)(height * width * channels)), *at = pixels;

    image.height = (png_uint_32)height;
    image.width = (png_uint_32)width;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < channels; c++)
                *at++ = c == 3 ? (uint8_t)(x < width / 2 ? 0 : 255) : value(picture, y, x, channels == 1 ? 0 : c);
    ck_assert_int_eq(png_image_write_to_file(&image, to, 0, pixels, 0, NULL), 1);
    free(pixels);
}

static const char *named(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return path;
}

/* `count` pictures in dir/name. */
static void fill_class(const char *name, int first, int count)
{
    char file[256];

    shell("mkdir -p %s/%s", dir, name);
    for (int i = 0; i < count; i++) {
        snprintf(file, sizeof(file), "%s/%s/%03d.%s", dir, name, i, i % 3 ? "png" : "JPEG");
        if (i % 3)
            write_png(file, first + i, SIDE, SIDE, PNG_FORMAT_RGB);
        else
            write_jpeg(file, first + i, SIDE, SIDE, 3);
    }
}

static void count_notice(const char *what, const char *where)
{
    (void)what, (void)where;
    notices++;
}

static struct data_options options_of(const char *set)
{
    return (struct data_options){.set = set,
                                 .dir = dir,
                                 .cache = cache,
                                 .size = SIDE,
                                 .channels = 3,
                                 .held_out = 0.25,
                                 .classes = 3,
                                 .notice = count_notice};
}

static void check_image(const uint8_t *image, int picture, int slack)
{
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++)
            for (int c = 0; c < 3; c++)
                ck_assert_msg(abs(image[(y * SIDE + x) * 3 + c] - value(picture, y, x, c)) <= slack,
                              "picture %d, pixel %d, %d, %d is %d", picture, y, x, c, image[(y * SIDE + x) * 3 + c]);
}

START_TEST(pictures_are_decoded)
{
    uint8_t out[SIDE * SIDE * 3];
    const struct shape shape = {SIDE, SIDE, 3}, grey = {SIDE, SIDE, 1};

    write_jpeg(named("a.jpg"), 3, SIDE, SIDE, 3);
    ck_assert_int_eq(picture_read(path, shape, out, &error), 0);
    check_image(out, 3, 3);
    write_png(named("a.png"), 4, SIDE, SIDE, PNG_FORMAT_RGB);
    ck_assert_int_eq(picture_read(path, shape, out, &error), 0);
    check_image(out, 4, 0);
    for (int kind = 0; kind < 2; kind++) { /* grey ones, as grey and in colour */
        if (kind == 0)
            write_jpeg(named("g.jpg"), 5, SIDE, SIDE, 1);
        else
            write_png(named("g.png"), 5, SIDE, SIDE, PNG_FORMAT_GRAY);
        for (int channels = 1; channels <= 3; channels += 2) {
            ck_assert_int_eq(picture_read(path, channels == 1 ? grey : shape, out, &error), 0);
            for (int i = 0; i < SIDE * SIDE * channels; i++)
                ck_assert_int_le(abs(out[i] - value(5, i / channels / SIDE, i / channels % SIDE, 0)), 2);
        }
    }
    write_png(named("alpha.png"), 6, SIDE, SIDE, PNG_FORMAT_RGBA);
    ck_assert_int_eq(picture_read(path, shape, out, &error), 0);
    for (int i = 0; i < SIDE * SIDE * 3; i++)
        ck_assert_int_eq(out[i], i / 3 % SIDE < SIDE / 2 ? 255 : value(6, i / 3 / SIDE, i / 3 % SIDE, i % 3));
}
END_TEST

/* A weighted mean over all pixels of the picture. */
static double scaled(const uint8_t *pixels, int height, int width, int side, int y, int x, int c)
{
    const double step = fmin((double)height, (double)width) / side, reach = step > 1 ? step : 1;
    const double down = (height - step * side) / 2 + (y + 0.5) * step,
                 right = (width - step * side) / 2 + (x + 0.5) * step;
    double sum = 0, weights = 0;

    for (int v = 0; v < height; v++)
        for (int u = 0; u < width; u++) {
            const double weight =
                fmax(0, 1 - fabs(v + 0.5 - down) / reach) * fmax(0, 1 - fabs(u + 0.5 - right) / reach);

            sum += weight * pixels[(v * width + u) * 3 + c];
            weights += weight;
        }
    return sum / weights;
}

static const struct {
    int height, width, side;
} scalings[] = {{10, 10, 10}, {20, 20, 10}, {7, 13, 5},   {40, 11, 28},
                {3, 3, 28},   {1, 9, 4},    {33, 32, 28}, {100, 64, 9}};

START_TEST(pictures_are_scaled)
{
    const int height = scalings[_i].height, width = scalings[_i].width, side = scalings[_i].side;
    uint8_t *pixels = malloc((size_t)(height * width * 3)), out[28 * 28 * 3], grey[28 * 28];

    for (int i = 0; i < height * width * 3; i++)
        pixels[i] = (uint8_t)random_below((uint64_t)_i, RANDOM_TEST, 3, (uint64_t)i, 256);
    ck_assert_int_eq(picture_scale(pixels, height, width, (struct shape){side, side, 3}, out, &error), 0);
    ck_assert_int_eq(picture_scale(pixels, height, width, (struct shape){side, side, 1}, grey, &error), 0);
    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++) {
            double luma = 0;

            for (int c = 0; c < 3; c++) {
                const double expected = scaled(pixels, height, width, side, y, x, c);

                luma += (const double[]){0.299, 0.587, 0.114}[c] * expected;
                ck_assert_double_eq_tol(out[(y * side + x) * 3 + c], expected, 0.501);
            }
            ck_assert_double_eq_tol(grey[y * side + x], luma, 0.501);
        }
    free(pixels);
}
END_TEST

START_TEST(one_folder_is_split_by_class)
{
    const struct data_options options = options_of("folder");
    struct dataset *dataset;
    struct data_options limited = options;

    fill_class("bee", 0, 8);
    fill_class("ant", 20, 8);
    fill_class("cat", 40, 4);
    dataset = opened(&options);
    ck_assert_int_eq(dataset->train.count, 15);
    ck_assert_int_eq(dataset->test.count, 5);
    /* Every fourth of a class is the test's. The first of each class, then the second. */
    static const int labels[] = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 0, 1, 0, 1}, firsts[] = {20, 0, 40};
    static const int kept[] = {0, 1, 2, 4, 5, 6}, tested[] = {3, 7};
    static const int test_labels[] = {0, 1, 2, 0, 1};
    int ranks[3] = {0}, test_ranks[3] = {0};
    for (int i = 0; i < 15; i++) {
        ck_assert_int_eq(dataset->train.targets[i], labels[i]);
        check_image(opened_images(&dataset->train) + (size_t)i * SIDE * SIDE * 3,
                    firsts[labels[i]] + kept[ranks[labels[i]]++], 3);
    }
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(dataset->test.targets[i], test_labels[i]);
        check_image(opened_images(&dataset->test) + (size_t)i * SIDE * SIDE * 3,
                    firsts[test_labels[i]] + tested[test_ranks[test_labels[i]]++], 3);
    }
    dataset_close(dataset);
    limited.limit = 5;
    dataset = opened(&limited);
    ck_assert_int_eq(dataset->train.count, 5);
    ck_assert_int_eq(dataset->test.count, 1);
    dataset_close(dataset);
    ck_assert_int_eq(notices, 1);
}
END_TEST

START_TEST(folders_of_halves_are_what_they_say)
{
    struct data_options options = options_of("folder");
    struct dataset *dataset;

    fill_class("train/ant", 0, 5);
    fill_class("train/bee", 10, 3);
    shell("touch %s/train/ant/notes.txt %s/train/ant/.hidden.png", dir, dir);
    opened_not(&options, dir, "none named test, val or valid");
    fill_class("val/bee", 20, 2);
    opened_not(&options, "val", "holds 1 folder;");
    fill_class("val/wasp", 30, 2);
    opened_not(&options, "val/wasp", "is no class of the training's");
    shell("mv %s/val/wasp %s/val/ant", dir, dir);
    dataset = opened(&options);
    ck_assert_int_eq(dataset->train.count, 8);
    ck_assert_int_eq(dataset->test.count, 4);
    check_image(opened_images(&dataset->test), 30, 3);
    ck_assert_int_eq(dataset->test.targets[1], 1);
    dataset_close(dataset);
    options.classes = 2;
    dataset_close(opened(&options));
    options.classes = 1;
    opened_not(&options, dir, "has 2 classes; set model.classes = 2, it is 1");
}
END_TEST

START_TEST(tiny_imagenet_is_read)
{
    const struct data_options options = options_of("tiny-imagenet");
    struct dataset *dataset;

    opened_not(&options, "wnids.txt", "o such file");
    shell("printf 'n02\\r\\nn01\\r\\n' >%s/wnids.txt", dir);
    fill_class("train/n01/images", 0, 3);
    fill_class("train/n02/images", 10, 3);
    fill_class("val/images", 20, 3);
    opened_not(&options, "val_annotations.txt", "o such file");
    shell("printf '000.JPEG\\tn02\\t0\\t0\\t9\\t9\\n002.png\\tn01\\t0\\t0\\t9\\t9\\n' >%s/val/val_annotations.txt",
          dir);
    dataset = opened(&options);
    ck_assert_int_eq(dataset->train.count, 6);
    ck_assert_int_eq(dataset->test.count, 2);
    ck_assert_int_eq(dataset->test.targets[0], 0);
    check_image(opened_images(&dataset->test), 22, 0);
    check_image(opened_images(&dataset->test) + (size_t)SIDE * SIDE * 3, 20, 3);
    dataset_close(dataset);
    shell("printf '000.JPEG\\tn03\\n' >%s/val/val_annotations.txt", dir);
    opened_not(&options, "val_annotations.txt:1", "\"n03\" is no class of wnids.txt's");
    shell("printf 'nonsense\\n' >%s/val/val_annotations.txt", dir);
    opened_not(&options, "val_annotations.txt:1", "is no picture's name, a tab and its class");
}
END_TEST

static void check_made(const struct data_options *options, int expected, const char *when)
{
    dataset_close(opened(options));
    ck_assert_msg(notices == expected, "%s: decoded %d times, not %d", when, notices, expected);
}

START_TEST(a_changed_folder_makes_its_cache_anew)
{
    struct data_options options = options_of("folder");

    fill_class("ant", 0, 8);
    fill_class("bee", 10, 8);
    check_made(&options, 1, "at first");
    check_made(&options, 1, "again");
    shell("touch -d @1234567890 %s/ant/000.JPEG", dir);
    check_made(&options, 2, "a picture of another time");
    shell("mv %s/ant/001.png %s/ant/001b.png", dir, dir);
    check_made(&options, 3, "a picture of another name");
    shell("rm %s/bee/007.png", dir);
    check_made(&options, 4, "a picture less");
    options.size = 28;
    check_made(&options, 5, "another size");
    options.held_out = 0.5;
    check_made(&options, 6, "another split");
    check_made(&options, 6, "as it is");
    shell("truncate -s -1 %s/*-28x3.images", cache);
    check_made(&options, 7, "a cache cut short");
    shell("cp %s/*-32x3.images $(echo %s/*-28x3.images)", cache, cache);
    check_made(&options, 8, "another's cache in its place");
    shell("touch %s/half.images.part; cp %s/*-28x3.images %s/kept", cache, cache, folder);
    check_made(&options, 8, "with another's part beside it");
    shell("cp -r %s %s-2", dir, dir);
    snprintf(dir + strlen(dir), 8, "-2");
    check_made(&options, 9, "a copy of the folder");
}
END_TEST

START_TEST(folders_that_are_wrong_are_told)
{
    struct data_options options = options_of("folder");
    FILE *file;

    opened_not(&options, dir, "holds 0 folders; each class needs one");
    fill_class("ant", 0, 4);
    opened_not(&options, dir, "holds 1 folder; each class needs one");
    shell("mkdir %s/bee", dir);
    opened_not(&options, "bee", "holds no JPEG and no PNG");
    fill_class("bee", 10, 4);
    options.held_out = 0.0;
    opened_not(&options, dir, "no picture is left for the test");
    options.held_out = 0.25;
    options.enlarge = true;
    opened_not(&options, "folder", "set data.enlarge = no");
    options.enlarge = false;
    shell("truncate -s 700 %s/ant/000.JPEG", dir);
    opened_not(&options, "ant/000.JPEG", "is a damaged JPEG");
    write_jpeg(named("ant/000.JPEG"), 0, SIDE, SIDE, 4);
    opened_not(&options, "ant/000.JPEG", "in four colours");
    shell("echo '<html>' >%s/ant/000.JPEG", dir);
    opened_not(&options, "ant/000.JPEG", "is a web page");
    write_jpeg(named("ant/000.JPEG"), 0, SIDE, SIDE, 3);
    shell("truncate -s 90 %s/bee/001.png", dir);
    opened_not(&options, "bee/001.png", "is a damaged PNG");
    /* 60,000 x 60,000 pixels, so its header says. */
    write_jpeg(named("bee/001.png"), 0, SIDE, SIDE, 3);
    file = fopen(path, "r+b");
    for (int byte = 0, last = 0; (byte = fgetc(file)) != EOF; last = byte)
        if (last == 0xff && byte == 0xc0) {
            fseek(file, 3, SEEK_CUR);
            fwrite("\xea\x60\xea\x60", 1, 4, file);
            break;
        }
    fclose(file);
    opened_not(&options, "bee/001.png", "has 60000 x 60000 pixels");
    shell("test -z \"$(ls %s)\"", cache); /* nothing half */
    write_png(path, 11, SIDE, SIDE, PNG_FORMAT_RGB);
    dataset_close(opened(&options));
    options.cache = named("ant/002.png");
    opened_not(&options, "ant/002.png", "set data.cache to a folder");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pictures");
    TCase *cases = tcase_create("pictures");

    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_test(cases, pictures_are_decoded);
    tcase_add_loop_test(cases, pictures_are_scaled, 0, COUNT(scalings));
    tcase_add_test(cases, one_folder_is_split_by_class);
    tcase_add_test(cases, folders_of_halves_are_what_they_say);
    tcase_add_test(cases, tiny_imagenet_is_read);
    tcase_add_test(cases, a_changed_folder_makes_its_cache_anew);
    tcase_add_test(cases, folders_that_are_wrong_are_told);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}

#endif
