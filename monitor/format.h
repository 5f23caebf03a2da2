/* Numbers as a reader wants them, short. */
#ifndef TP_MONITOR_FORMAT_H
#define TP_MONITOR_FORMAT_H

#include <stdint.h>

enum { FORMAT_MAX = 24 };

/* "0", "850 B", "12.3 MiB": at most three digits in front of the unit's. */
const char *format_bytes(uint64_t bytes, char text[FORMAT_MAX]);

/* "850 ns", "1.25 ms", "12.3 s". */
const char *format_duration(uint64_t nanoseconds, char text[FORMAT_MAX]);

/* "1:05", "2:01:05": minutes and seconds, with hours in front if there are any. */
const char *format_clock(double seconds, char text[FORMAT_MAX]);

#endif
