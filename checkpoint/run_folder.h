/* The folder of a run. Its run.json says which run it is of, and every checkpoint names that run again. A process that
 * writes there has the folder open and locked, and finds all that lies in it by its descriptor. Stages inherit the
 * descriptor and the lock: they may still write a checkpoint when the coordinator has been killed. */
#ifndef TP_CHECKPOINT_RUN_FOLDER_H
#define TP_CHECKPOINT_RUN_FOLDER_H

#include <jansson.h>
#include <stdint.h>

#include "plan/config.h"

enum { RUN_ID_DIGITS = 32, RUN_ID_MAX = RUN_ID_DIGITS + 1 };

/* What run.json says. */
struct run_facts {
    char run[RUN_ID_MAX];         /* drawn when the run was made */
    char config[CONFIG_PATH_MAX]; /* the file's real path, as the run was last started; "": unknown */
    uint32_t config_crc32;        /* zlib's, of its text; 0 if it is no file */
    int64_t started_ns;           /* then, since 1970 */
    int coordinator;              /* the last process that had the folder open */
};

/* Whether it may be a run's, in manifests as in run.json. */
bool run_id_is_valid(const char *run);

struct run_folder {
    char path[CONFIG_PATH_MAX]; /* for messages */
    int descriptor;             /* -1: not open */
    bool made;                  /* by this process */
    struct run_facts facts;
};

/* For a new run of the config file (NULL: of none): makes the folder, or takes one of this user's that holds nothing yet.
 * -1 and why not; *taken then tells whether that is for what is there already. */
int run_folder_make(struct run_folder *folder, const char *path, const char *config, bool *taken, struct error *error);

/* For a run that goes on. */
int run_folder_open(struct run_folder *folder, const char *path, struct error *error);

/* The run is started, with this config file: run.json says so. */
int run_folder_start(struct run_folder *folder, const char *config, struct error *error);

/* Writes a JSON object to a file of that name. */
int run_folder_write(const struct run_folder *folder, const char *name, const json_t *json, struct error *error);

/* To look for a run to go on with, or at what it has saved: not locked, so that what is there may change. */
int run_folder_look(struct run_folder *folder, const char *path, struct error *error);

/* Reads the text of a run.json, of which nothing is trusted. -1 and what is wrong with it. */
int run_facts_read(struct run_facts *facts, const char *text, size_t size, struct error *error);

/* Whether a run with these facts was started with this config file: the same file, or one of the same text if that file is
 * gone. */
bool run_facts_match(const struct run_facts *facts, const char *config);

/* Closes it, if it is open, and removes it if it was made here and nothing has been written into it. */
void run_folder_close(struct run_folder *folder);

#endif
