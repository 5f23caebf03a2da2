/* The checkpoints of a run folder, each a set of files (checkpoint/checkpoint.h) with a manifest that makes it whole. */
#ifndef TP_CHECKPOINT_SETS_H
#define TP_CHECKPOINT_SETS_H

#include "checkpoint/manifest.h"

/* A set that has been read and found whole. */
struct checkpoint_set {
    char run_folder[CONFIG_PATH_MAX];
    char name[CHECKPOINT_NAME_MAX];
    char path[CONFIG_PATH_MAX]; /* <run_folder>/checkpoints/<name> */
    struct manifest manifest;
};

/* A folder with a set's name, whole or not. */
struct set_place {
    char name[CHECKPOINT_NAME_MAX];
    int epoch, minibatch; /* INT_MAX: the epoch's end */
};

/* Finds those of a run folder, the newest first. Returns their number; the caller frees. */
int sets_list(const char *run_folder, struct set_place **places);

/* Compares by training's progress; as qsort has it, the newest first. */
int set_compare(const void *a, const void *b);

/* Whether it has a manifest. */
bool set_is_complete(const char *run_folder, const char *name);

/* Reads the manifest, and every file that it names against its size and checksum. `path` ends with a set's name. -1 and
 * the file that is missing or damaged; then nothing is to be released. */
int set_open(struct checkpoint_set *set, const char *path, struct error *error);
void set_release(struct checkpoint_set *set);

/* The newest complete set of a run folder. Damaged ones are passed over and named on stderr, a line each. -1 if there is
 * none. */
int set_open_newest(struct checkpoint_set *set, const char *run_folder, struct error *error);

/* Writes the set's manifest, by way of a temporary name and synchronised with the disk. */
int set_write_manifest(const char *run_folder, const char *name, const struct manifest *manifest, struct error *error);

/* Removes what tp has written there, the manifest first. */
void set_remove(const char *run_folder, const char *name);

/* Takes sets after this one out of account, as training goes on from it: their manifests get another name. */
void sets_set_aside_after(const char *run_folder, const char *name);

#endif
