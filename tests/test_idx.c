/* data/'s files: IDX files in every damaged form, written here, and the real Fashion-MNIST. */
#include <check.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "data/data.h"
#include "tests/support/opened.h"
#include "tests/support/suite.h"

enum { PATH_BYTES = 256, CLASSES = 10, TRAIN = 12, TEST = 5, HEIGHT = 6, WIDTH = 4, BOTH = DATA_IMAGES | DATA_TARGETS };
enum file { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, FILES };

static const char *const file_names[FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                              "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

/* The bytes of a file before they are written. */
struct content {
    size_t size;
    unsigned char bytes[4096];
};

static char directory[PATH_BYTES]; /* made before all tests, emptied before each, removed after all */

static void make_directory(void)
{
    snprintf(directory, sizeof(directory), "%s/test_idx.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(directory)) {
        perror(directory);
        exit(EXIT_FAILURE);
    }
}

static const char *path_of(const char *name, const char *suffix)
{
    static char path[2 * PATH_BYTES];

    snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
    return path;
}

static const char *const other_names[] = {"train-images-idx4-ubyte", "t10k-images-idx4-ubyte"};

static void remove_files(void)
{
    for (int f = 0; f < FILES; f++) {
        unlink(path_of(file_names[f], ""));
        unlink(path_of(file_names[f], ".gz"));
        rmdir(path_of(file_names[f], ""));
    }
    for (int f = 0; f < COUNT(other_names); f++)
        unlink(path_of(other_names[f], ""));
}

static void remove_directory(void)
{
    remove_files();
    if (rmdir(directory) != 0)
        perror(directory);
}

static void add_size(struct content *content, uint32_t size)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        content->bytes[content->size++] = (unsigned char)(size >> shift);
}

/* A header of `dimensions` sizes and as many elements, element i being what `element` says. */
static struct content idx(int dimensions, const uint32_t *sizes, unsigned char (*element)(size_t i))
{
    struct content content = {.size = 4, .bytes = {0, 0, 8, (unsigned char)dimensions}};
    size_t elements = 1;

    for (int d = 0; d < dimensions; d++) {
        add_size(&content, sizes[d]);
        elements *= sizes[d];
    }
    ck_assert_uint_le(content.size + elements, sizeof(content.bytes));
    for (size_t i = 0; i < elements; i++)
        content.bytes[content.size++] = element(i);
    return content;
}

static unsigned char pixel(size_t i)
{
    return (unsigned char)(i * 37 + i / 256 + 11);
}

static unsigned char label(size_t i)
{
    return (unsigned char)(i * 7 % CLASSES);
}

static struct content good_file(enum file file)
{
    const uint32_t count = file == TRAIN_IMAGES || file == TRAIN_LABELS ? TRAIN : TEST;
    const bool images = file == TRAIN_IMAGES || file == TEST_IMAGES;

    return idx(images ? 3 : 1, (const uint32_t[]){count, HEIGHT, WIDTH}, images ? pixel : label);
}

static struct content compressed(const struct content *plain)
{
    struct content content = {0};
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)plain->bytes, .avail_in = (uInt)plain->size};

    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_out = content.bytes;
    z.avail_out = sizeof(content.bytes);
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    content.size = z.total_out;
    deflateEnd(&z);
    return content;
}

static void append(struct content *content, const void *bytes, size_t size)
{
    ck_assert_uint_le(content->size + size, sizeof(content->bytes));
    memcpy(content->bytes + content->size, bytes, size);
    content->size += size;
}

static void write_file(const char *name, const char *suffix, const struct content *content)
{
    FILE *file = fopen(path_of(name, suffix), "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content->bytes, 1, content->size, file), content->size);
    ck_assert_int_eq(fclose(file), 0);
}

static void write_good_files(void)
{
    for (int f = 0; f < FILES; f++) {
        struct content content = good_file((enum file)f);
        write_file(file_names[f], "", &content);
    }
}

static const struct data_options in_directory = {.set = "idx", .dir = directory, .classes = CLASSES};

static struct dataset *open_set(const struct data_options *options, int parts)
{
    struct dataset *dataset = NULL;
    struct error error;

    ck_assert_msg(dataset_open(&dataset, options, parts, &error) == 0, "%s", error.text);
    return dataset;
}

static void check_refused(const struct data_options *options, int parts, const char *name, const char *phrase,
                          const char *what)
{
    struct dataset *dataset = NULL;
    struct error error;

    ck_assert_msg(dataset_open(&dataset, options, parts, &error) == -1, "%s: was accepted", what);
    ck_assert_ptr_null(dataset);
    ck_assert_msg(strstr(error.text, name) && strstr(error.text, phrase) && !strchr(error.text, '\n'),
                  "%s: expected \"%s\" and \"%s\" in: %s", what, name, phrase, error.text);
}

static void check_bytes(const uint8_t *bytes, size_t count, unsigned char (*element)(size_t))
{
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(bytes[i] == element(i), "byte %zu is %d, not %d", i, bytes[i], element(i));
}

static void check_labels(const int32_t *labels, size_t count)
{
    ck_assert_ptr_nonnull(labels);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(labels[i], label(i));
}

static void check_good(const struct dataset *dataset)
{
    const struct samples *halves[] = {&dataset->train, &dataset->test};
    static const int counts[] = {TRAIN, TEST};

    for (int h = 0; h < 2; h++) {
        ck_assert_int_eq(halves[h]->count, counts[h]);
        ck_assert_int_eq(halves[h]->shape.height, HEIGHT);
        ck_assert_int_eq(halves[h]->shape.width, WIDTH);
        ck_assert_int_eq(halves[h]->shape.channels, 1);
        check_bytes(opened_images(halves[h]), (size_t)counts[h] * HEIGHT * WIDTH, pixel);
        check_labels(halves[h]->targets, (size_t)counts[h]);
    }
}

/* All sixteen mixtures of plain and gzip files; some of the latter in two members. */
START_TEST(reads_plain_and_gzip_files)
{
    for (int f = 0; f < FILES; f++) {
        struct content plain = good_file((enum file)f);
        struct content head = {.size = plain.size / 2}, tail = {.size = plain.size - plain.size / 2};
        memcpy(head.bytes, plain.bytes, head.size);
        memcpy(tail.bytes, plain.bytes + head.size, tail.size);
        struct content whole = compressed(&plain), first = compressed(&head), second = compressed(&tail);
        append(&first, second.bytes, second.size);
        if (_i >> f & 1)
            write_file(file_names[f], ".gz", _i == 15 ? &first : &whole);
        else
            write_file(file_names[f], "", &plain);
    }
    struct dataset *dataset = open_set(&in_directory, BOTH);
    check_good(dataset);
    dataset_close(dataset);
}
END_TEST

START_TEST(prefers_the_plain_file)
{
    struct content damaged = {.size = 3, .bytes = "xyz"};

    write_good_files();
    for (int f = 0; f < FILES; f++)
        write_file(file_names[f], ".gz", &damaged);
    struct dataset *dataset = open_set(&in_directory, BOTH);
    check_good(dataset);
    dataset_close(dataset);
}
END_TEST

START_TEST(reads_colour_images)
{
    static const uint32_t train[] = {4, 5, 7, 3}, test[] = {2, 5, 7, 3};
    struct content train_images = idx(4, train, pixel), test_images = idx(4, test, pixel);
    struct content train_labels = idx(1, train, label), test_labels = idx(1, test, label);

    write_file(_i ? other_names[0] : file_names[TRAIN_IMAGES], "", &train_images);
    write_file(_i ? other_names[1] : file_names[TEST_IMAGES], "", &test_images);
    write_file(file_names[TRAIN_LABELS], "", &train_labels);
    write_file(file_names[TEST_LABELS], "", &test_labels);
    struct dataset *dataset = open_set(&in_directory, BOTH);
    ck_assert_int_eq(dataset->train.count, 4);
    ck_assert_int_eq(dataset->test.count, 2);
    ck_assert_int_eq(dataset->train.shape.height, 5);
    ck_assert_int_eq(dataset->train.shape.width, 7);
    ck_assert_int_eq(dataset->train.shape.channels, 3);
    check_bytes(opened_images(&dataset->train), 4 * 5 * 7 * 3, pixel);
    dataset_close(dataset);
}
END_TEST

START_TEST(statistics_are_those_of_the_training_images)
{
    double sum = 0.0, squares = 0.0, count = TRAIN * HEIGHT * WIDTH;

    write_good_files();
    for (size_t i = 0; i < TRAIN * HEIGHT * WIDTH; i++)
        sum += pixel(i) / 255.0;
    for (size_t i = 0; i < TRAIN * HEIGHT * WIDTH; i++)
        squares += pow(pixel(i) / 255.0 - sum / count, 2.0);
    struct dataset *dataset = open_set(&in_directory, BOTH);
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
    struct content content = idx(3, (const uint32_t[]){TRAIN, HEIGHT, WIDTH}, black);
    float out[HEIGHT * WIDTH];

    write_good_files();
    write_file(file_names[TRAIN_IMAGES], "", &content);
    struct dataset *dataset = open_set(&in_directory, BOTH);
    data_gather_images(dataset, &dataset->train, (const int[]){0}, 1, NULL, out);
    for (int i = 0; i < HEIGHT * WIDTH; i++)
        ck_assert(out[i] == 0.0f);
    dataset_close(dataset);
}
END_TEST

START_TEST(labels_alone_need_no_images)
{
    struct content garbage = {.size = 3, .bytes = "xyz"};

    write_good_files();
    for (int f = TRAIN_IMAGES; f < FILES; f += TEST_IMAGES - TRAIN_IMAGES) {
        unlink(path_of(file_names[f], ""));
        if (_i)
            write_file(file_names[f], "", &garbage);
    }
    struct dataset *dataset = open_set(&in_directory, DATA_TARGETS);
    ck_assert_int_eq(dataset->train.elements.piece_count, 0);
    ck_assert_int_eq(dataset->test.elements.piece_count, 0);
    ck_assert_int_eq(dataset->train.count, TRAIN);
    ck_assert_int_eq(dataset->test.count, TEST);
    check_labels(dataset->train.targets, TRAIN);
    check_labels(dataset->test.targets, TEST);
    ck_assert(dataset->normalisation.mean[0] == 0.0f && dataset->normalisation.deviation[0] == 1.0f);
    dataset_close(dataset);
}
END_TEST

START_TEST(images_alone_need_no_labels)
{
    write_good_files();
    unlink(path_of(file_names[TRAIN_LABELS], ""));
    unlink(path_of(file_names[TEST_LABELS], ""));
    struct dataset *dataset = open_set(&in_directory, DATA_IMAGES);
    ck_assert_ptr_null(dataset->train.targets);
    ck_assert_ptr_null(dataset->test.targets);
    ck_assert_int_eq(dataset->train.count, TRAIN);
    check_bytes(opened_images(&dataset->train), TRAIN * HEIGHT * WIDTH, pixel);
    dataset_close(dataset);
}
END_TEST

static const struct {
    int limit, train, test;
} limits[] = {{0, TRAIN, TEST}, {1, 1, 1}, {4, 4, 1}, {10, 10, 2}, {TRAIN, TRAIN, 2}, {1000, TRAIN, TEST}};

START_TEST(limit_keeps_the_first)
{
    struct data_options options = in_directory;

    write_good_files();
    options.limit = limits[_i].limit;
    for (int parts = 1; parts <= BOTH; parts++) {
        struct dataset *dataset = open_set(&options, parts);
        ck_assert_int_eq(dataset->train.count, limits[_i].train);
        ck_assert_int_eq(dataset->test.count, limits[_i].test);
        if (parts & DATA_IMAGES)
            check_bytes(opened_images(&dataset->train), (size_t)limits[_i].train * HEIGHT * WIDTH, pixel);
        if (parts & DATA_TARGETS)
            check_labels(dataset->test.targets, (size_t)limits[_i].test);
        dataset_close(dataset);
    }
}
END_TEST

/* A good file with `patch` written at `offset`, cut to `size` if that is not 0, `extra` zero bytes at its end. */
static const struct {
    const char *what;
    enum file file;
    size_t offset, patch_size;
    const char *patch;
    size_t size, extra;
    const char *phrase;
} damages[] = {
    {"no IDX file", TRAIN_IMAGES, 0, 4, "\x12\x34\x56\x78", 0, 0, "12 34 56 78"},
    {"no IDX file: what would be right", TEST_LABELS, 0, 4, "\x89POG", 0, 0, "00 00 08 01"},
    {"floats", TRAIN_IMAGES, 2, 1, "\x0d", 0, 0,
     "is an IDX file of floats with 3 dimensions; one of images starts with 00 00 08 03"},
    {"signed bytes", TEST_LABELS, 2, 1, "\x09", 0, 0, "is an IDX file of signed bytes with 1 dimension; one of labels"},
    {"images as labels", TRAIN_LABELS, 3, 1, "\x03", 0, 0,
     "unsigned bytes with 3 dimensions; one of labels starts with 00 00 08 01"},
    {"labels as images", TEST_IMAGES, 3, 1, "\x01", 0, 0,
     "unsigned bytes with 1 dimension; one of images starts with 00 00 08 03"},
    {"five dimensions", TRAIN_IMAGES, 3, 1, "\x05", 0, 0, "with 5 dimensions"},
    {"no images", TRAIN_IMAGES, 4, 4, "\0\0\0\0", 0, 0, "dimension 1 is 0"},
    {"no labels", TEST_LABELS, 4, 4, "\0\0\0\0", 0, 0, "dimension 1 is 0"},
    {"no rows", TRAIN_IMAGES, 8, 4, "\0\0\0\0", 0, 0, "dimension 2 is 0"},
    {"no columns", TEST_IMAGES, 12, 4, "\0\0\0\0", 0, 0, "dimension 3 is 0"},
    {"4294967295 images", TRAIN_IMAGES, 4, 4, "\xff\xff\xff\xff", 0, 0, "dimension 1 is 4294967295"},
    {"all sizes absurd", TRAIN_IMAGES, 4, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, 0,
     "dimension 1 is 4294967295"},
    {"65536 rows", TRAIN_IMAGES, 8, 4, "\0\1\0\0", 0, 0, "dimension 2 is 65536; it must be 1 to 4096"},
    {"2^31 - 1 images", TRAIN_IMAGES, 4, 4, "\x7f\xff\xff\xff", 0, 0, "shorter than its header says"},
    {"the largest sizes", TRAIN_IMAGES, 4, 12, "\x7f\xff\xff\xff\0\0\x10\0\0\0\x10\0", 0, 0,
     "shorter than its header says"},
    {"2^31 - 1 labels", TRAIN_LABELS, 4, 4, "\x7f\xff\xff\xff", 0, 0, "shorter than its header says"},
    {"one image more in the header", TEST_IMAGES, 7, 1, "\x06", 0, 0, "shorter than its header says"},
    {"one image less in the header", TEST_IMAGES, 7, 1, "\x04", 0, 0, "longer than its header says"},
    {"one label more in the header", TRAIN_LABELS, 7, 1, "\x0d", 0, 0, "12 of 13 bytes of labels"},
    {"one label less in the header", TRAIN_LABELS, 7, 1, "\x0b", 0, 0, "longer than its header says"},
    {"a byte at the end", TRAIN_IMAGES, 0, 0, "", 0, 1, "longer than its header says"},
    {"many bytes at the end", TEST_LABELS, 0, 0, "", 0, 1000, "longer than its header says"},
    {"half a header", TRAIN_IMAGES, 0, 0, "", 10, 0, "too short"},
    {"half a magic", TEST_LABELS, 0, 0, "", 2, 0, "too short"},
    {"one byte", TEST_LABELS, 0, 0, "", 1, 0, "too short"},
    {"label 10 of 10 classes", TRAIN_LABELS, 11, 1, "\x0a", 0, 0, "label 3 (counted from 0) is 10"},
    {"label 255 at the end", TEST_LABELS, 12, 1, "\xff", 0, 0, "labels are 0 to 9"},
};

START_TEST(damaged_files_are_refused)
{
    const char *name = file_names[damages[_i].file];
    struct content content = good_file(damages[_i].file);

    memcpy(content.bytes + damages[_i].offset, damages[_i].patch, damages[_i].patch_size);
    if (damages[_i].size > 0)
        content.size = damages[_i].size;
    content.size += damages[_i].extra;
    write_good_files();
    write_file(name, "", &content);
    check_refused(&in_directory, BOTH, path_of(name, ""), damages[_i].phrase, damages[_i].what);

    unlink(path_of(name, ""));
    struct content packed = compressed(&content);
    write_file(name, ".gz", &packed);
    check_refused(&in_directory, BOTH, path_of(name, ".gz"), damages[_i].phrase, damages[_i].what);
}
END_TEST

/* What people have under these names. */
static const struct {
    const char *what, *begin;
    size_t size; /* 0: that of the text */
    const char *phrase;
} foreign[] = {
    {"a pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 47040016\n", 0,
     "is a Git LFS pointer and not the file itself; git lfs pull"},
    {"a page", "<!DOCTYPE html>\n<html><head><title>Sign in</title>", 0, "is a web page"},
    {"a page behind blanks", "\xef\xbb\xbf\r\n <HTML>", 0, "is a web page"},
    {"an error", "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", 0, "is XML"},
    {"a refusal", "404: Not Found", 0, "is text that begins with \"404: Not Found\""},
    {"a short refusal", "Hi\n", 0, "is text that begins with \"Hi\""},
    {"an archive", "PK\3\4\x14\0\0\0", 8, "is a ZIP archive; unpack it"},
    {"an array", "\x93NUMPY\1\0v\0", 10, "is a NumPy array"},
    {"a picture", "\x89PNG\r\n\x1a\n", 0, "is one PNG picture"},
    {"bzip2", "BZh91AY&SY", 0, "bzip2"},
    {"xz",
     "\xfd"
     "7zXZ\0",
     6, "xz"},
    {"zstd", "\x28\xb5\x2f\xfd\x04", 0, "zstd"},
    {"no text", "\1\2\3\4\5", 0, "starts with the bytes 01 02 03 04"},
};

START_TEST(what_a_file_is_instead_is_said)
{
    const size_t size = foreign[_i].size ? foreign[_i].size : strlen(foreign[_i].begin);
    struct content content = {.size = 0};

    append(&content, foreign[_i].begin, size);
    for (int f = 0; f < FILES; f++) {
        write_good_files();
        write_file(file_names[f], "", &content);
        check_refused(&in_directory, BOTH, path_of(file_names[f], ""), foreign[_i].phrase, foreign[_i].what);
        /* As it is, but called compressed; and compressed. */
        unlink(path_of(file_names[f], ""));
        write_file(file_names[f], ".gz", &content);
        check_refused(&in_directory, BOTH, path_of(file_names[f], ".gz"), foreign[_i].phrase, foreign[_i].what);
        struct content packed = compressed(&content);
        write_file(file_names[f], ".gz", &packed);
        check_refused(&in_directory, BOTH, path_of(file_names[f], ".gz"), foreign[_i].phrase, foreign[_i].what);
        unlink(path_of(file_names[f], ".gz"));
    }
}
END_TEST

START_TEST(a_file_that_was_compressed_twice_is_said)
{
    struct content plain = good_file(TRAIN_IMAGES), once = compressed(&plain), twice = compressed(&once);

    write_good_files();
    unlink(path_of(file_names[TRAIN_IMAGES], ""));
    write_file(file_names[TRAIN_IMAGES], ".gz", &twice);
    check_refused(&in_directory, BOTH, file_names[TRAIN_IMAGES], "was compressed twice", "gzip in gzip");
}
END_TEST

START_TEST(channels_first_is_said)
{
    struct content content = idx(4, (const uint32_t[]){2, 3, HEIGHT, WIDTH}, pixel);

    write_good_files();
    write_file(file_names[TRAIN_IMAGES], "", &content);
    check_refused(&in_directory, BOTH, "[3][6][4], channels first", "[rows][columns][channels]", "channels first");
}
END_TEST

START_TEST(a_pipe_is_refused_not_waited_for)
{
    write_good_files();
    unlink(path_of(file_names[TRAIN_IMAGES], ""));
    ck_assert_int_eq(mkfifo(path_of(file_names[TRAIN_IMAGES], ""), 0600), 0);
    check_refused(&in_directory, BOTH, path_of(file_names[TRAIN_IMAGES], ""), "is a pipe", "a pipe");
}
END_TEST

/* As some archives unpack them. */
START_TEST(files_are_found_under_the_names_that_they_have)
{
    static const char *const names[][FILES] = {
        {"train-images.idx3-ubyte", "train-labels.idx1-ubyte", "t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"},
        {"train-images-idx3-ubyte", "train-labels-idx1-ubyte", "test-images-idx3-ubyte", "test-labels-idx1-ubyte"},
        {"train-images.idx3-ubyte", "train-labels-idx1-ubyte", "test-images.idx3-ubyte", "t10k-labels.idx1-ubyte"},
    };
    const char *const *own = names[_i / 3];
    const char *ending = _i % 3 == 1 ? ".gz" : "";

    for (int f = 0; f < FILES; f++) {
        struct content plain = good_file((enum file)f), packed = compressed(&plain);
        write_file(own[f], ending, _i % 3 == 1 ? &packed : &plain);
        /* And beside them a folder of the usual name. */
        if (_i % 3 == 2 && strcmp(own[f], file_names[f]) != 0)
            ck_assert_int_eq(mkdir(path_of(file_names[f], ""), 0700), 0);
    }
    struct dataset *dataset = open_set(&in_directory, BOTH);
    check_good(dataset);
    dataset_close(dataset);
    for (int f = 0; f < FILES; f++)
        unlink(path_of(own[f], ending));
}
END_TEST

START_TEST(empty_files_are_refused)
{
    struct content empty = {0};

    write_good_files();
    write_file(file_names[_i], "", &empty);
    check_refused(&in_directory, BOTH, path_of(file_names[_i], ""), "is empty", "an empty file");
    unlink(path_of(file_names[_i], ""));
    write_file(file_names[_i], ".gz", &empty);
    check_refused(&in_directory, BOTH, path_of(file_names[_i], ".gz"), "is empty", "an empty .gz file");
}
END_TEST

START_TEST(missing_files_are_named)
{
    struct data_options fashion = in_directory;

    fashion.set = "fashion-mnist";
    write_good_files();
    unlink(path_of(file_names[_i], ""));
    check_refused(&in_directory, BOTH, directory, file_names[_i], "a missing file");
    check_refused(&in_directory, BOTH, "with or without .gz", "data.dir", "a missing file");
    check_refused(&fashion, BOTH, file_names[_i], "dataset-fashion-mnist", "a missing file");
}
END_TEST

START_TEST(places_that_are_no_folder_or_file_are_refused)
{
    struct data_options options = in_directory;
    char longest[8192];

    write_good_files();
    unlink(path_of(file_names[TRAIN_IMAGES], ""));
    ck_assert_int_eq(mkdir(path_of(file_names[TRAIN_IMAGES], ""), 0700), 0);
    check_refused(&options, BOTH, path_of(file_names[TRAIN_IMAGES], ""), "not a regular file", "a folder as a file");

    options.dir = "/nowhere/at/all";
    check_refused(&options, BOTH, "/nowhere/at/all", "holds none of train-images-idx3-ubyte", "no such folder");
    options.dir = "/dev/null";
    check_refused(&options, BOTH, "/dev/null", "holds none of train-images-idx3-ubyte", "a file as a folder");
    options.dir = "";
    check_refused(&options, BOTH, "idx", "data.dir", "no folder given");
    options.dir = NULL;
    check_refused(&options, BOTH, "idx", "data.dir", "no folder given");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    options.dir = longest;
    check_refused(&options, BOTH, "data.dir", "longer than a path can be", "an endless folder name");
}
END_TEST

START_TEST(files_that_cannot_be_opened_are_refused)
{
    write_good_files();
    unlink(path_of(file_names[TEST_LABELS], ""));
    ck_assert_int_eq(symlink(file_names[TEST_LABELS], path_of(file_names[TEST_LABELS], "")), 0); /* to itself */
    check_refused(&in_directory, BOTH, path_of(file_names[TEST_LABELS], ""), "cannot be read", "a link to itself");
}
END_TEST

START_TEST(unknown_sets_are_refused)
{
    struct data_options options = {.set = "imagenet", .dir = "", .classes = CLASSES};

    check_refused(&options, BOTH, "imagenet", "fashion-mnist, idx, cifar10, cifar100, ", "an unknown set");
    check_refused(&options, BOTH, "imagenet", "text, tokens, synthetic", "an unknown set");
}
END_TEST

START_TEST(files_that_do_not_belong_together_are_refused)
{
    struct content content = idx(1, (const uint32_t[]){TRAIN - 1}, label);

    write_good_files();
    write_file(file_names[TRAIN_LABELS], "", &content);
    check_refused(&in_directory, BOTH, file_names[TRAIN_LABELS], "11 labels", "a label less than images");
    check_refused(&in_directory, BOTH, file_names[TRAIN_IMAGES], "12 images", "a label less than images");

    write_good_files();
    content = idx(3, (const uint32_t[]){TEST, WIDTH, HEIGHT}, pixel);
    write_file(file_names[TEST_IMAGES], "", &content);
    check_refused(&in_directory, BOTH, "6 x 4 x 1", "4 x 6 x 1", "test images of another shape");

    content = idx(4, (const uint32_t[]){TEST, HEIGHT, WIDTH, 3}, pixel);
    write_file(file_names[TEST_IMAGES], "", &content);
    check_refused(&in_directory, BOTH, "6 x 4 x 1", "6 x 4 x 3", "test images in colour");
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
    const char *suffix = _i ? ".gz" : "";
    struct content plain = good_file(TEST_IMAGES), content = _i ? compressed(&plain) : plain;

    write_good_files();
    unlink(path_of(file_names[TEST_IMAGES], ""));
    for (size_t size = content.size - 1; size > 0; size--) {
        content.size = size;
        write_file(file_names[TEST_IMAGES], suffix, &content);
        check_refused(&in_directory, BOTH, path_of(file_names[TEST_IMAGES], suffix), "short", "a truncated file");
    }
}
END_TEST

/* A flipped bit in a gzip file is an error, or changes nothing: 7 bytes of its header (flags, time, system) and the up to
 * 7 bits after the last block may be anything. */
START_TEST(every_flipped_bit_is_noticed)
{
    struct content plain = good_file(TEST_LABELS), good = compressed(&plain);
    int unnoticed = 0;

    write_good_files();
    unlink(path_of(file_names[TEST_LABELS], ""));
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        struct content bad = good;
        struct dataset *dataset = NULL;
        struct error error;
        bad.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        write_file(file_names[TEST_LABELS], ".gz", &bad);
        if (dataset_open(&dataset, &in_directory, BOTH, &error) == 0) {
            check_good(dataset);
            dataset_close(dataset);
            unnoticed++;
        } else {
            ck_assert_msg(strstr(error.text, file_names[TEST_LABELS]), "bit %zu: %s", bit, error.text);
        }
    }
    ck_assert_int_le(unnoticed, 7 * 8 + 7);
}
END_TEST

static const struct {
    const char *bytes;
    size_t size;
    const char *phrase;
} tails[] = {{"x", 1, "other bytes follow"},       {"\0", 1, "other bytes follow"},
             {"garbage", 7, "other bytes follow"}, {"\x1f", 1, "cut short"},
             {"\x1f\x8b\x08", 3, "cut short"},     {"\x1fgarbage, no header", 20, "damaged gzip data"}};

START_TEST(what_follows_gzip_data_is_noticed)
{
    for (int f = 0; f < FILES; f++) {
        struct content plain = good_file((enum file)f), content = compressed(&plain);
        write_good_files();
        unlink(path_of(file_names[f], ""));
        append(&content, tails[_i].bytes, tails[_i].size);
        write_file(file_names[f], ".gz", &content);
        check_refused(&in_directory, BOTH, path_of(file_names[f], ".gz"), tails[_i].phrase, tails[_i].phrase);
        unlink(path_of(file_names[f], ".gz"));
    }
}
END_TEST

START_TEST(fashion_mnist_is_what_it_should_be)
{
    const struct data_options options = {.set = "fashion-mnist", .dir = "", .classes = 10};
    struct dataset *dataset = open_set(&options, BOTH);
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
    check_refused(&too_few, DATA_TARGETS, "train-labels-idx1-ubyte.gz", "model.classes = 9", "a class too few");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idx");
    TCase *files = tcase_create("damage"), *real = tcase_create("real");

    tcase_add_unchecked_fixture(files, make_directory, remove_directory);
    tcase_add_checked_fixture(files, remove_files, NULL);
    tcase_set_timeout(files, 60);
    tcase_add_loop_test(files, reads_plain_and_gzip_files, 0, 16);
    tcase_add_test(files, prefers_the_plain_file);
    tcase_add_loop_test(files, reads_colour_images, 0, 2);
    tcase_add_test(files, statistics_are_those_of_the_training_images);
    tcase_add_test(files, images_without_contrast_stay_finite);
    tcase_add_loop_test(files, labels_alone_need_no_images, 0, 2);
    tcase_add_test(files, images_alone_need_no_labels);
    tcase_add_loop_test(files, limit_keeps_the_first, 0, COUNT(limits));
    tcase_add_loop_test(files, damaged_files_are_refused, 0, COUNT(damages));
    tcase_add_loop_test(files, what_a_file_is_instead_is_said, 0, COUNT(foreign));
    tcase_add_test(files, a_file_that_was_compressed_twice_is_said);
    tcase_add_test(files, channels_first_is_said);
    tcase_add_test(files, a_pipe_is_refused_not_waited_for);
    tcase_add_loop_test(files, files_are_found_under_the_names_that_they_have, 0, 9);
    tcase_add_loop_test(files, empty_files_are_refused, 0, FILES);
    tcase_add_loop_test(files, missing_files_are_named, 0, FILES);
    tcase_add_test(files, places_that_are_no_folder_or_file_are_refused);
    tcase_add_test(files, files_that_cannot_be_opened_are_refused);
    tcase_add_test(files, unknown_sets_are_refused);
    tcase_add_test(files, files_that_do_not_belong_together_are_refused);
    tcase_add_loop_test(files, every_truncation_is_noticed, 0, 2);
    tcase_add_test(files, every_flipped_bit_is_noticed);
    tcase_add_loop_test(files, what_follows_gzip_data_is_noticed, 0, COUNT(tails));
    suite_add_tcase(suite, files);

    tcase_set_timeout(real, 60);
    tcase_add_test(real, fashion_mnist_is_what_it_should_be);
    suite_add_tcase(suite, real);

    return run_suite(suite);
}
