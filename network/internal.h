/* What the files of network/ share while a network file is read. */
#ifndef TP_NETWORK_INTERNAL_H
#define TP_NETWORK_INTERNAL_H

#include "network/network.h"

enum { VARIABLES_MAX = 16, VARIABLE_NAME_MAX = 24 };

/* Names that stand for numbers: the file's parameters, `classes`, and what a repeat counts. */
struct variables {
    int count;
    struct {
        char name[VARIABLE_NAME_MAX];
        long value;
    } list[VARIABLES_MAX];
};

/* Adds one, or sets it: at most two parameters, `classes` and a name for each repeat in another. */
void variables_set(struct variables *variables, const char *name, long value);
bool variables_know(const struct variables *variables, const char *name);

/* The value of an expression of whole numbers: names, + - * / %, comparisons (1 or 0), parentheses. -1 and what is wrong
 * with it. */
int expression_value(long *value, const char *text, const struct variables *variables, struct error *error);

/* The names and texts of networks/, ended by NULL: made by the Makefile. */
extern const char *const network_builtins[][2];

/* Takes into one what a layer can do at once: an add behind a norm, a ReLU behind either (network/fuse.c). Works out sizes,
 * costs and offsets of all that is left. */
int network_finish(struct network *network, struct error *error);

#endif
