#include "coordinator/resume.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "coordinator/checkpoints.h"
#include "plan/learning_rate.h"

/* Other values would make other tensors, or other mini-batches of an epoch. All other keys may change. */
static const char *const must_agree[] = {
    "run.seed", "model.arch", "model.classes", "data.set", "data.batch", "data.limit", "data.last_batch",
};

static void format_value(const struct config_value *value, char *text, size_t size)
{
    if (value->type == CONFIG_INTEGER)
        snprintf(text, size, "%lld", (long long)value->integer);
    else
        snprintf(text, size, "%s", value->text);
}

static void check_key(const char *name, const struct config *made_with, const struct config *config,
                      struct config_mistakes *mistakes)
{
    struct config_value made, given;
    char key[2 * CONFIG_NAME_MAX + 2], was[CONFIG_PATH_MAX], is[CONFIG_PATH_MAX];

    for (int i = 0; config_get(config, i, &given); i++) {
        snprintf(key, sizeof(key), "%s.%s", given.section, given.key);
        if (strcmp(key, name) != 0)
            continue;
        config_get(made_with, i, &made);
        format_value(&made, was, sizeof(was));
        format_value(&given, is, sizeof(is));
        if (strcmp(was, is) != 0)
            config_mistake(mistakes, name, "%s, but the checkpoint was made with %s", is, was);
    }
}

static int check(const struct checkpoint_set *set, const struct config *config, const struct data_facts *data,
                 struct config_mistakes *mistakes)
{
    const struct manifest *manifest = &set->manifest;
    const struct shape a = manifest->shape, b = data->shape;

    for (size_t i = 0; i < sizeof(must_agree) / sizeof(must_agree[0]); i++)
        check_key(must_agree[i], &manifest->config, config, mistakes);
    if (a.height != b.height || a.width != b.width || a.channels != b.channels)
        config_mistake(mistakes, "data.set", "its images are %d x %d x %d, those of the checkpoint %d x %d x %d",
                       b.height, b.width, b.channels, a.height, a.width, a.channels);
    if (manifest->train_count != data->train_count)
        config_mistake(mistakes, "data.set", "it has %d training images, the checkpoint was made with %d",
                       data->train_count, manifest->train_count);
    if (manifest->epoch_count > config->run.epochs || manifest->epoch > config->run.epochs)
        config_mistake(mistakes, "run.epochs", "%d, but the checkpoint is of epoch %d", config->run.epochs,
                       manifest->epoch);
    return mistakes->count > 0 ? -1 : 0;
}

static bool is_folder(const char *path)
{
    struct stat status;

    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static bool has_checkpoint(const char *run_folder)
{
    struct set_place *places;
    const int count = sets_list(run_folder, &places);
    bool found = false;

    for (int i = 0; i < count && !found; i++)
        found = set_is_complete(run_folder, places[i].name);
    free(places);
    return found;
}

/* Names that run_folder_create gives: "resnet-20250131-235959", perhaps with "-2" behind it. */
static bool is_run_of(const char *name, const char *config_path)
{
    const char *slash = strrchr(config_path, '/'), *file = slash ? slash + 1 : config_path;
    const size_t stem = strcspn(file, ".") > 32 ? 32 : strcspn(file, ".");
    int date, time;

    return strncmp(name, file, stem) == 0 && sscanf(name + stem, "-%8d-%6d", &date, &time) == 2;
}

/* The newest by name, which holds the time. */
static int find_run(char folder[CONFIG_PATH_MAX], const struct config *config, struct config_mistakes *mistakes)
{
    char path[CONFIG_PATH_MAX + 256], newest[256] = "";
    const struct dirent *entry;
    DIR *directory = opendir(config->run.output);

    while (directory && (entry = readdir(directory))) {
        snprintf(path, sizeof(path), "%s/%s", config->run.output, entry->d_name);
        if ((config->run.name[0] ? strcmp(entry->d_name, config->run.name) == 0
                                 : is_run_of(entry->d_name, mistakes->path)) &&
            strverscmp(entry->d_name, newest) > 0 && has_checkpoint(path))
            snprintf(newest, sizeof(newest), "%s", entry->d_name);
    }
    if (directory)
        closedir(directory);
    if (newest[0] && snprintf(folder, CONFIG_PATH_MAX, "%s/%s", config->run.output, newest) < CONFIG_PATH_MAX)
        return 0;
    config_mistake(mistakes, "run.output",
                   "no run of this config in %s has a complete checkpoint; give its folder, "
                   "--resume=DIR",
                   config->run.output);
    return -1;
}

static int open_set(struct checkpoint_set *set, const char *where, struct config_mistakes *mistakes)
{
    char checkpoints[CHECKPOINT_PATH_MAX];
    struct error error;

    snprintf(checkpoints, sizeof(checkpoints), "%s/" CHECKPOINTS_FOLDER, where);
    if (!(is_folder(checkpoints) ? set_open_newest(set, where, &error) : set_open(set, where, &error)))
        return 0;
    config_mistake(mistakes, "", "--resume: %s", error.text);
    return -1;
}

int resume_open(struct checkpoint_set *set, const char *where, const struct config *config,
                const struct data_facts *data, struct config_mistakes *mistakes)
{
    char folder[CONFIG_PATH_MAX];

    if (!where[0] && find_run(folder, config, mistakes))
        return -1;
    if (open_set(set, where[0] ? where : folder, mistakes))
        return -1;
    if (check(set, config, data, mistakes)) {
        set_release(set);
        return -1;
    }
    return 0;
}

/* What keeps a run from going on as if it had never been interrupted; "" if nothing does, or nobody would expect it. */
static const char *difference(const struct manifest *manifest, const struct plan *plan)
{
    if (!checkpoints_exact(manifest, plan))
        return "; not bit for bit, as the pipeline is filled anew";
    if (plan->config.pipeline.order == RUN_STATIC && !checkpoints_same_backends(manifest, plan))
        return "; not bit for bit, as another backend computes it";
    return "";
}

/* Training that goes on with another learning rate than it would have had: a schedule that ends with run.epochs begins
 * again higher up when epochs are added. */
static void print_learning_rate(FILE *out, const struct manifest *manifest, const struct plan *plan)
{
    char was[LEARNING_RATE_TEXT_MAX], is[LEARNING_RATE_TEXT_MAX];

    learning_rate_describe(&manifest->config, was);
    learning_rate_describe(&plan->config, is);
    if (strcmp(was, is) == 0 || manifest->updates >= plan->config.run.epochs * plan->minibatches_per_epoch)
        return;
    fprintf(out,
            "learning rate: %s\n"
            "  the checkpoint's was %s\n"
            "  the next update has %.6g, where that schedule had come to %.6g\n",
            is, was, learning_rate(&plan->config, plan->minibatches_per_epoch, manifest->updates),
            learning_rate(&manifest->config, manifest->minibatches_per_epoch, manifest->updates));
}

void resume_print(FILE *out, const struct checkpoint_set *set, const struct plan *plan)
{
    const struct manifest *manifest = &set->manifest;
    const int epochs = plan->config.run.epochs;

    fprintf(out, "resuming %s from %s: ", set->run_folder, set->name);
    if (manifest->minibatch < manifest->minibatches_per_epoch)
        fprintf(out, "epoch %d of %d goes on after mini-batch %d of %d%s", manifest->epoch, epochs, manifest->minibatch,
                manifest->minibatches_per_epoch, difference(manifest, plan));
    else
        fprintf(out, "%d of %d epochs are trained%s%s", manifest->epoch, epochs,
                manifest->epoch_count < manifest->epoch ? ", the last is yet to be tested" : "",
                difference(manifest, plan));
    fputc('\n', out);
    print_learning_rate(out, manifest, plan);
}
