#include "base/statistics.h"

#include <math.h>

double sample_mean(const double *values, int count)
{
    double sum = 0.0;

    for (int i = 0; i < count; i++)
        sum += values[i];
    return count > 0 ? sum / count : (double)NAN;
}

double sample_deviation(const double *values, int count)
{
    const double centre = sample_mean(values, count);
    double sum = 0.0;

    for (int i = 0; i < count; i++)
        sum += (values[i] - centre) * (values[i] - centre);
    return count > 1 ? sqrt(sum / (count - 1)) : (double)NAN;
}

/* From a table, and beyond it by the expansion around the normal distribution (Abramowitz and Stegun, 26.7.5). */
double student_t95(int freedom)
{
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228};
    const double z = 1.959964, f = freedom;

    if (freedom <= (int)(sizeof(table) / sizeof(table[0])))
        return table[freedom - 1];
    return z + (pow(z, 3) + z) / (4 * f) + (5 * pow(z, 5) + 16 * pow(z, 3) + 3 * z) / (96 * f * f) +
           (3 * pow(z, 7) + 19 * pow(z, 5) + 17 * pow(z, 3) - 15 * z) / (384 * pow(f, 3));
}

double sample_interval(const double *values, int count)
{
    return count > 1 ? student_t95(count - 1) * sample_deviation(values, count) / sqrt(count) : (double)NAN;
}
