/* Of a few numbers that were measured: mean, standard deviation, and how far off the mean may be. */
#ifndef TP_BASE_STATISTICS_H
#define TP_BASE_STATISTICS_H

/* NaN without any number; of a single one the deviation and the interval are NaN. */
double sample_mean(const double *values, int count);
double sample_deviation(const double *values, int count);

/* Half of the 95 % confidence interval of the mean, by Student's t. */
double sample_interval(const double *values, int count);

/* The t that is exceeded, in size, by one in twenty, with so many degrees of freedom, 1..; to three digits. */
double student_t95(int freedom);

#endif
