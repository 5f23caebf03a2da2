#include "tests/support/trained.h"

#include <math.h>
#include <stdlib.h>

#include "tests/support/compare.h"
#include "tests/support/pipeline.h"

float *trained_weights(struct settings *settings, size_t *count)
{
    static struct pipeline pipeline;
    float *weights;

    pipeline_run(&pipeline, settings_list(settings));
    weights = pipeline_weights(&pipeline);
    *count = pipeline.network->parameters;
    pipeline_destroy(&pipeline);
    return weights;
}

void trained_assert_same(struct settings *one, struct settings *other, double tolerance, const char *what)
{
    size_t count, other_count;
    float *a = trained_weights(one, &count), *b = trained_weights(other, &other_count);
    double difference = 0, norm = 0;

    ck_assert_uint_eq(count, other_count);
    for (size_t p = 0; p < count; p++) {
        difference += pow((double)a[p] - (double)b[p], 2);
        norm += pow((double)a[p], 2);
    }
    if (tolerance > 0)
        ck_assert_msg(sqrt(difference) <= tolerance * sqrt(norm), "%s: weights differ by %g of their norm", what,
                      sqrt(difference / norm));
    else
        ck_assert_same(what, a, b, count);
    free(a);
    free(b);
}
