/* What went wrong, in one line a user can act on.
 *
 * A function that can fail takes a `struct error *`, returns 0 or -1 and fills the error once, where the facts are
 * known. Callers may put context in front of it and pass it on. */
#ifndef TP_BASE_ERROR_H
#define TP_BASE_ERROR_H

struct error {
    char text[1024];
};

/* Writes the message (truncated if need be, and without control characters) and returns -1, so that a caller can
 * `return error_set(...)`. */
int error_set(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "context: " in front of the message and returns -1. */
int error_prefix(struct error *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
