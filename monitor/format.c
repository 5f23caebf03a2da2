#include "monitor/format.h"

#include <stddef.h>
#include <stdio.h>

/* With three digits that matter. */
static const char *three_digits(double value, const char *unit, char text[FORMAT_MAX])
{
    int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;

    snprintf(text, FORMAT_MAX, "%.*f %s", decimals, value, unit);
    return text;
}

const char *format_bytes(uint64_t bytes, char text[FORMAT_MAX])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    if (unit > 0)
        return three_digits(value, units[unit], text);
    snprintf(text, FORMAT_MAX, bytes > 0 ? "%.0f B" : "%.0f", value);
    return text;
}

const char *format_duration(uint64_t nanoseconds, char text[FORMAT_MAX])
{
    static const char *const units[] = {"ns", "us", "ms", "s"};
    double value = (double)nanoseconds;
    size_t unit = 0;

    while (value >= 999.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    if (unit > 0)
        return three_digits(value, units[unit], text);
    snprintf(text, FORMAT_MAX, "%.0f ns", value);
    return text;
}

const char *format_clock(double seconds, char text[FORMAT_MAX])
{
    long all = seconds < 1e9 ? (long)(seconds + 0.5) : 1000000000l;

    if (all >= 3600)
        snprintf(text, FORMAT_MAX, "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
    else
        snprintf(text, FORMAT_MAX, "%ld:%02ld", all / 60, all % 60);
    return text;
}
