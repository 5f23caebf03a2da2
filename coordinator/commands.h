/* tpcoord's commands: a row each, from which usage, help and what a shell completes all come. */
#ifndef TP_COORDINATOR_COMMANDS_H
#define TP_COORDINATOR_COMMANDS_H

#include <stdbool.h>

enum verb {
    VERB_RUN,
    VERB_PLAN,
    VERB_COMPARE,
    VERB_TEST,
    VERB_SAMPLE,
    VERB_NETWORK,
    VERB_SYSTEMS,
    VERB_DEVICES,
    VERB_DEMO,
    VERB_EXPLAIN,
    VERB_HELP,
    VERB_COMPLETE,
    VERBS
};

/* What follows the command, beside options. */
enum operand {
    OPERAND_NONE,
    OPERAND_CONFIG,  /* a file, which must be given */
    OPERAND_RUN,     /* a run's folder, or a checkpoint's, which must be given */
    OPERAND_NETWORK, /* a network's name, or its file */
    OPERAND_NAME,    /* what is to be explained */
    OPERAND_TOPIC,   /* what help is asked about: also an option, which is not read as one */
    OPERAND_WORDS    /* any words, options among them, which are not read as such */
};

struct command {
    const char *name, *usage, *help;
    enum operand operand;
    const char *about;       /* the sentences of its own help */
    const char *examples[4]; /* arguments, in which CONFIG is a config; to the first NULL */
};

extern const struct command commands[VERBS];

/* NULL if there is no such command. */
const struct command *command_find(const char *name);

#endif
