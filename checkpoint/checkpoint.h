/* A stage's part of a checkpoint: what it has learned, as safetensors files that other tools read. The coordinator adds
 * a manifest when every stage has written its part (coordinator/checkpoints.h); a set without one does not exist.
 *
 *   RUN/checkpoints/epoch-0003/                     after epoch 3
 *   RUN/checkpoints/epoch-0003-minibatch-000412/    stopped after mini-batch 412 of epoch 3
 *     stage-2.safetensors              parameters and running statistics by their names, and the optimizer's
 *                                      "optimizer.<slot>.<name>", with the names of PyTorch's state_dict: momentum_buffer; exp_avg,
 *                                      exp_avg_sq. The count of updates, its "step", is in the manifest
 *     stage-2-version-2287.safetensors "version.2287.<name>": parameters as 2287 updates had made them, which later
 *                                      mini-batches still read (simulation_versions_read_after) */
#ifndef TP_CHECKPOINT_CHECKPOINT_H
#define TP_CHECKPOINT_CHECKPOINT_H

#include <stdint.h>

#include "checkpoint/tensor_files.h"
#include "plan/config.h"

enum { CHECKPOINT_NAME_MAX = 48 };

#define CHECKPOINTS_FOLDER "checkpoints"

/* The name of a set's folder. `minibatch` 0: the epoch's end. */
void checkpoint_set_name(int epoch, int minibatch, char name[CHECKPOINT_NAME_MAX]);

/* The name of a stage's file in it. `version` negative: its main one. The other way round, false if no file has the name. */
void checkpoint_file_name(int stage, int version, char name[CHECKPOINT_NAME_MAX]);
bool checkpoint_parse_file_name(const char *name, int *stage, int *version);

struct written_file {
    uint64_t bytes;
    uint32_t crc32;
};

/* Writes checkpoints/<set>/<file> in a run's folder, making the folders; through a temporary name, so that it is whole or
 * absent, and synchronised with the disk. 0, or the errno that says why it could not be written. */
int checkpoint_write(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                     const struct tensor_group *groups, int group_count, struct written_file *written);

/* Fills the groups' arrays from stage-1.safetensors ... stage-<files>.safetensors of a set, whatever stage wrote which
 * tensor; they are looked for in that of stage `first` first (checkpoint/tensor_files.h). -1 and the file that is damaged, or the
 * tensor that is missing or of another shape. */
int checkpoint_read(int run_folder, const char *set, int files, int first, const struct tensors *tensors,
                    const struct tensor_group *groups, int group_count, struct error *error);

/* The same from one file of the set. */
int checkpoint_read_file(int run_folder, const char *set, const char *file, const struct tensors *tensors,
                         const struct tensor_group *groups, int group_count, struct error *error);

/* The folder of a set, or with an empty name the one of all sets. Its descriptor, or -1 and errno. */
int checkpoint_open_folder(int run_folder, const char *set);

/* The same, making what is not there. */
int checkpoint_make_folder(int run_folder, const char *set);

#endif
