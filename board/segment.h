/* The run's one shared-memory segment: the board (board/board.h), and the memory of its channels. The coordinator creates it,
 * the stages inherit its descriptor, monitors open it by name, read-only. Everything in it is found through offsets that
 * were checked when it was opened. */
#ifndef TP_BOARD_SEGMENT_H
#define TP_BOARD_SEGMENT_H

#include <sys/types.h>

#include "base/error.h"
#include "board/board.h"

struct results {
    int count;
    struct epoch_result epochs[EPOCHS_MAX];
};

/* A mapped segment. */
struct segment {
    struct segment_header *header; /* this process's copy, checked: what others write cannot change it */
    struct results *results;       /* likewise, of the epochs that are done */
    struct board *board;
    size_t size; /* mapped */
    size_t controls_offset, stages_offset, channels_offset;
    int fd;
    char name[64]; /* "" in those that did not create it */
    pid_t parent;  /* a stage's coordinator, without which the run is over; 0 in those that depend on nobody */
};

/* Tells how many bytes a plan's channels need. The board gives them, and knows no more of channels. */
typedef size_t channels_bytes(const struct plan *plan);

/* Bytes that a plan's segment needs. */
size_t segment_size(const struct plan *plan, channels_bytes *channels);

/* Coordinator: mode 0600, every page allocated (or the error says how much /dev/shm would need), with the plan in it,
 * and locked as long as a process of the run lives. It has no name yet, so that nothing stays of it whoever is killed.
 * What dead runs of the same user have left is removed. The run is not interactive until header->interactive is set. */
int segment_create(struct segment *segment, const struct plan *plan, channels_bytes *channels, const char *run_folder,
                   struct error *error);

/* Coordinator: the header is complete; from now on others take the segment. */
void segment_seal(const struct segment *segment);

/* Gives it its name, "/tp-<uid>-<pid>-<random>", for monitors. Once a stage lives, which will remove the name when the
 * coordinator cannot. */
int segment_publish(const struct segment *segment, struct error *error);

/* In memory of this process alone, for stages that are threads. */
int segment_create_private(struct segment *segment, const struct plan *plan, channels_bytes *channels,
                           struct error *error);

/* Stage: maps an inherited descriptor. Monitor: opens by name, read-only. Both take only what is this user's and nobody
 * else's to write, and check all that later reads rely on. */
int segment_attach(struct segment *segment, int fd, channels_bytes *channels, struct error *error);
int segment_open(struct segment *segment, const char *name, channels_bytes *channels, struct error *error);

/* Monitor: maps the controls of an interactive run, writable. NULL and the reason if the run is not interactive. Unmap
 * with segment_close_controls. */
struct controls *segment_open_controls(const struct segment *segment, const char *name, struct error *error);
void segment_close_controls(struct controls *controls);

/* The controls as a stage or the coordinator sees them. */
struct controls *segment_controls(const struct segment *segment);

/* False once its file has shrunk under a process that guards it (board/guard.h): what is read there now is 0. */
bool segment_is_whole(const struct segment *segment);

void segment_unlink(const char *name);
void segment_close(struct segment *segment);

/* Epochs that are done, never more than the run has; and their results [that many], which stay where they are and as they
 * are. They are taken from the board by the first call that finds them there; one thread of a process may call it. */
int segment_epochs_done(const struct segment *segment);
const struct epoch_result *segment_epochs(const struct segment *segment);

struct stage_block *segment_stage(const struct segment *segment, int stage); /* 1.. */

/* The channels' memory, as large as their plan needs, all 0 when the segment is created; it begins a page. */
unsigned char *segment_channels(const struct segment *segment);

/* Whether a stage is on the machine whose segment this is. */
bool segment_is_here(const struct segment *segment, int stage);

/* Rings the doorbell of the stage that hosts a part, or the node's if that is on another machine; and everybody's. */
void segment_ring_doorbell(const struct segment *segment, int part);
void segment_ring_all(const struct segment *segment);

/* A checkpoint is asked for, unless one is under way; async-signal-safe. And whether one is. */
void segment_ask_checkpoint(const struct segment *segment);
bool segment_saves(const struct segment *segment);

/* Everybody ends now. */
void segment_abort(const struct segment *segment);

/* Whether the coordinator on which this process depends is gone. */
bool segment_orphaned(const struct segment *segment);

/* -1 if the run is aborted, or has lost its coordinator. Every wait of a stage asks this again and again. */
int segment_check_run(const struct segment *segment, struct error *error);

#endif
