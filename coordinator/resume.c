#include "coordinator/resume.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "coordinator/checkpoints.h"
#include "plan/learning_rate.h"
#include "plan/plan.h"

/* Other values would make other tensors, or other mini-batches of an epoch. All other keys may change. */
static const char *const must_agree[] = {
    "run.seed", "model.arch", "model.depth", "model.width",     "model.classes",
    "data.set", "data.batch", "data.limit",  "data.last_batch", NULL,
};

/* Where the run lies; that is said anyway. */
static const char *const where_it_lies[] = {"run.name", "run.output", NULL};

static void format_value(const struct config_value *value, char *text, size_t size)
{
    switch (value->type) {
    case CONFIG_INTEGER:
        snprintf(text, size, "%lld", (long long)value->integer);
        break;
    case CONFIG_REAL:
        snprintf(text, size, "%.12g", value->real);
        break;
    case CONFIG_BOOLEAN:
        snprintf(text, size, "%s", value->boolean ? "yes" : "no");
        break;
    case CONFIG_TEXT:
        snprintf(text, size, "%s", value->text[0] ? value->text : "(none)");
        break;
    }
}

/* A key's value in two configs. */
struct difference {
    char key[2 * CONFIG_NAME_MAX + 2], was[CONFIG_LIST_TEXT_MAX], is[CONFIG_LIST_TEXT_MAX];
};

/* Of the key at this index. False if there is no such key; *differs tells whether it has changed. */
static bool compare_key(struct difference *difference, const struct config *made_with, const struct config *config,
                        int index, bool *differs)
{
    struct config_value made, given;

    if (!config_get(made_with, index, &made) || !config_get(config, index, &given))
        return false;
    snprintf(difference->key, sizeof(difference->key), "%s.%s", given.section, given.key);
    format_value(&made, difference->was, sizeof(difference->was));
    format_value(&given, difference->is, sizeof(difference->is));
    *differs = strcmp(difference->was, difference->is) != 0;
    return true;
}

static bool is_among(const char *key, const char *const *keys)
{
    while (*keys && strcmp(*keys, key) != 0)
        keys++;
    return *keys != NULL;
}

static void check_keys(const struct config *made_with, const struct config *config, struct config_mistakes *mistakes)
{
    struct difference key;
    bool differs;

    for (int i = 0; compare_key(&key, made_with, config, i, &differs); i++)
        if (differs && is_among(key.key, must_agree))
            config_mistake(mistakes, key.key, "%s, but the checkpoint was made with %s", key.is, key.was);
}

/* One that the system brings counts as one that was asked for. */
static void check_optimizer(const struct config *made_with, const struct config *config,
                            struct config_mistakes *mistakes)
{
    const struct optimizer *was = config_optimizer(made_with), *is = config_optimizer(config);
    const bool own = optimizer_find(config->train.optimizer) != NULL;

    if (is != was)
        config_mistake(mistakes, "train.optimizer",
                       "%s%s%s, but the checkpoint was made with %s, which keeps other things of the gradients before",
                       is->name, own ? "" : " for pipeline.system = ", own ? "" : config->pipeline.system, was->name);
}

/* A run that goes on has weights of its own; what it began with stays known. */
static void check_init(const struct config *made_with, const struct config *config, struct config_mistakes *mistakes)
{
    const char *was = made_with->model.init, *is = config->model.init;

    if (is[0] && strcmp(is, was) != 0)
        config_mistake(mistakes, "model.init",
                       "%s, but a run that goes on has its checkpoint's weights; it began with %s", is,
                       was[0] ? was : "weights drawn from run.seed");
}

static int check(const struct checkpoint_set *set, const struct plan *plan, struct config_mistakes *mistakes)
{
    const struct manifest *manifest = &set->manifest;
    const struct config *config = &plan->config;
    const struct data_facts *data = &plan->data;
    const struct shape a = manifest->shape, b = data->shape;

    check_keys(&manifest->config, config, mistakes);
    check_optimizer(&manifest->config, config, mistakes);
    check_init(&manifest->config, config, mistakes);
    if (a.height != b.height || a.width != b.width || a.channels != b.channels)
        config_mistake(mistakes, "data.set", "its images are %d x %d x %d, those of the checkpoint %d x %d x %d",
                       b.height, b.width, b.channels, a.height, a.width, a.channels);
    if (manifest->train_count != data->train_count)
        config_mistake(mistakes, "data.set", "it has %d training images, the checkpoint was made with %d",
                       data->train_count, manifest->train_count);
    else if (mistakes->count == 0 && manifest->data_crc32 != data->crc32)
        config_mistake(mistakes, plan_data_key(config),
                       "its images or labels are others than those that the checkpoint was made with");
    if (mistakes->count == 0 && manifest->network_crc32 != plan_network_crc32(plan))
        config_mistake(mistakes, "model.arch", "%s is another network than the one that the checkpoint was made with",
                       config->model.arch);
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

static bool has_checkpoint(const struct run_folder *folder)
{
    struct set_place *sets;
    const int count = sets_list(folder, &sets);
    bool found = false;

    for (int i = 0; i < count && !found; i++)
        found = set_is_complete(folder, sets[i].name);
    free(sets);
    return found;
}

/* Whether the folder is that of a run that has saved anything, was started with the config file (NULL: any), and last of
 * those seen before. */
static bool is_newest(const char *path, const char *config, struct run_facts *newest)
{
    struct run_folder folder;
    struct error ignored;
    bool is;

    if (run_folder_look(&folder, path, &ignored))
        return false;
    is = folder.facts.started_ns > newest->started_ns && (!config || run_facts_match(&folder.facts, config)) &&
         has_checkpoint(&folder);
    if (is)
        *newest = folder.facts;
    run_folder_close(&folder);
    return is;
}

/* The run of that name, or the one of that config file that was started last. */
static int find_run(char folder[CONFIG_PATH_MAX], const struct config *config, struct config_mistakes *mistakes)
{
    const char *name = config->run.name[0] ? config->run.name : NULL;
    struct run_facts newest = {.started_ns = INT64_MIN};
    DIR *directory = opendir(config->run.output);
    const struct dirent *entry;
    char path[CONFIG_PATH_MAX];

    folder[0] = '\0';
    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] != '.' && (!name || strcmp(entry->d_name, name) == 0) &&
            snprintf(path, sizeof(path), "%s/%s", config->run.output, entry->d_name) < (int)sizeof(path) &&
            is_newest(path, name ? NULL : mistakes->path, &newest))
            memcpy(folder, path, sizeof(path));
    if (directory)
        closedir(directory);
    if (folder[0])
        return 0;
    config_mistake(mistakes, "run.output",
                   "no run of this config in %s has a complete checkpoint; give its folder, --resume=DIR",
                   config->run.output);
    return -1;
}

/* RUN/best for RUN/checkpoints/best. False if it is no such name. */
static bool complete_path(const char *where, char path[2 * CONFIG_PATH_MAX])
{
    size_t length = strlen(where), last;

    while (length > 0 && where[length - 1] == '/')
        length--;
    for (last = length; last > 0 && where[last - 1] != '/'; last--)
        ;
    snprintf(path, 2 * CONFIG_PATH_MAX, "%.*s" CHECKPOINTS_FOLDER "/%.*s", last > 0 ? (int)last : 2,
             last > 0 ? where : "./", (int)(length - last), where + last);
    return length > last && is_folder(path);
}

/* The folder of the run, and the set in it; "": the newest. */
static int find_set(const char *where, char folder[CONFIG_PATH_MAX], char name[CHECKPOINT_NAME_MAX],
                    struct error *error)
{
    char checkpoints[CONFIG_PATH_MAX + sizeof(CHECKPOINTS_FOLDER)], path[2 * CONFIG_PATH_MAX];
    struct stat status;

    name[0] = '\0';
    if (snprintf(folder, CONFIG_PATH_MAX, "%s", where) >= CONFIG_PATH_MAX)
        return error_set(error, "%s: the path is longer than %d characters", where, CONFIG_PATH_MAX - 1);
    snprintf(checkpoints, sizeof(checkpoints), "%s/" CHECKPOINTS_FOLDER, where);
    if (is_folder(checkpoints))
        return 0;
    if (complete_path(where, path))
        return set_split_path(path, folder, name, error);
    if (stat(where, &status))
        return error_set(error, "%s: %s", where, strerror(errno));
    return set_split_path(where, folder, name, error);
}

/* Nothing in the folder is read before it is locked, if that is what `open` does. */
static int open_set(struct checkpoint_set *set, struct run_folder *folder, const char *where,
                    int (*open)(struct run_folder *, const char *, struct error *), struct error *error)
{
    char path[CONFIG_PATH_MAX], name[CHECKPOINT_NAME_MAX];
    int failed;

    if (find_set(where, path, name, error) || open(folder, path, error))
        return -1;
    failed = name[0] ? set_open(set, folder, name, error) : set_open_newest(set, folder, NULL, error);
    if (failed)
        run_folder_close(folder);
    return failed;
}

int resume_open(struct checkpoint_set *set, struct run_folder *folder, const char *where, const struct plan *plan,
                struct config_mistakes *mistakes)
{
    char found[CONFIG_PATH_MAX];
    struct error error;

    if (!where[0] && find_run(found, &plan->config, mistakes))
        return -1;
    if (open_set(set, folder, where[0] ? where : found, run_folder_open, &error)) {
        config_mistake(mistakes, "", "--resume: %s", error.text);
        return -1;
    }
    if (check(set, plan, mistakes) == 0)
        return 0;
    set_release(set);
    run_folder_close(folder);
    return -1;
}

int resume_look(struct checkpoint_set *set, struct run_folder *folder, const char *where, struct error *error)
{
    return open_set(set, folder, where, run_folder_look, error);
}

/* What keeps a run from going on as if it had never been interrupted; "" if nothing does, or nobody would expect it. */
static const char *inexactness(const struct manifest *manifest, const struct plan *plan)
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

static void print_changes(FILE *out, const struct config *made_with, const struct config *config)
{
    struct difference key;
    bool differs;

    for (int i = 0; compare_key(&key, made_with, config, i, &differs); i++)
        if (differs && !is_among(key.key, where_it_lies))
            fprintf(out, "  %s = %s, before %s\n", key.key, key.is, key.was);
}

/* The machine that has part k (1..); "" if there is but one. */
static const char *host_of(const struct plan *plan, int k)
{
    return plan->machine_count > 1 ? plan->machines[plan_machine_of_part(plan, k)].host : "";
}

/* Where the stages were, if they are elsewhere now. */
static void print_hosts(FILE *out, const struct manifest *manifest, const struct plan *plan)
{
    bool same = manifest->stage_count == plan->part_count;

    for (int k = 0; k < manifest->stage_count && same; k++)
        same = strcmp(manifest->hosts[k], host_of(plan, k + 1)) == 0;
    if (same || !manifest->hosts[0][0])
        return;
    fprintf(out, "  before, it was on hosts");
    for (int k = 0; k < manifest->stage_count; k++)
        fprintf(out, "%s%s", k > 0 ? ", " : " ", manifest->hosts[k]);
    fprintf(out, ", by %s\n", plan_parts_word(plan));
}

void resume_print(FILE *out, const struct checkpoint_set *set, const struct run_folder *folder, const struct plan *plan,
                  const char *config)
{
    const struct manifest *manifest = &set->manifest;
    const int epochs = plan->config.run.epochs;

    fprintf(out, "resuming %s from %s: ", folder->path, set->name);
    if (!manifest_is_whole(manifest))
        fprintf(out, "epoch %d of %d goes on after mini-batch %d of %d%s", manifest->epoch, epochs, manifest->minibatch,
                manifest->minibatches_per_epoch, inexactness(manifest, plan));
    else
        fprintf(out, "%d of %d epochs are trained%s%s", manifest->epoch, epochs,
                !manifest_is_tested(manifest) ? ", the last is yet to be tested" : "", inexactness(manifest, plan));
    fputc('\n', out);
    if (!run_facts_match(&folder->facts, config))
        fprintf(out, "  config file %s, before %s\n", config, folder->facts.config);
    print_changes(out, &manifest->config, &plan->config);
    print_hosts(out, manifest, plan);
    print_learning_rate(out, manifest, plan);
}
