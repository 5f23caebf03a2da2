/* The checkpoints of a run folder, each a set of files (checkpoint/checkpoint.h) with a manifest that makes it whole. */
#ifndef TP_CHECKPOINT_SETS_H
#define TP_CHECKPOINT_SETS_H

#include "checkpoint/manifest.h"

/* A link in the folder of all sets to the one whose test top-1 is best. */
#define BEST_SET "best"

/* A set that has been read and found whole. */
struct checkpoint_set {
    char name[CHECKPOINT_NAME_MAX];
    struct manifest manifest;
};

/* A folder with a set's name, whole or not. */
struct set_place {
    char name[CHECKPOINT_NAME_MAX];
    int epoch, minibatch; /* INT_MAX: the epoch's end */
};

/* Finds those of a run folder, the newest first. Returns their number; the caller frees. */
int sets_list(const struct run_folder *folder, struct set_place **places);

/* Compares by training's progress; as qsort has it, the newest first. */
int set_compare(const void *a, const void *b);

/* Splits "RUN/checkpoints/NAME", with or without a slash behind it, into the run folder's path and the set's name or
 * BEST_SET. -1 if it is not of that form. */
int set_split_path(const char *path, char run_folder[CONFIG_PATH_MAX], char name[CHECKPOINT_NAME_MAX],
                   struct error *error);

/* Whether it has a manifest. */
bool set_is_complete(const struct run_folder *folder, const char *name);

/* Reads the manifest, and every file that it names against its size and checksum. The name may be BEST_SET. -1 and the
 * file that is missing or damaged, or why nothing can follow from the set: it is another run's, or its test failed; then
 * nothing is to be released. */
int set_open(struct checkpoint_set *set, const struct run_folder *folder, const char *name, struct error *error);
void set_release(struct checkpoint_set *set);

/* The newest complete set of a run folder, of those that do not come after `last` (NULL: of all). Those that set_open
 * refuses are passed over and named on stderr, a line each. -1 if there is no other. */
int set_open_newest(struct checkpoint_set *set, const struct run_folder *folder, const char *last, struct error *error);

/* Writes the set's manifest, by way of a temporary name and synchronised with the disk. */
int set_write_manifest(const struct run_folder *folder, const char *name, const struct manifest *manifest,
                       struct error *error);

/* Makes BEST_SET that one. Where there are no links there is none. */
void set_mark_best(const struct run_folder *folder, const char *name);

/* Removes what tp has written there, the manifest first. */
void set_remove(const struct run_folder *folder, const char *name);

/* Removes all sets of a run folder, whole or not, and the link. */
void sets_remove_all(const struct run_folder *folder);

/* Takes sets after this one out of account, as training goes on from it: their manifests get another name. */
void sets_set_aside_after(const struct run_folder *folder, const char *name);

#endif
