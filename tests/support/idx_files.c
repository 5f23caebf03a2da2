#include "tests/support/idx_files.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/support/opened.h"

const char *const idx_names[IDX_FILES] = {"train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                                          "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

const char *const idx_colour_names[] = {"train-images-idx4-ubyte", "t10k-images-idx4-ubyte"};

char idx_folder[256];

const struct data_options idx_options = {.set = "idx", .dir = idx_folder, .classes = IDX_CLASSES};

void idx_make_folder(void)
{
    snprintf(idx_folder, sizeof(idx_folder), "%s/tp-idx.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(idx_folder)) {
        perror(idx_folder);
        exit(EXIT_FAILURE);
    }
}

const char *idx_path(const char *name, const char *suffix)
{
    static char path[2 * sizeof(idx_folder)];

    snprintf(path, sizeof(path), "%s/%s%s", idx_folder, name, suffix);
    return path;
}

void idx_empty_folder(void)
{
    for (int f = 0; f < IDX_FILES; f++) {
        unlink(idx_path(idx_names[f], ""));
        unlink(idx_path(idx_names[f], ".gz"));
        rmdir(idx_path(idx_names[f], ""));
    }
    for (int f = 0; f < 2; f++)
        unlink(idx_path(idx_colour_names[f], ""));
}

void idx_remove_folder(void)
{
    idx_empty_folder();
    if (rmdir(idx_folder) != 0)
        perror(idx_folder);
}

static void add_size(struct content *content, uint32_t size)
{
    for (int shift = 24; shift >= 0; shift -= 8)
        content->bytes[content->size++] = (unsigned char)(size >> shift);
}

struct content idx_content(int dimensions, const uint32_t *sizes, unsigned char (*element)(size_t i))
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

unsigned char idx_pixel(size_t i)
{
    return (unsigned char)(i * 37 + i / 256 + 11);
}

unsigned char idx_label(size_t i)
{
    return (unsigned char)(i * 7 % IDX_CLASSES);
}

struct content idx_good(enum idx_file file)
{
    const uint32_t count = file == TRAIN_IMAGES || file == TRAIN_LABELS ? IDX_TRAIN : IDX_TEST;
    const bool images = file == TRAIN_IMAGES || file == TEST_IMAGES;

    return idx_content(images ? 3 : 1, (const uint32_t[]){count, IDX_HEIGHT, IDX_WIDTH},
                       images ? idx_pixel : idx_label);
}

struct content content_packed(const struct content *plain)
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

void content_append(struct content *content, const void *bytes, size_t size)
{
    ck_assert_uint_le(content->size + size, sizeof(content->bytes));
    memcpy(content->bytes + content->size, bytes, size);
    content->size += size;
}

void idx_write(const char *name, const char *suffix, const struct content *content)
{
    FILE *file = fopen(idx_path(name, suffix), "wb");

    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content->bytes, 1, content->size, file), content->size);
    ck_assert_int_eq(fclose(file), 0);
}

void idx_write_good(void)
{
    for (int f = 0; f < IDX_FILES; f++) {
        struct content content = idx_good((enum idx_file)f);
        idx_write(idx_names[f], "", &content);
    }
}

void idx_check_bytes(const uint8_t *bytes, size_t count, unsigned char (*element)(size_t))
{
    ck_assert_ptr_nonnull(bytes);
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(bytes[i] == element(i), "byte %zu is %d, not %d", i, bytes[i], element(i));
}

void idx_check_labels(const int32_t *labels, size_t count)
{
    ck_assert_ptr_nonnull(labels);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(labels[i], idx_label(i));
}

void idx_check_good(const struct dataset *dataset)
{
    const struct samples *halves[] = {&dataset->train, &dataset->test};
    static const int counts[] = {IDX_TRAIN, IDX_TEST};

    for (int h = 0; h < 2; h++) {
        ck_assert_int_eq(halves[h]->count, counts[h]);
        ck_assert_int_eq(halves[h]->shape.height, IDX_HEIGHT);
        ck_assert_int_eq(halves[h]->shape.width, IDX_WIDTH);
        ck_assert_int_eq(halves[h]->shape.channels, 1);
        idx_check_bytes(opened_images(halves[h]), (size_t)counts[h] * IDX_HEIGHT * IDX_WIDTH, idx_pixel);
        idx_check_labels(halves[h]->targets, (size_t)counts[h]);
    }
}
