#include "tests/support/opened.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

enum { BOTH = DATA_IMAGES | DATA_TARGETS };

struct dataset *opened_parts(const struct data_options *options, int parts)
{
    struct dataset *dataset = NULL;
    struct error error;

    ck_assert_msg(dataset_open(&dataset, options, parts, &error) == 0, "%s", error.text);
    return dataset;
}

struct dataset *opened(const struct data_options *options)
{
    return opened_parts(options, BOTH);
}

void opened_not(const struct data_options *options, const char *name, const char *phrase)
{
    struct dataset *dataset = NULL;
    struct error error;

    ck_assert_msg(dataset_open(&dataset, options, BOTH, &error) == -1, "accepted; not \"%s\"", phrase);
    ck_assert_ptr_null(dataset);
    ck_assert_msg(strstr(error.text, name) && strstr(error.text, phrase) && !strchr(error.text, '\n'),
                  "expected \"%s\" and \"%s\" in: %s", name, phrase, error.text);
}

/* Reached from here until the process of the test ends. */
static struct kept {
    struct kept *next;
    uint8_t images[];
} * all;

uint8_t *opened_images(const struct samples *samples)
{
    const size_t size = shape_size(samples->shape);
    struct kept *kept = malloc(sizeof(*kept) + (size_t)samples->count * size);

    ck_assert_ptr_nonnull(kept);
    kept->next = all;
    all = kept;
    for (int i = 0; i < samples->count; i++)
        data_copy_image(samples, i, kept->images + (size_t)i * size);
    return kept->images;
}
