#include "tests/support/opened.h"

#include <check.h>
#include <string.h>

enum { BOTH = DATA_IMAGES | DATA_TARGETS };

struct dataset *opened(const struct data_options *options)
{
    struct dataset *dataset;
    struct error error;

    ck_assert_msg(dataset_open(&dataset, options, BOTH, &error) == 0, "%s", error.text);
    return dataset;
}

void opened_not(const struct data_options *options, const char *name, const char *phrase)
{
    struct dataset *dataset;
    struct error error;

    ck_assert_msg(dataset_open(&dataset, options, BOTH, &error) == -1, "accepted; not \"%s\"", phrase);
    ck_assert_msg(strstr(error.text, name) && strstr(error.text, phrase) && !strchr(error.text, '\n'),
                  "expected \"%s\" and \"%s\" in: %s", name, phrase, error.text);
}
