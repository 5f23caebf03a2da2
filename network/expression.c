/* Expressions of whole numbers in network files. */
#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "network/internal.h"

static int find(const struct variables *variables, const char *name)
{
    int k = 0;

    while (k < variables->count && strcmp(variables->list[k].name, name) != 0)
        k++;
    return k;
}

bool variables_know(const struct variables *variables, const char *name)
{
    return find(variables, name) < variables->count;
}

void variables_set(struct variables *variables, const char *name, long value)
{
    const int k = find(variables, name);

    snprintf(variables->list[k].name, sizeof(variables->list[k].name), "%s", name);
    variables->list[k].value = value;
    variables->count = k < variables->count ? variables->count : k + 1;
}

struct scan {
    const char *at;
    const struct variables *variables;
    struct error *error;
    int depth;
};

enum { DEPTH_MAX = 32, VALUE_MAX = 1 << 30 };

static int compare(struct scan *scan, long *value);

static void skip_blanks(struct scan *scan)
{
    scan->at += strspn(scan->at, " \t");
}

static bool take(struct scan *scan, const char *token)
{
    skip_blanks(scan);
    if (strncmp(scan->at, token, strlen(token)) != 0)
        return false;
    scan->at += strlen(token);
    return true;
}

static int take_name(struct scan *scan, long *value)
{
    const size_t length = strspn(scan->at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    for (int k = 0; k < scan->variables->count; k++) {
        const char *name = scan->variables->list[k].name;

        if (strlen(name) == length && strncmp(name, scan->at, length) == 0) {
            *value = scan->variables->list[k].value;
            scan->at += length;
            return 0;
        }
    }
    return error_set(scan->error, "nothing is called %.*s: a number is a parameter, what a repeat counts, or classes",
                     (int)length, scan->at);
}

static int primary(struct scan *scan, long *value)
{
    char *end;
    int failed;

    if (take(scan, "(")) {
        if (++scan->depth > DEPTH_MAX)
            return error_set(scan->error, "more than %d parentheses in each other", DEPTH_MAX);
        failed = compare(scan, value);
        scan->depth--;
        if (!failed && !take(scan, ")"))
            return error_set(scan->error, "a \")\" is missing");
        return failed;
    }
    skip_blanks(scan);
    if (isalpha((unsigned char)*scan->at))
        return take_name(scan, value);
    if (!isdigit((unsigned char)*scan->at))
        return error_set(scan->error, "a number or a name is missing%s%.10s", *scan->at ? " before " : " at the end",
                         scan->at);
    *value = strtol(scan->at, &end, 10);
    scan->at = end;
    return *value > VALUE_MAX ? error_set(scan->error, "numbers are at most %d", VALUE_MAX) : 0;
}

static int check_range(struct scan *scan, long value)
{
    return value > VALUE_MAX || value < -VALUE_MAX ? error_set(scan->error, "its value is beyond %d", VALUE_MAX) : 0;
}

static int product(struct scan *scan, long *value)
{
    if (primary(scan, value))
        return -1;
    for (;;) {
        const char operation = take(scan, "*") ? '*' : take(scan, "/") ? '/' : take(scan, "%") ? '%' : '\0';
        long right;

        if (operation == '\0')
            return 0;
        if (primary(scan, &right))
            return -1;
        if (operation != '*' && right == 0)
            return error_set(scan->error, "it divides by 0");
        *value = operation == '*' ? *value * right : operation == '/' ? *value / right : *value % right;
        if (check_range(scan, *value))
            return -1;
    }
}

static int sum(struct scan *scan, long *value)
{
    if (product(scan, value))
        return -1;
    for (;;) {
        const int sign = take(scan, "+") ? 1 : take(scan, "-") ? -1 : 0;
        long right;

        if (sign == 0)
            return 0;
        if (product(scan, &right))
            return -1;
        *value += sign * right;
        if (check_range(scan, *value))
            return -1;
    }
}

static int compare(struct scan *scan, long *value)
{
    static const char *const operations[] = {"<=", ">=", "==", "!=", "<", ">"};
    long right;

    if (sum(scan, value))
        return -1;
    for (int k = 0; k < 6; k++) {
        if (!take(scan, operations[k]))
            continue;
        if (sum(scan, &right))
            return -1;
        const bool holds[] = {*value <= right, *value >= right, *value == right, *value != right,
                              *value<right, *value> right};
        *value = holds[k];
        return 0;
    }
    return 0;
}

int expression_value(long *value, const char *text, const struct variables *variables, struct error *error)
{
    struct scan scan = {.at = text, .variables = variables, .error = error};

    *value = 0;
    if (compare(&scan, value))
        return error_prefix(error, "%s", text);
    skip_blanks(&scan);
    if (*scan.at == '\0')
        return 0;
    error_set(error, "nothing is expected before %.20s", scan.at);
    return error_prefix(error, "%s", text);
}
