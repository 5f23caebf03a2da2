#include "tests/support/compare.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

bool compare_close(const char *what, const float *actual, const double *expected, size_t count, double tolerance,
                   double magnitude, char message[COMPARE_MESSAGE_MAX])
{
    size_t bad = 0, first = 0;

    for (size_t i = count; i-- > 0;) {
        const double bound = tolerance * (fabs(expected[i]) + magnitude);
        const bool good = isfinite(actual[i]) && fabs((double)actual[i] - expected[i]) <= bound;

        bad += !good;
        first = good ? first : i;
    }
    if (bad == 0)
        return true;
    snprintf(message, COMPARE_MESSAGE_MAX,
             "%s: %zu of %zu are wrong, first [%zu]: %.9g, expected %.9g (tolerance %g of it and of %g)", what, bad,
             count, first, (double)actual[first], expected[first], tolerance, magnitude);
    return false;
}

bool compare_same(const char *what, const float *actual, const float *expected, size_t count,
                  char message[COMPARE_MESSAGE_MAX])
{
    for (size_t i = 0; i < count; i++) {
        if (!isnan(actual[i]) && memcmp(&actual[i], &expected[i], sizeof(float)) == 0)
            continue;
        snprintf(message, COMPARE_MESSAGE_MAX, "%s: [%zu] of %zu is %.9g (%a), not %.9g (%a)", what, i, count,
                 (double)actual[i], (double)actual[i], (double)expected[i], (double)expected[i]);
        return false;
    }
    return true;
}

double compare_magnitude(const double *values, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += values[i] * values[i];
    return count > 0 ? sqrt(sum / (double)count) : 0.0;
}
