/* Sources of data against files that are written here: every record of both CIFARs, text, and files of tokens; and
 * what is wrong with such files, one line each. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/random.h"
#include "data/data.h"
#include "tests/support/opened.h"
#include "tests/support/suite.h"

enum { IMAGE = 3072, PLANE = 1024 };

static char folder[64], path[128];
static struct error error;

static void set_up(void)
{
    strcpy(folder, "/tmp/tp-sources-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

static void tear_down(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -r %s", folder);
    ck_assert_int_eq(system(command), 0);
}

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const void *bytes, size_t size)
{
    FILE *file = fopen(in_folder(name), "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert(size == 0 || fwrite(bytes, 1, size, file) == size);
    ck_assert_int_eq(fclose(file), 0);
}

/* CIFAR. Byte k of a file is a function of k and the file's number alone. */

static const struct cifar {
    const char *set;
    int classes, labels, files, records, test_records;
    const char *names[6]; /* the test's last */
} cifars[] = {{"cifar10",
               10,
               1,
               5,
               10000,
               10000,
               {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin",
                "test_batch.bin"}},
              {"cifar100", 100, 2, 1, 50000, 10000, {"train.bin", "test.bin"}}};

static unsigned char pixel(int file, int record, int k)
{
    const uint32_t mixed = ((uint32_t)file * 50000u + (uint32_t)record) * 2654435761u + (uint32_t)k * 40503u;

    return (unsigned char)(mixed >> 11);
}

static int label_of(const struct cifar *cifar, int file, int record)
{
    return (record * 7 + file) % cifar->classes;
}

static void write_cifar(const struct cifar *cifar, int f)
{
    const int records = f < cifar->files ? cifar->records : cifar->test_records;
    const size_t record = (size_t)(cifar->labels + IMAGE);
    unsigned char *bytes = malloc((size_t)records * record), *at = bytes;

    for (int i = 0; i < records; i++) {
        if (cifar->labels == 2)
            *at++ = 19; /* the coarse label */
        *at++ = (unsigned char)label_of(cifar, f, i);
        for (int k = 0; k < IMAGE; k++)
            *at++ = pixel(f, i, k);
    }
    write_file(cifar->names[f], bytes, (size_t)records * record);
    free(bytes);
}

static struct data_options cifar_options(const struct cifar *cifar)
{
    return (struct data_options){.set = cifar->set, .dir = folder, .classes = cifar->classes};
}

START_TEST(every_record_of_cifar_is_read)
{
    const struct cifar *cifar = &cifars[_i];
    const struct data_options options = cifar_options(cifar);
    double sums[3] = {0};
    struct dataset *dataset;

    for (int f = 0; f <= cifar->files; f++)
        write_cifar(cifar, f);
    dataset = opened(&options);
    ck_assert_int_eq(dataset->train.count, 50000);
    ck_assert_int_eq(dataset->test.count, 10000);
    for (int n = 0; n < 60000; n++) {
        const struct samples *samples = n < 50000 ? &dataset->train : &dataset->test;
        const int i = n % 50000, f = n < 50000 ? i / cifar->records : cifar->files,
                  r = n < 50000 ? i % cifar->records : i;
        uint8_t image[IMAGE];

        data_copy_image(samples, i, image);
        ck_assert_int_eq(samples->targets[i], label_of(cifar, f, r));
        for (int k = 0; k < IMAGE; k++) {
            const unsigned char expected = pixel(f, r, k);

            if (image[k % PLANE * 3 + k / PLANE] != expected)
                ck_abort_msg("record %d, byte %d", n, k);
            if (n < 50000)
                sums[k / PLANE] += expected;
        }
    }
    for (int c = 0; c < 3; c++)
        ck_assert_double_eq_tol((double)dataset->normalisation.mean[c], sums[c] / 50000 / PLANE / 255, 1e-6);
    dataset_close(dataset);
}
END_TEST

START_TEST(cifar_files_that_are_wrong_are_told)
{
    const struct data_options options = cifar_options(&cifars[1]), other = cifar_options(&cifars[0]);
    struct data_options fewer = options;
    static unsigned char zero[10000];

    opened_not(&options, folder, "holds no train.bin, with which the binary version of cifar100 begins");
    write_cifar(&cifars[1], 0);
    opened_not(&other, folder,
               "holds no data_batch_1.bin, but train.bin, which is cifar100's; set data.set = cifar100");
    opened_not(&options, "test.bin", "No such file");
    write_cifar(&cifars[1], 1);
    fewer.classes = 99;
    opened_not(&fewer, "train.bin", "model.classes = 99 labels are 0 to 98");
    ck_assert_int_eq(truncate(in_folder("test.bin"), 30740000 - 1), 0);
    opened_not(&options, "test.bin", "shorter than the 30740000 bytes of 10000 records of cifar100");
    ck_assert_int_eq(truncate(in_folder("test.bin"), 30740000 + 1), 0);
    opened_not(&options, "test.bin", "longer than the 30740000 bytes");
    ck_assert_int_eq(truncate(in_folder("test.bin"), 30730000), 0);
    opened_not(&options, "test.bin", "has 10000 records of cifar10, not of cifar100; set data.set = cifar10");
    write_file("data_batch_1.bin", "<html>404", 9);
    opened_not(&other, "data_batch_1.bin", "is a web page");
    write_file("data_batch_1.bin", zero, 0);
    opened_not(&other, "data_batch_1.bin", "is empty");
}
END_TEST

/* Text. */

static struct data_options text_options(int context, int limit)
{
    return (struct data_options){.set = "text", .file = path, .classes = 256, .context = context, .limit = limit};
}

/* Each window and the one after it, from the file's bytes: nothing but the split is known here. */
static void check_windows(const struct samples *samples, const unsigned char *bytes, int context)
{
    int32_t *tokens = malloc(2 * (size_t)context * sizeof(*tokens)), *targets = tokens + context;

    ck_assert_int_eq(samples->targets_per_sample, context);
    ck_assert_int_eq(samples->shape.height, context);
    for (int i = samples->count - 1; i >= 0; i--) {
        ck_assert_int_eq(data_gather_tokens(samples, &i, 1, 256, tokens, &error), 0);
        ck_assert_int_eq(data_gather_targets(samples, &i, 1, 256, targets, &error), 0);
        for (int k = 0; k < context; k++) {
            ck_assert_int_eq(tokens[k], bytes[i * context + k]);
            ck_assert_int_eq(targets[k], bytes[i * context + k + 1]);
        }
    }
    free(tokens);
}

static void write_gzip(const char *name, const void *bytes, size_t size)
{
    gzFile file = gzopen(in_folder(name), "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

START_TEST(text_is_windows_of_bytes)
{
    enum { SIZE = 5003 };
    static const int contexts[] = {2, 7, 100};
    unsigned char bytes[SIZE];

    for (int i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)random_below(11, RANDOM_TEST, 1, (uint64_t)i, 256);
    if (_i % 2)
        write_gzip("text.gz", bytes, SIZE);
    else
        write_file("text.txt", bytes, SIZE);
    for (int k = 0; k < 3; k++) {
        const int context = contexts[k], held_out = SIZE / 20;
        const struct data_options options = text_options(context, 0), limited = text_options(context, 10);
        struct dataset *dataset = opened(&options), *shared;
        int descriptor;

        ck_assert_int_eq(dataset->train.count, (SIZE - held_out - 1) / context);
        ck_assert_int_eq(dataset->test.count, (held_out - 1) / context);
        check_windows(&dataset->train, bytes, context);
        check_windows(&dataset->test, bytes + SIZE - held_out, context);
        ck_assert_int_eq(dataset_is_mapped(dataset), !(_i % 2));
        descriptor = dataset_share(dataset, &error);
        if (_i % 2) {
            ck_assert_int_eq(dataset_map(&shared, descriptor, &error), 0);
            check_windows(&shared->train, bytes, context);
            check_windows(&shared->test, bytes + SIZE - held_out, context);
            dataset_close(shared);
            close(descriptor);
        } else {
            ck_assert_int_eq(descriptor, 0);
        }
        dataset = opened(&limited);
        ck_assert_int_eq(dataset->train.count, 10);
        ck_assert_int_eq(dataset->test.count, 2);
        dataset_close(dataset);
    }
}
END_TEST

START_TEST(text_that_is_none_is_told)
{
    struct data_options options;

    write_file("empty", "", 0);
    options = text_options(8, 0);
    opened_not(&options, "empty", "is empty");
    write_gzip("empty.gz", "", 0);
    opened_not(&options, "empty.gz", "holds nothing");
    write_file("short", "twenty-one characters", 21);
    opened_not(&options, "short", "1 tokens are too few for a sample, which takes data.context = 8 and one more");
    in_folder("missing");
    opened_not(&options, "missing", "No such file");
    options.classes = 10;
    opened_not(&options, "text is bytes", "set model.classes = 256, it is 10");
}
END_TEST

/* Tokens, as llm.c and nanoGPT write them. */

enum { HEADER = 1024, TOKENS = 40000 };

static uint32_t token(int i, uint32_t vocabulary)
{
    return random_below(12, RANDOM_TEST, 2, (uint64_t)i, vocabulary);
}

/* `bytes` per token; magic 0: bare. */
static void write_tokens(const char *name, int bytes, uint32_t magic, uint32_t version, uint32_t count,
                         uint32_t vocabulary)
{
    unsigned char *file = calloc(1, HEADER + (size_t)TOKENS * 4);
    const uint32_t begin[] = {magic, version, count};
    size_t size = 0;

    if (magic > 0) {
        memcpy(file, begin, sizeof(begin));
        size = HEADER;
    }
    for (int i = 0; i < TOKENS; i++, size += (size_t)bytes)
        for (int k = 0; k < bytes; k++)
            file[size + (size_t)k] = (unsigned char)(token(i, vocabulary) >> 8 * k);
    write_file(name, file, size);
    free(file);
}

static const struct token_format {
    int bytes;
    uint32_t magic, version, vocabulary;
} token_formats[] = {{2, 0, 0, 65000}, {2, 20240520, 1, 50257}, {4, 20240801, 7, 128256}};

START_TEST(tokens_are_read_in_every_format)
{
    const struct token_format *format = &token_formats[_i];
    struct data_options options = {.set = "tokens", .dir = folder, .classes = (int)format->vocabulary, .context = 1};
    const int contexts[] = {2, 13, 999};
    int32_t tokens[1000], targets[1000];

    write_tokens("train.bin", format->bytes, format->magic, format->version, TOKENS, format->vocabulary);
    write_tokens("val.bin", format->bytes, format->magic, format->version, TOKENS, format->vocabulary);
    for (int c = 0; c < 3; c++) {
        struct dataset *dataset;

        options.context = contexts[c];
        dataset = opened(&options);
        ck_assert(dataset_is_mapped(dataset));
        ck_assert_int_eq(dataset->train.count, (TOKENS - 1) / contexts[c]);
        ck_assert_int_eq(dataset->test.count, dataset->train.count);
        for (int i = 0; i < dataset->train.count; i++) {
            ck_assert_int_eq(data_gather_tokens(&dataset->train, &i, 1, options.classes, tokens, &error), 0);
            ck_assert_int_eq(data_gather_targets(&dataset->test, &i, 1, options.classes, targets, &error), 0);
            for (int k = 0; k < contexts[c]; k++) {
                ck_assert_int_eq(tokens[k], token(i * contexts[c] + k, format->vocabulary));
                ck_assert_int_eq(targets[k], token(i * contexts[c] + k + 1, format->vocabulary));
            }
        }
        dataset_close(dataset);
    }
}
END_TEST

START_TEST(a_token_above_the_vocabulary_is_told_with_its_place)
{
    struct data_options options = {.set = "tokens", .dir = folder, .classes = 1000, .context = 16};
    const uint16_t above = 1000;
    FILE *file;

    write_tokens("train.bin", 2, 0, 0, 0, 1000);
    write_tokens("val.bin", 2, 0, 0, 0, 1000);
    dataset_close(opened(&options));
    file = fopen(in_folder("val.bin"), "r+b");
    fseek(file, 2 * 1234, SEEK_SET);
    fwrite(&above, 2, 1, file);
    fclose(file);
    opened_not(&options, "val.bin", "token 1234 (counted from 0) is 1000; with a vocabulary of 1000 (model.classes)");
    options.limit = 50; /* 10 samples of the test: 161 tokens */
    dataset_close(opened(&options));
    options.limit = 0;
    options.file = in_folder("val.bin");
    opened_not(&options, "val.bin", "token 1234 (counted from 0) is 1000");
}
END_TEST

static long resident_kib(const char *field)
{
    char line[128];
    long kib = -1;
    FILE *file = fopen("/proc/self/status", "r");

    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file))
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtol(line + strlen(field) + 1, NULL, 10);
    fclose(file);
    ck_assert_int_ge(kib, 0);
    return kib;
}

/* A file with these bytes, and zeros behind them. */
static void write_sparse(const char *name, const void *begin, size_t begin_bytes, size_t size)
{
    write_file(name, begin, begin_bytes);
    ck_assert_int_eq(truncate(path, (off_t)size), 0);
}

enum { LARGE_BYTES = 256 << 20, LARGE_COUNT = LARGE_BYTES / 4096 };

static struct data_options write_large(int kind)
{
    const unsigned char images[] = {0, 0, 8, 3, 0, 1, 0, 0, 0, 0, 0, 64, 0, 0, 0, 64},
                        labels[] = {0, 0, 8, 1, 0, 1, 0, 0};

    if (kind == 0) {
        write_sparse("train.bin", NULL, 0, LARGE_BYTES);
        write_sparse("val.bin", NULL, 0, 4096);
        return (struct data_options){.set = "tokens", .dir = folder, .classes = 1000, .context = 1024};
    }
    write_sparse("train-images-idx3-ubyte", images, sizeof(images), sizeof(images) + LARGE_BYTES);
    write_sparse("train-labels-idx1-ubyte", labels, sizeof(labels), sizeof(labels) + LARGE_COUNT);
    write_sparse("test-images-idx3-ubyte", images, sizeof(images), sizeof(images) + LARGE_BYTES);
    write_sparse("test-labels-idx1-ubyte", labels, sizeof(labels), sizeof(labels) + LARGE_COUNT);
    return (struct data_options){.set = "idx", .dir = folder, .classes = 10, .enlarge = kind == 2, .room = 64 << 20};
}

/* Every token or pixel is looked at, and none of them stays: what is resident at most does not grow with the file. */
START_TEST(a_large_file_takes_no_memory)
{
    enum { KIB_MOST = 48 << 10 };
    const struct data_options options = write_large(_i);
    struct dataset *dataset;
    FILE *file;

    ck_assert_ptr_nonnull(file = fopen("/proc/self/clear_refs", "w"));
    fputs("5", file); /* the peak begins anew */
    fclose(file);
    const long before = resident_kib("VmRSS");
    dataset = opened(&options);
    ck_assert(dataset_is_mapped(dataset));
    dataset_crc32(dataset, 10);
    ck_assert_int_lt(resident_kib("VmHWM") - before, KIB_MOST);
    ck_assert_int_eq(dataset->train.count, _i == 0 ? LARGE_BYTES / 2 / 1024 - 1 : LARGE_COUNT);
    dataset_close(dataset);
}
END_TEST

/* Some of the tokens to files of their own: a header each, or none. */
static void write_shard(const char *name, const struct token_format *format, int from, int to)
{
    write_tokens(name, format->bytes, format->magic, format->version, (uint32_t)(to - from), format->vocabulary);

    FILE *file = fopen(in_folder(name), "r+b");
    const long begin = format->magic ? HEADER : 0;
    unsigned char *bytes = malloc((size_t)(to - from) * (size_t)format->bytes);

    for (int i = 0; i < (to - from) * format->bytes; i++)
        bytes[i] = (unsigned char)(token(from + i / format->bytes, format->vocabulary) >> 8 * (i % format->bytes));
    fseek(file, begin, SEEK_SET);
    fwrite(bytes, (size_t)format->bytes, (size_t)(to - from), file);
    free(bytes);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(truncate(path, begin + (long)(to - from) * format->bytes), 0);
}

/* Shard 10 comes behind 9, windows cross from one into the next, and the sums are those of one file. */
START_TEST(shards_go_on_where_others_end)
{
    static const int ends[] = {0, 7, 1000, 1001, 20000, 20001, 20002, 30000, 30013, 39999, TOKENS};
    static const int contexts[] = {1, 13, 999};
    const struct token_format *format = &token_formats[_i];
    struct data_options options = {.set = "tokens", .dir = folder, .classes = (int)format->vocabulary};
    int32_t tokens[1000], targets[1000];
    char name[64];

    for (int k = 0; k < 10; k++) {
        snprintf(name, sizeof(name), "words_train_%d.bin", k + 1);
        write_shard(name, format, ends[k], ends[k + 1]);
    }
    write_shard("words_val_0.bin", format, 0, TOKENS);
    for (int c = 0; c < 3; c++) {
        const int context = contexts[c];
        struct dataset *dataset;

        options.context = context;
        dataset = opened(&options);
        ck_assert_int_eq(dataset->train.count, (TOKENS - 1) / context);
        for (int i = dataset->train.count - 1; i >= 0; i--) {
            ck_assert_int_eq(data_gather_tokens(&dataset->train, &i, 1, options.classes, tokens, &error), 0);
            ck_assert_int_eq(data_gather_targets(&dataset->train, &i, 1, options.classes, targets, &error), 0);
            for (int k = 0; k < context; k++) {
                ck_assert_int_eq(tokens[k], token(i * context + k, format->vocabulary));
                ck_assert_int_eq(targets[k], token(i * context + k + 1, format->vocabulary));
            }
        }
        const uint32_t in_shards = dataset_crc32(dataset, options.classes);
        dataset_close(dataset);
        write_shard("train.bin", format, 0, TOKENS); /* one file, which is preferred */
        dataset = opened(&options);
        ck_assert_uint_eq(dataset_crc32(dataset, options.classes), in_shards);
        ck_assert_int_eq(dataset->train.elements.piece_count, 1);
        dataset_close(dataset);
        unlink(in_folder("train.bin"));
    }
}
END_TEST

START_TEST(shards_that_are_wrong_are_told)
{
    const struct token_format *wide = &token_formats[2], *narrow = &token_formats[1];
    struct data_options options = {.set = "tokens", .dir = folder, .classes = 128256, .context = 16};

    write_shard("a_train_1.bin", narrow, 0, 100);
    write_shard("a_train_2.bin", wide, 0, 100);
    opened_not(&options, folder, "holds no val.bin and no *val*.bin");
    write_shard("a_val_1.bin", narrow, 0, 100);
    opened_not(&options, "a_train_2.bin", "has tokens of 4 bytes, but those of");
    write_shard("a_train_2.bin", narrow, 0, 100);
    dataset_close(opened(&options));
    ck_assert_int_eq(truncate(in_folder("a_train_2.bin"), HEADER + 150), 0);
    opened_not(&options, "a_train_2.bin", "promises 100 tokens of 2 bytes, but 150 bytes follow");
    write_file("a_train_2.bin", "", 0);
    opened_not(&options, "a_train_2.bin", "is empty");
    write_shard("a_train_2.bin", narrow, 0, 100);
    options.classes = 50257;
    dataset_close(opened(&options));
    write_tokens("a_train_2.bin", 2, 20240520, 1, TOKENS, 65000);
    opened_not(&options, "a_train_2.bin", "with a vocabulary of 50257 (model.classes) tokens are 0 to 50256");
    write_shard("b_train_1.bin", narrow, 0, 100);
    opened_not(&options, folder, "holds a_train_1.bin and b_train_1.bin, which are no numbered parts of one set");
}
END_TEST

START_TEST(token_files_that_are_wrong_are_told)
{
    struct data_options options = {.set = "tokens", .dir = "", .classes = 65536, .context = 16};

    opened_not(&options, "data.set = tokens", "needs data.dir, the folder of train.bin and val.bin, or data.file");
    options.dir = folder;
    opened_not(&options, folder, "holds no train.bin");
    write_tokens("train.bin", 2, 20240520, 2, TOKENS, 1000);
    opened_not(&options, folder, "holds no val.bin");
    write_tokens("val.bin", 2, 0, 0, 0, 1000);
    opened_not(&options, "train.bin", "magic number 20240520 and version 2; tp reads 1");
    write_tokens("train.bin", 2, 20240520, 1, TOKENS - 1, 1000);
    opened_not(&options, "train.bin", "promises 39999 tokens of 2 bytes, but 80000 bytes follow");
    write_tokens("train.bin", 2, 20240801, 7, TOKENS, 1000);
    opened_not(&options, "train.bin", "promises 40000 tokens of 4 bytes, but 80000 bytes follow");
    write_tokens("train.bin", 4, 20240801, 7, 0xffffffff, 1000);
    opened_not(&options, "train.bin", "promises 4294967295 tokens");
    ck_assert_int_eq(truncate(in_folder("train.bin"), HEADER - 1), 0);
    opened_not(&options, "train.bin", "is shorter than the 1024 bytes of llm.c's header");
    write_file("train.bin", "abc", 3);
    opened_not(&options, "train.bin", "3 bytes are no whole number of 16-bit tokens");
    write_file("train.bin", "abcd", 4);
    opened_not(&options, "train.bin", "2 tokens are too few for a sample");
    write_file("train.bin", "", 0);
    opened_not(&options, "train.bin", "is empty");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sources");
    TCase *cases = tcase_create("sources");

    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, set_up, tear_down);
    tcase_add_loop_test(cases, every_record_of_cifar_is_read, 0, COUNT(cifars));
    tcase_add_test(cases, cifar_files_that_are_wrong_are_told);
    tcase_add_loop_test(cases, text_is_windows_of_bytes, 0, 2);
    tcase_add_test(cases, text_that_is_none_is_told);
    tcase_add_loop_test(cases, tokens_are_read_in_every_format, 0, COUNT(token_formats));
    tcase_add_test(cases, a_token_above_the_vocabulary_is_told_with_its_place);
    tcase_add_loop_test(cases, a_large_file_takes_no_memory, 0, 3);
    tcase_add_loop_test(cases, shards_go_on_where_others_end, 0, COUNT(token_formats));
    tcase_add_test(cases, shards_that_are_wrong_are_told);
    tcase_add_test(cases, token_files_that_are_wrong_are_told);
    suite_add_tcase(suite, cases);

    return run_suite(suite);
}
