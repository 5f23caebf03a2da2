/* Four small IDX files in a folder of their own: good ones, whose every byte follows from its place, and what a test makes of
 * their contents before it writes them. */
#ifndef TP_TESTS_IDX_FILES_H
#define TP_TESTS_IDX_FILES_H

#include <stddef.h>
#include <stdint.h>

#include "data/data.h"

enum { IDX_CLASSES = 10, IDX_TRAIN = 12, IDX_TEST = 5, IDX_HEIGHT = 6, IDX_WIDTH = 4 };
enum idx_file { TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS, IDX_FILES };

extern const char *const idx_names[IDX_FILES], *const idx_colour_names[2];

/* Opens the folder. */
extern const struct data_options idx_options;

/* The folder is made before all tests, emptied before each, and removed after all. */
extern char idx_folder[256];
void idx_make_folder(void);
void idx_empty_folder(void);
void idx_remove_folder(void);

/* Of a file in the folder; valid until the next call. */
const char *idx_path(const char *name, const char *suffix);

/* The bytes of a file before they are written. */
struct content {
    size_t size;
    unsigned char bytes[4096];
};

/* A header of `dimensions` sizes and as many elements, element i being what `element` says. */
struct content idx_content(int dimensions, const uint32_t *sizes, unsigned char (*element)(size_t i));

/* Those of a good file, and its elements. */
struct content idx_good(enum idx_file file);
unsigned char idx_pixel(size_t i);
unsigned char idx_label(size_t i);

/* As gzip has them; and with more behind them. */
struct content content_packed(const struct content *plain);
void content_append(struct content *content, const void *bytes, size_t size);

void idx_write(const char *name, const char *suffix, const struct content *content);
void idx_write_good(void);

/* Whether good files were read: some elements of one, or all of the set. */
void idx_check_bytes(const uint8_t *bytes, size_t count, unsigned char (*element)(size_t));
void idx_check_labels(const int32_t *labels, size_t count);
void idx_check_good(const struct dataset *dataset);

#endif
