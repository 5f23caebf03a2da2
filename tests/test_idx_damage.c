/* IDX files in every damaged form, and what lies in their place: each is refused by one line that says what is wrong. */
#include <check.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/idx_files.h"
#include "tests/support/opened.h"
#include "tests/support/suite.h"

/* A good file with `patch` written at `offset`, cut to `size` if that is not 0, `extra` zero bytes at its end. */
static const struct {
    enum idx_file file;
    size_t offset, patch_size;
    const char *patch;
    size_t size, extra;
    const char *phrase;
} damages[] = {
    {TRAIN_IMAGES, 0, 4, "\x12\x34\x56\x78", 0, 0, "12 34 56 78"},
    {TEST_LABELS, 0, 4, "\x89POG", 0, 0, "00 00 08 01"},
    {TRAIN_IMAGES, 2, 1, "\x0d", 0, 0,
     "is an IDX file of floats with 3 dimensions; one of images starts with 00 00 08 03"},
    {TEST_LABELS, 2, 1, "\x09", 0, 0, "is an IDX file of signed bytes with 1 dimension; one of labels"},
    {TRAIN_LABELS, 3, 1, "\x03", 0, 0,
     "unsigned bytes with 3 dimensions; one of labels starts with 00 00 08 01"}, /* images as labels */
    {TEST_IMAGES, 3, 1, "\x01", 0, 0,
     "unsigned bytes with 1 dimension; one of images starts with 00 00 08 03"}, /* labels as images */
    {TRAIN_IMAGES, 3, 1, "\x05", 0, 0, "with 5 dimensions"},
    {TRAIN_IMAGES, 4, 4, "\0\0\0\0", 0, 0, "dimension 1 is 0"}, /* no images */
    {TEST_LABELS, 4, 4, "\0\0\0\0", 0, 0, "dimension 1 is 0"},  /* no labels */
    {TRAIN_IMAGES, 8, 4, "\0\0\0\0", 0, 0, "dimension 2 is 0"}, /* no rows */
    {TEST_IMAGES, 12, 4, "\0\0\0\0", 0, 0, "dimension 3 is 0"}, /* no columns */
    {TRAIN_IMAGES, 4, 4, "\xff\xff\xff\xff", 0, 0, "dimension 1 is 4294967295"},
    {TRAIN_IMAGES, 4, 12, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, 0,
     "dimension 1 is 4294967295"}, /* all sizes absurd */
    {TRAIN_IMAGES, 8, 4, "\0\1\0\0", 0, 0, "dimension 2 is 65536; it must be 1 to 4096"},
    {TRAIN_IMAGES, 4, 4, "\x7f\xff\xff\xff", 0, 0, "shorter than its header says"}, /* 2^31 - 1 images */
    {TRAIN_IMAGES, 4, 12, "\x7f\xff\xff\xff\0\0\x10\0\0\0\x10\0", 0, 0,
     "shorter than its header says"},                                               /* the largest sizes */
    {TRAIN_LABELS, 4, 4, "\x7f\xff\xff\xff", 0, 0, "shorter than its header says"}, /* 2^31 - 1 labels */
    {TEST_IMAGES, 7, 1, "\x06", 0, 0, "shorter than its header says"},              /* one image more in the header */
    {TEST_IMAGES, 7, 1, "\x04", 0, 0, "longer than its header says"},               /* one image less in the header */
    {TRAIN_LABELS, 7, 1, "\x0d", 0, 0, "12 of 13 bytes of labels"},                 /* one label more in the header */
    {TRAIN_LABELS, 7, 1, "\x0b", 0, 0, "longer than its header says"},              /* one label less in the header */
    {TRAIN_IMAGES, 0, 0, "", 0, 1, "longer than its header says"},                  /* a byte at the end */
    {TEST_LABELS, 0, 0, "", 0, 1000, "longer than its header says"},                /* many bytes at the end */
    {TRAIN_IMAGES, 0, 0, "", 10, 0, "too short"},                                   /* half a header */
    {TEST_LABELS, 0, 0, "", 2, 0, "too short"},                                     /* half a magic */
    {TEST_LABELS, 0, 0, "", 1, 0, "too short"},                                     /* one byte */
    {TRAIN_LABELS, 11, 1, "\x0a", 0, 0, "label 3 (counted from 0) is 10"},          /* label 10 of 10 classes */
    {TEST_LABELS, 12, 1, "\xff", 0, 0, "labels are 0 to 9"},                        /* label 255 at the end */
};

START_TEST(damaged_files_are_refused)
{
    const char *name = idx_names[damages[_i].file];
    struct content content = idx_good(damages[_i].file);

    memcpy(content.bytes + damages[_i].offset, damages[_i].patch, damages[_i].patch_size);
    if (damages[_i].size > 0)
        content.size = damages[_i].size;
    content.size += damages[_i].extra;
    idx_write_good();
    idx_write(name, "", &content);
    opened_not(&idx_options, idx_path(name, ""), damages[_i].phrase);

    unlink(idx_path(name, ""));
    struct content packed = content_packed(&content);
    idx_write(name, ".gz", &packed);
    opened_not(&idx_options, idx_path(name, ".gz"), damages[_i].phrase);
}
END_TEST

/* What people have under these names. */
static const struct {
    const char *begin;
    size_t size; /* 0: that of the text */
    const char *phrase;
} foreign[] = {
    {"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 47040016\n", 0,
     "is a Git LFS pointer and not the file itself; git lfs pull"},
    {"<!DOCTYPE html>\n<html><head><title>Sign in</title>", 0, "is a web page"},
    {"\xef\xbb\xbf\r\n <HTML>", 0, "is a web page"}, /* a page behind blanks */
    {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", 0, "is XML"},
    {"404: Not Found", 0, "is text that begins with \"404: Not Found\""},
    {"Hi\n", 0, "is text that begins with \"Hi\""},
    {"PK\3\4\x14\0\0\0", 8, "is a ZIP archive; unpack it"},
    {"\x93NUMPY\1\0v\0", 10, "is a NumPy array"},
    {"\x89PNG\r\n\x1a\n", 0, "is one PNG picture"},
    {"BZh91AY&SY", 0, "bzip2"},
    {"\xfd"
     "7zXZ\0",
     6, "xz"},
    {"\x28\xb5\x2f\xfd\x04", 0, "zstd"},
    {"\1\2\3\4\5", 0, "starts with the bytes 01 02 03 04"},
};

START_TEST(what_a_file_is_instead_is_said)
{
    const size_t size = foreign[_i].size ? foreign[_i].size : strlen(foreign[_i].begin);
    struct content content = {.size = 0};

    content_append(&content, foreign[_i].begin, size);
    for (int f = 0; f < IDX_FILES; f++) {
        idx_write_good();
        idx_write(idx_names[f], "", &content);
        opened_not(&idx_options, idx_path(idx_names[f], ""), foreign[_i].phrase);
        /* As it is, but called compressed; and compressed. */
        unlink(idx_path(idx_names[f], ""));
        idx_write(idx_names[f], ".gz", &content);
        opened_not(&idx_options, idx_path(idx_names[f], ".gz"), foreign[_i].phrase);
        struct content packed = content_packed(&content);
        idx_write(idx_names[f], ".gz", &packed);
        opened_not(&idx_options, idx_path(idx_names[f], ".gz"), foreign[_i].phrase);
        unlink(idx_path(idx_names[f], ".gz"));
    }
}
END_TEST

START_TEST(a_file_that_was_compressed_twice_is_said)
{
    struct content plain = idx_good(TRAIN_IMAGES), once = content_packed(&plain), twice = content_packed(&once);

    idx_write_good();
    unlink(idx_path(idx_names[TRAIN_IMAGES], ""));
    idx_write(idx_names[TRAIN_IMAGES], ".gz", &twice);
    opened_not(&idx_options, idx_names[TRAIN_IMAGES], "was compressed twice");
}
END_TEST

START_TEST(channels_first_is_said)
{
    struct content content = idx_content(4, (const uint32_t[]){2, 3, IDX_HEIGHT, IDX_WIDTH}, idx_pixel);

    idx_write_good();
    idx_write(idx_names[TRAIN_IMAGES], "", &content);
    opened_not(&idx_options, "[3][6][4], channels first", "[rows][columns][channels]");
}
END_TEST

START_TEST(a_pipe_is_refused_not_waited_for)
{
    idx_write_good();
    unlink(idx_path(idx_names[TRAIN_IMAGES], ""));
    ck_assert_int_eq(mkfifo(idx_path(idx_names[TRAIN_IMAGES], ""), 0600), 0);
    opened_not(&idx_options, idx_path(idx_names[TRAIN_IMAGES], ""), "is a pipe");
}
END_TEST

START_TEST(empty_files_are_refused)
{
    struct content empty = {0};

    idx_write_good();
    idx_write(idx_names[_i], "", &empty);
    opened_not(&idx_options, idx_path(idx_names[_i], ""), "is empty");
    unlink(idx_path(idx_names[_i], ""));
    idx_write(idx_names[_i], ".gz", &empty);
    opened_not(&idx_options, idx_path(idx_names[_i], ".gz"), "is empty");
}
END_TEST

START_TEST(missing_files_are_named)
{
    struct data_options fashion = idx_options;

    fashion.set = "fashion-mnist";
    idx_write_good();
    unlink(idx_path(idx_names[_i], ""));
    opened_not(&idx_options, idx_folder, idx_names[_i]);
    opened_not(&idx_options, "with or without .gz", "data.dir");
    opened_not(&fashion, idx_names[_i], "dataset-fashion-mnist");
}
END_TEST

START_TEST(places_that_are_no_folder_or_file_are_refused)
{
    struct data_options options = idx_options;
    char longest[8192];

    idx_write_good();
    unlink(idx_path(idx_names[TRAIN_IMAGES], ""));
    ck_assert_int_eq(mkdir(idx_path(idx_names[TRAIN_IMAGES], ""), 0700), 0);
    opened_not(&options, idx_path(idx_names[TRAIN_IMAGES], ""), "not a regular file");

    options.dir = "/nowhere/at/all";
    opened_not(&options, "/nowhere/at/all", "holds none of train-images-idx3-ubyte");
    options.dir = "/dev/null";
    opened_not(&options, "/dev/null", "holds none of train-images-idx3-ubyte");
    options.dir = "";
    opened_not(&options, "idx", "data.dir");
    options.dir = NULL;
    opened_not(&options, "idx", "data.dir");
    memset(longest, 'x', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    options.dir = longest;
    opened_not(&options, "data.dir", "longer than a path can be");
}
END_TEST

START_TEST(files_that_cannot_be_opened_are_refused)
{
    idx_write_good();
    unlink(idx_path(idx_names[TEST_LABELS], ""));
    ck_assert_int_eq(symlink(idx_names[TEST_LABELS], idx_path(idx_names[TEST_LABELS], "")), 0); /* to itself */
    opened_not(&idx_options, idx_path(idx_names[TEST_LABELS], ""), "cannot be read");
}
END_TEST

START_TEST(unknown_sets_are_refused)
{
    struct data_options options = {.set = "imagenet", .dir = "", .classes = IDX_CLASSES};

    opened_not(&options, "imagenet", "fashion-mnist, idx, cifar10, cifar100, ");
    opened_not(&options, "imagenet", "text, tokens, synthetic");
}
END_TEST

START_TEST(files_that_do_not_belong_together_are_refused)
{
    struct content content = idx_content(1, (const uint32_t[]){IDX_TRAIN - 1}, idx_label);

    idx_write_good();
    idx_write(idx_names[TRAIN_LABELS], "", &content);
    opened_not(&idx_options, idx_names[TRAIN_LABELS], "11 labels");
    opened_not(&idx_options, idx_names[TRAIN_IMAGES], "12 images");

    idx_write_good();
    content = idx_content(3, (const uint32_t[]){IDX_TEST, IDX_WIDTH, IDX_HEIGHT}, idx_pixel);
    idx_write(idx_names[TEST_IMAGES], "", &content);
    opened_not(&idx_options, "6 x 4 x 1", "4 x 6 x 1");

    content = idx_content(4, (const uint32_t[]){IDX_TEST, IDX_HEIGHT, IDX_WIDTH, 3}, idx_pixel);
    idx_write(idx_names[TEST_IMAGES], "", &content);
    opened_not(&idx_options, "6 x 4 x 1", "6 x 4 x 3");
}
END_TEST

START_TEST(every_truncation_is_noticed)
{
    const char *suffix = _i ? ".gz" : "";
    struct content plain = idx_good(TEST_IMAGES), content = _i ? content_packed(&plain) : plain;

    idx_write_good();
    unlink(idx_path(idx_names[TEST_IMAGES], ""));
    for (size_t size = content.size - 1; size > 0; size--) {
        content.size = size;
        idx_write(idx_names[TEST_IMAGES], suffix, &content);
        opened_not(&idx_options, idx_path(idx_names[TEST_IMAGES], suffix), "short");
    }
}
END_TEST

/* A flipped bit in a gzip file is an error, or changes nothing: 7 bytes of its header (flags, time, system) and the up to
 * 7 bits after the last block may be anything. */
START_TEST(every_flipped_bit_is_noticed)
{
    struct content plain = idx_good(TEST_LABELS), good = content_packed(&plain);
    int unnoticed = 0;

    idx_write_good();
    unlink(idx_path(idx_names[TEST_LABELS], ""));
    for (size_t bit = 0; bit < 8 * good.size; bit++) {
        struct content bad = good;
        struct dataset *dataset = NULL;
        struct error error;
        bad.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        idx_write(idx_names[TEST_LABELS], ".gz", &bad);
        if (dataset_open(&dataset, &idx_options, DATA_IMAGES | DATA_TARGETS, &error) == 0) {
            idx_check_good(dataset);
            dataset_close(dataset);
            unnoticed++;
        } else {
            ck_assert_msg(strstr(error.text, idx_names[TEST_LABELS]), "bit %zu: %s", bit, error.text);
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
    for (int f = 0; f < IDX_FILES; f++) {
        struct content plain = idx_good((enum idx_file)f), content = content_packed(&plain);
        idx_write_good();
        unlink(idx_path(idx_names[f], ""));
        content_append(&content, tails[_i].bytes, tails[_i].size);
        idx_write(idx_names[f], ".gz", &content);
        opened_not(&idx_options, idx_path(idx_names[f], ".gz"), tails[_i].phrase);
        unlink(idx_path(idx_names[f], ".gz"));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("idx_damage");
    TCase *tcase = tcase_create("damage");

    tcase_add_unchecked_fixture(tcase, idx_make_folder, idx_remove_folder);
    tcase_add_checked_fixture(tcase, idx_empty_folder, NULL);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, damaged_files_are_refused, 0, COUNT(damages));
    tcase_add_loop_test(tcase, what_a_file_is_instead_is_said, 0, COUNT(foreign));
    tcase_add_test(tcase, a_file_that_was_compressed_twice_is_said);
    tcase_add_test(tcase, channels_first_is_said);
    tcase_add_test(tcase, a_pipe_is_refused_not_waited_for);
    tcase_add_loop_test(tcase, empty_files_are_refused, 0, IDX_FILES);
    tcase_add_loop_test(tcase, missing_files_are_named, 0, IDX_FILES);
    tcase_add_test(tcase, places_that_are_no_folder_or_file_are_refused);
    tcase_add_test(tcase, files_that_cannot_be_opened_are_refused);
    tcase_add_test(tcase, unknown_sets_are_refused);
    tcase_add_test(tcase, files_that_do_not_belong_together_are_refused);
    tcase_add_loop_test(tcase, every_truncation_is_noticed, 0, 2);
    tcase_add_test(tcase, every_flipped_bit_is_noticed);
    tcase_add_loop_test(tcase, what_follows_gzip_data_is_noticed, 0, COUNT(tails));
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
