#include "tests/support/saved.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void saved_set_up(struct saved *saved)
{
    struct error error;
    bool taken;

    strcpy(saved->path, "/tmp/tp-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(saved->path));
    ck_assert_msg(!run_folder_make(&saved->folder, saved->path, NULL, &taken, &error), "%s", error.text);
}

void saved_tear_down(struct saved *saved)
{
    char command[128];

    run_folder_close(&saved->folder);
    snprintf(command, sizeof(command), "rm -rf %s", saved->path);
    ck_assert_int_eq(system(command), 0);
}

struct settings saved_settings(const char *system, const char *arch, int stages, int microbatches)
{
    struct settings settings = settings_of(arch, stages, microbatches, 6, 28);

    settings_set(&settings, "pipeline.system", system);
    settings_set(&settings, "pipeline.order", "static");
    settings_set(&settings, "device.backend", "onednn");
    settings_set(&settings, "train.lr", "0.002");
    settings_number(&settings, "run.epochs", SAVED_EPOCHS);
    return settings;
}

void saved_run(const struct saved *saved, struct pipeline *pipeline, struct settings *settings,
               struct checkpoint_set *from, uint64_t stop)
{
    pipeline_create_in(pipeline, settings_list(settings), &saved->folder, from);
    atomic_store(&pipeline->segment.board->stopped_at, stop);
    pipeline_start(pipeline);
    pipeline_wait(pipeline, 0);
    ck_assert_int_eq(pipeline->checkpoints.failed, 0);
}

void saved_run_discarded(const struct saved *saved, struct settings *settings, struct checkpoint_set *from,
                         uint64_t stop)
{
    static struct pipeline pipeline;

    saved_run(saved, &pipeline, settings, from, stop);
    pipeline_destroy(&pipeline);
}

struct checkpoint_set saved_newest(const struct saved *saved)
{
    struct checkpoint_set set;
    struct error error;

    ck_assert_msg(!set_open_newest(&set, &saved->folder, NULL, &error), "%s", error.text);
    return set;
}

bool saved_has(const struct saved *saved, const char *name)
{
    char path[512];

    snprintf(path, sizeof(path), "%s/checkpoints/%s", saved->path, name);
    return access(path, F_OK) == 0;
}
