/* Small runs whose stages are threads, and the folder in which their checkpoints are saved. */
#ifndef TP_TESTS_SAVED_H
#define TP_TESTS_SAVED_H

#include "tests/support/pipeline.h"
#include "tests/support/settings.h"

enum { SAVED_EPOCHS = 2 };

struct saved {
    char path[64];
    struct run_folder folder; /* the same, open */
};

/* A folder of its own for each test. */
void saved_set_up(struct saved *saved);
void saved_tear_down(struct saved *saved);

/* Two epochs of five mini-batches, in static order, on one kind of kernels. */
struct settings saved_settings(const char *system, const char *arch, int stages, int microbatches);

/* Runs from `from`, or NULL, to the end, or to where `stop` says (stop_point). The pipeline is the caller's to destroy. */
void saved_run(const struct saved *saved, struct pipeline *pipeline, struct settings *settings,
               struct checkpoint_set *from, uint64_t stop);
void saved_run_discarded(const struct saved *saved, struct settings *settings, struct checkpoint_set *from,
                         uint64_t stop);

/* The caller releases. */
struct checkpoint_set saved_newest(const struct saved *saved);

/* Whether there is such a file in the folder of all sets. */
bool saved_has(const struct saved *saved, const char *name);

#endif
