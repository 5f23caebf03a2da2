/* The table of config keys: everything that is known about a key is in its row, and everything done with keys (defaults,
 * parsing, bounds, help, JSON) reads it there. */
#ifndef TP_PLAN_CONFIG_KEYS_H
#define TP_PLAN_CONFIG_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/error.h"
#include "plan/config.h"

enum key_type {
    KEY_INTEGER,     /* int or int64_t, by size; the only choice, if there is one, stands for first_choice */
    KEY_REAL,        /* double */
    KEY_BOOLEAN,     /* bool */
    KEY_CHOICE,      /* int: first_choice + index among the choices */
    KEY_CHOICE_NAME, /* char[]: one of the choices' names */
    KEY_NAME,        /* char[]: fit for a file's name */
    KEY_TEXT,        /* char[] */
    KEY_INTEGERS,    /* struct config_integers: numbers, or the first choice for none; further choices stand for the
                        numbers from first_choice on */
    KEY_INTERVAL,    /* struct config_interval: mini-batches, "500", or minutes, "10m" */
    KEY_REALS        /* struct config_reals: numbers, or the only choice, if there is one, for none */
};

struct config_key {
    const char *name;    /* "section.key" */
    size_t offset, size; /* of the member of struct config */
    enum key_type type;
    const char *fallback;             /* the value where none is given; "" = empty */
    double low, high;                 /* bounds of numbers */
    const char *const *choices;       /* ends with NULL; or by function, where another module knows them: */
    const char *(*choice)(int index); /* NULL behind the last */
    int first_choice;
    const char *file_ending; /* of a KEY_CHOICE_NAME that may be the path of a file instead; NULL: may not */
    const char *example;     /* of a list */
    const char *unit;        /* NULL if it has none */
    const char *help;
};

/* "auto", until config_ask_system has put the system's own in its place. */
enum { PARTS_OF_SYSTEM = 0, PLACEMENT_OF_SYSTEM = -1 };
void config_ask_system(struct config *config);

extern const struct config_key config_keys[];
extern const int config_key_count;

/* NULL if there is no such key. `name` is "section.key". */
const struct config_key *config_key_find(const char *name);

/* The one that may have been meant by `name`, with or without its section, in `section`: one of that very name in another
 * section, or the nearest of its own. NULL if none is near. */
const struct config_key *config_key_meant(const char *section, const char *name);

/* Reads `text` into the key's member. -1 and what would be right if it does not fit. */
int config_key_set(const struct config_key *key, struct config *config, const char *text, struct error *error);

/* Whether the key's member holds a value that config_key_set could have put there. */
bool config_key_holds(const struct config_key *key, const struct config *config);

/* The index-th choice of a KEY_CHOICE or KEY_CHOICE_NAME; NULL behind the last. */
const char *config_key_choice(const struct config_key *key, int index);

/* A key with its help, default and bounds; all keys of a section likewise, and whether there are any. */
void config_print_key(FILE *out, const struct config_key *key);
bool config_print_section(FILE *out, const char *section);

/* The choice that stands for a number of KEY_INTEGERS; NULL if none does. */
const char *config_key_word(const struct config_key *key, int value);

#endif
