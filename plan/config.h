/* What a user asked for: an ini file and --set overrides, read through one table of keys.
 *
 * Plain data of fixed size, so that it travels to the stages inside the plan. */
#ifndef TP_PLAN_CONFIG_H
#define TP_PLAN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

enum {
    CONFIG_NAME_MAX = 64,
    CONFIG_PATH_MAX = 1024,
    MAX_STAGES = 64,                         /* of a run, */
    MAX_PARTS = MAX_STAGES,                  /* in all */
    STAGE_PARTS_MAX = 16,                    /* of one stage */
    PLANNED_MAX = 1024,                      /* stages, and parts in all, of what is only planned, drawn or simulated */
    CONFIG_LIST_TEXT_MAX = 24 * PLANNED_MAX, /* bytes of a list with a number for each */
    MAX_MICROBATCHES = 64,
    GPUS_MAX = 64
};

enum order_mode { RUN_DYNAMIC, RUN_STATIC };
enum balance { BALANCE_AUTO, BALANCE_FLOPS, BALANCE_MEASURED };
enum static_times { STATIC_UNIT, STATIC_NOMINAL, STATIC_MEASURED };
enum backward_activations { ACTIVATIONS_STORED, ACTIVATIONS_RECOMPUTE };
enum rule_override { RULE_OF_SYSTEM = -1 }; /* else an enum forward_rule / backward_rule / update_rule_name */
enum learning_rate_schedule { RATE_CONSTANT, RATE_STEP, RATE_COSINE };
enum staleness_measure { STALENESS_NOMINAL, STALENESS_MEASURED };
enum decay_norms { DECAY_AS_OPTIMIZER, DECAY_NO, DECAY_YES };
enum on_stall { STALL_END, STALL_WARN };
enum last_batch { LAST_BATCH_KEEP, LAST_BATCH_DROP };
enum device_sync { SYNC_EVENT, SYNC_HOST };
enum { CORES_MAX = 1024, PIN_NO = -1, PIN_NEXT = -2 }; /* in device.pin */
enum { MAP_CPU = -1 };                                 /* in device.map; else a GPU's ordinal */

/* A number for each stage or part. */
struct config_integers {
    int count; /* 0: none given */
    int values[PLANNED_MAX];
};

/* Numbers per part or per link: one for all of them, or one for each. */
struct config_reals {
    int count; /* 0: none given */
    double values[PLANNED_MAX];
};

/* How often something is done; count 0: never. */
struct config_interval {
    int count;
    bool minutes; /* else mini-batches */
};

struct config {
    struct {
        char name[CONFIG_NAME_MAX]; /* "": the config file's name and the time */
        int64_t seed;
        int epochs;
        char output[CONFIG_PATH_MAX]; /* the run folder's parent */
        bool record;                  /* the run into its folder */
        int record_mib;               /* that a recording takes at most */
        int restarts;                 /* after a stage's death or a stall */
        int stall_seconds;            /* without progress; 0: as long as it takes */
        int on_stall;                 /* enum on_stall */
        int silence_seconds;          /* of a machine, until it counts as lost */
    } run;
    struct {
        char system[CONFIG_PATH_MAX]; /* a row's name, or a schedule file */
        int stages;
        int microbatches;
        int parts;                        /* per stage; where none are asked for, the system's */
        int placement;                    /* enum placement; likewise */
        struct config_integers partition; /* blocks per part */
        int balance;                      /* enum balance: what a partition that is left open evens out */
        int order;                        /* enum order_mode */
        int static_times;                 /* enum static_times */
        bool vertical_sync;               /* live forwards become pinned ones */
        int forward_weights;              /* RULE_OF_SYSTEM or enum forward_rule */
        int backward_weights;             /* RULE_OF_SYSTEM or enum backward_rule */
        int backward_activations;
    } pipeline;
    struct {
        int update;         /* RULE_OF_SYSTEM or enum update_rule_name */
        int measure;        /* enum staleness_measure */
        int significance;   /* enum significance */
        double decay;       /* of that */
        int further;        /* updates that pipeoptim looks beyond the staleness */
        double momentum;    /* nesterov-async */
        double anneal;      /* pipemare: epochs */
        double discrepancy; /* pipemare */
        double strength;    /* dc-asgd */
    } staleness;
    struct {
        char arch[CONFIG_PATH_MAX]; /* a network of networks/, or a file */
        int depth, width;           /* its parameters; 0: as it says itself */
        int classes;
        char init[CONFIG_PATH_MAX]; /* weights to begin with (checkpoint/init.h); "": drawn from the seed */
    } model;
    struct {
        char set[CONFIG_NAME_MAX];
        char dir[CONFIG_PATH_MAX], file[CONFIG_PATH_MAX];
        int batch;
        int limit;
        int context;                 /* tokens in a sample */
        char cache[CONFIG_PATH_MAX]; /* folder of decoded images; "": the user's */
        int size, channels;          /* of images that pictures become */
        double held_out;
        bool enlarge;
        int augment; /* enum augment */
        int last_batch;
        int synthetic_size, synthetic_channels;
    } data;
    struct {
        double lr;
        int lr_schedule;
        int lr_step_epochs; /* step: multiply by lr_step_factor every so many epochs */
        double lr_step_factor;
        double warmup_epochs;            /* linear from 0 */
        char optimizer[CONFIG_NAME_MAX]; /* a row's name, or "auto": the system's */
        double momentum;                 /* sgd */
        bool nesterov;                   /* sgd */
        double beta1, beta2, epsilon;    /* adamw, nadamw */
        double momentum_decay;           /* nadamw */
        double weight_decay;
        int decay_norms;  /* enum decay_norms: whether it is of norms and biases as well */
        double clip_norm; /* 0: gradients are not clipped */
    } train;
    struct {
        int keep;
        struct config_interval every; /* beside those at each epoch's end */
    } checkpoints;
    struct {
        char backend[CONFIG_NAME_MAX];
        struct config_integers map; /* where each stage runs */
        int threads;
        struct config_integers
            pin;  /* each stage's core, or PIN_NO; a single PIN_NO for all; none: one after the other */
        int sync; /* enum device_sync */
        bool tf32, graphs;
    } device;
    struct {
        struct config_reals forward_ms, backward_ms, backward_input_ms, backward_weights_ms; /* one op, per stage */
        struct config_reals update_ms;
        struct config_reals link_mbit; /* Mbit/s, per link; 0: shared memory; none: measured between machines */
        struct config_reals link_us;   /* latency; none: measured with link_mbit, or 0 */
    } simulation;
};

enum { CONFIG_KEYS_MAX = 128, CONFIG_MISTAKES_MAX = 32, CONFIG_MISTAKE_LENGTH = 1536 };

/* Every mistake found, one line each: "file:line: section.key: what is wrong and what would be right", or
 * "--set section.key: ...". */
struct config_mistakes {
    int count; /* found; the first CONFIG_MISTAKES_MAX are kept */
    char lines[CONFIG_MISTAKES_MAX][CONFIG_MISTAKE_LENGTH];
    char path[CONFIG_PATH_MAX];  /* the config file's */
    int places[CONFIG_KEYS_MAX]; /* where each key's value came from: its line, or one of config.c's marks */
};
void config_mistakes_print(const struct config_mistakes *mistakes, FILE *out);

/* Fills `config` with defaults, then the file at `path`, then the overrides ("section.key=value"), and checks bounds.
 * Initialises `mistakes`, which remembers where each value came from. 0, or -1 with at least one mistake (a file that
 * cannot be read is one). */
int config_load(struct config *config, const char *path, const char *const *overrides, int override_count,
                struct config_mistakes *mistakes);

/* Only the overrides, to a config that is one already, such as a checkpoint's; `path` is named where a value is wrong. */
int config_override(struct config *config, const char *path, const char *const *overrides, int override_count,
                    struct config_mistakes *mistakes);

/* Adds a mistake about `section_key`, at the place where its value came from (for checks that need more than the key
 * itself: a partition that does not add up, more stages than blocks). */
void config_mistake(struct config_mistakes *mistakes, const char *section_key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds a mistake that somebody else has worded and located. */
void config_mistake_line(struct config_mistakes *mistakes, const char *line);

/* Whether each value, wherever it came from, is one that config_load could have put there. -1 and the first key whose
 * value is not. */
int config_check(const struct config *config, struct error *error);

/* The value of a key that has a number for each stage, as config_load reads it: "5,3,3,3" or "auto". */
void config_format_integers(const struct config *config, const char *section_key, char *text, size_t size);

/* One key's value, as a reader of JSON wants it. */
struct config_value {
    char section[CONFIG_NAME_MAX], key[CONFIG_NAME_MAX];
    enum { CONFIG_INTEGER, CONFIG_REAL, CONFIG_BOOLEAN, CONFIG_TEXT } type;
    int64_t integer;
    double real;
    bool boolean;
    char text[CONFIG_LIST_TEXT_MAX];
};

/* The key at `index` (0.., in the table's order, sections together). False behind the last one. */
bool config_get(const struct config *config, int index, struct config_value *value);

/* The table of keys for --help and the man page: name, default, bounds, unit, help. */
void config_print_keys(FILE *out);

#endif
