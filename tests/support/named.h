/* Networks by name, for tests. An input of width 1 is tokens. */
#ifndef TP_TESTS_NAMED_H
#define TP_TESTS_NAMED_H

#include <string.h>

#include "network/network.h"

static inline int network_named(struct network **out, const char *name, int depth, struct shape input, int classes,
                                struct error *error)
{
    const struct network_options options = {
        .name = name,
        .text = network_builtin(name),
        .depth = strcmp(name, "mlp") == 0 ? depth : 0,
        .tokens = input.width == 1,
        .input = input,
        .classes = classes,
    };

    return network_create(out, &options, error);
}

#endif
