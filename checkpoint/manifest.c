#include "checkpoint/manifest.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "checkpoint/seal.h"
#include "plan/config_json.h"
#include "plan/config_keys.h"

static const char format_name[] = "tp checkpoint";
/* In version 1 the columns of a linear layer that reads an image were channels-last, and nothing had a checksum; version 2
 * knew one slot, the momentum, and version 3 no network files. */
enum { FORMAT_VERSION = 4 };

static json_t *epochs_json(const struct manifest *manifest)
{
    json_t *array = json_array();

    for (int e = 0; e < manifest->epoch_count; e++) {
        const struct epoch_result *result = &manifest->epochs[e];

        /* clang-format off */
        json_array_append_new(array,
            json_pack("{s:o, s:o, s:o, s:o, s:i, s:i, s:I, s:I}",
                      "train_loss", real_json(result->train_loss), "test_loss", real_json(result->test_loss),
                      "test_top1", real_json(result->test_top1), "test_top5", real_json(result->test_top5),
                      "trained_samples", result->trained_samples, "tested_samples", result->tested_samples,
                      "training_ns", (json_int_t)(result->trained_ns - result->start_ns),
                      "ns", (json_int_t)(result->end_ns - result->start_ns)));
        /* clang-format on */
    }
    return array;
}

static json_t *files_json(const struct manifest *manifest)
{
    json_t *array = json_array();

    for (int i = 0; i < manifest->file_count; i++) {
        const struct manifest_file *file = &manifest->files[i];

        json_array_append_new(array, json_pack("{s:s, s:I, s:I}", "name", file->name, "bytes", (json_int_t)file->bytes,
                                               "crc32", (json_int_t)file->crc32));
    }
    return array;
}

static json_t *integers_json(const int *numbers, int count)
{
    json_t *array = json_array();

    for (int i = 0; i < count; i++)
        json_array_append_new(array, json_integer(numbers[i]));
    return array;
}

static json_t *floats_json(const float *numbers, int count)
{
    json_t *array = json_array();

    for (int i = 0; i < count; i++)
        json_array_append_new(array, real_json((double)numbers[i]));
    return array;
}

/* One for each stage, or none. */
static json_t *names_json(const struct manifest *manifest, const char (*names)[CONFIG_NAME_MAX])
{
    json_t *array = json_array();

    for (int s = 0; s < manifest->stage_count && names[s][0]; s++)
        json_array_append_new(array, json_string(names[s]));
    return array;
}

static json_t *slots_json(const struct manifest *manifest)
{
    json_t *array = json_array();

    for (int k = 0; k < manifest->slot_count; k++)
        json_array_append_new(array, json_string(manifest->slots[k]));
    return array;
}

static json_t *manifest_json(const struct manifest *manifest)
{
    const struct epoch_sums *sums = &manifest->sums;
    const int shape[] = {manifest->shape.height, manifest->shape.width, manifest->shape.channels};

    /* clang-format off */
    return json_pack("{s:s, s:i, s:s, s:{s:i, s:i, s:i, s:i, s:i}, s:{s:o, s:i, s:i, s:i, s:I}, s:o, s:o, s:o, s:o, s:i, "
                     "s:I, s:I, s:I, s:b, s:o, s:o, s:o}",
                     "format", format_name,
                     "version", FORMAT_VERSION,
                     "run", manifest->run,
                     "progress",
                     "epoch", manifest->epoch,
                     "minibatch", manifest->minibatch,
                     "minibatches_per_epoch", manifest->minibatches_per_epoch,
                     "filled_after", manifest->filled_after,
                     "updates", manifest->updates,
                     "epoch_sums",
                     "loss", real_json(sums->loss),
                     "samples", sums->samples,
                     "top1", sums->top1,
                     "top5", sums->top5,
                     "training_ns", (json_int_t)sums->training_ns,
                     "partition", integers_json(manifest->partition, manifest->stage_count),
                     "backends", names_json(manifest, manifest->backends),
                     "slots", slots_json(manifest),
                     "image", integers_json(shape, 3),
                     "train_images", manifest->train_count,
                     "data_crc32", (json_int_t)manifest->data_crc32,
                     "schedule_crc32", (json_int_t)manifest->schedule_crc32,
                     "network_crc32", (json_int_t)manifest->network_crc32,
                     "test_failed", (int)manifest->test_failed,
                     "epochs", epochs_json(manifest),
                     "config", config_json(&manifest->config),
                     "files", files_json(manifest));
    /* clang-format on */
}

char *manifest_text(const struct manifest *manifest, size_t *size)
{
    const struct normalisation *normalisation = &manifest->normalisation;
    json_t *json = manifest_json(manifest);

    if (normalisation->deviation[0] > 0.0f)
        json_object_set_new(json, "normalisation",
                            json_pack("{s:o, s:o}", "mean", floats_json(normalisation->mean, DATA_CHANNELS_MAX),
                                      "deviation", floats_json(normalisation->deviation, DATA_CHANNELS_MAX)));
    if (manifest->hosts[0][0])
        json_object_set_new(json, "hosts", names_json(manifest, manifest->hosts));
    char *text = seal_json(json, size);
    json_decref(json);
    return text;
}

bool manifest_is_whole(const struct manifest *manifest)
{
    return manifest->minibatch == manifest->minibatches_per_epoch;
}

bool manifest_is_tested(const struct manifest *manifest)
{
    return manifest->epoch_count == manifest->epoch;
}

bool manifest_has_slot(const struct manifest *manifest, const char *name)
{
    for (int k = 0; k < manifest->slot_count; k++)
        if (strcmp(manifest->slots[k], name) == 0)
            return true;
    return false;
}

/* From 0 on. Null stands for what JSON does not know. */
static bool read_loss(double *out, const json_t *value)
{
    *out = json_is_null(value) ? (double)NAN : json_number_value(value);
    return json_is_null(value) || (json_is_number(value) && *out >= 0.0);
}

static bool read_share(double *out, const json_t *value)
{
    *out = json_number_value(value);
    return json_is_number(value) && *out >= 0.0 && *out <= 1.0;
}

static bool within(json_int_t value, json_int_t low, json_int_t high)
{
    return value >= low && value <= high;
}

/* False if there is no such integer, or it is out of bounds. */
static bool read_int(int *out, const json_t *object, const char *key, int low, int high)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_integer(value) || !within(json_integer_value(value), low, high))
        return false;
    *out = (int)json_integer_value(value);
    return true;
}

static bool read_ns(uint64_t *out, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    *out = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0 && *out <= CLOCK_NS_MAX;
}

static int read_progress(struct manifest *manifest, const json_t *progress, struct error *error)
{
    if (!read_int(&manifest->epoch, progress, "epoch", 1, EPOCHS_MAX) ||
        !read_int(&manifest->minibatches_per_epoch, progress, "minibatches_per_epoch", 1, manifest->train_count) ||
        !read_int(&manifest->minibatch, progress, "minibatch", 1, manifest->minibatches_per_epoch) ||
        !read_int(&manifest->filled_after, progress, "filled_after", 0, manifest->minibatch) ||
        !read_int(&manifest->updates, progress, "updates", 1, INT32_MAX) ||
        manifest->updates != (int64_t)(manifest->epoch - 1) * manifest->minibatches_per_epoch + manifest->minibatch)
        return error_set(error, "what it says of training's progress makes no sense");
    return 0;
}

static int read_sums(struct manifest *manifest, const json_t *object, struct error *error)
{
    struct epoch_sums *sums = &manifest->sums;
    const int targets = data_source_has_tokens(manifest->config.data.set) ? manifest->shape.height : 1;
    int64_t answers;

    if (!read_int(&sums->samples, object, "samples", 1, manifest->train_count))
        return error_set(error, "what it says of its epoch makes no sense");
    answers = (int64_t)sums->samples * targets;
    if (!read_int(&sums->top5, object, "top5", 0, answers > INT32_MAX ? INT32_MAX : (int)answers) ||
        !read_int(&sums->top1, object, "top1", 0, sums->top5) || !read_ns(&sums->training_ns, object, "training_ns") ||
        !read_loss(&sums->loss, json_object_get(object, "loss")))
        return error_set(error, "what it says of its epoch makes no sense");
    return 0;
}

static bool read_crc32(uint32_t *out, const json_t *value)
{
    *out = (uint32_t)json_integer_value(value);
    return json_is_integer(value) && within(json_integer_value(value), 0, UINT32_MAX);
}

/* An array of integers from 1 on; its length, or -1. */
static int read_integers(int *numbers, int count_max, const json_t *array)
{
    if (!json_is_array(array) || json_array_size(array) > (size_t)count_max)
        return -1;
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_int_t number = json_integer_value(json_array_get(array, i));

        if (!within(number, 1, INT32_MAX))
            return -1;
        numbers[i] = (int)number;
    }
    return (int)json_array_size(array);
}

/* One for each stage, or none. */
static bool read_backends(struct manifest *manifest, const json_t *array)
{
    const struct config_key *key = config_key_find("device.backend");
    struct config scratch;
    struct error error;

    if (array && json_array_size(array) != 0 && json_array_size(array) != (size_t)manifest->stage_count)
        return false;
    for (size_t s = 0; s < json_array_size(array); s++) {
        const char *name = json_string_value(json_array_get(array, s));

        if (!name || config_key_set(key, &scratch, name, &error))
            return false;
        memcpy(manifest->backends[s], scratch.device.backend, sizeof(manifest->backends[s]));
    }
    return true;
}

/* Likewise. They are only shown. */
static bool read_hosts(struct manifest *manifest, const json_t *array)
{
    if (array && json_array_size(array) != (size_t)manifest->stage_count)
        return false;
    for (size_t s = 0; s < json_array_size(array); s++) {
        const char *name = json_string_value(json_array_get(array, s));

        if (!name || !name[0] || strlen(name) >= sizeof(manifest->hosts[s]))
            return false;
        for (const char *c = name; *c; c++)
            if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
                return false;
        strcpy(manifest->hosts[s], name);
    }
    return true;
}

/* Names of slots, none of them twice. */
static bool read_slots(struct manifest *manifest, const json_t *array)
{
    if (!json_is_array(array) || json_array_size(array) > PLAN_SLOTS_MAX)
        return false;
    for (size_t k = 0; k < json_array_size(array); k++) {
        const char *name = json_string_value(json_array_get(array, k));

        if (!name || strlen(name) >= sizeof(manifest->slots[k]) || manifest_has_slot(manifest, name))
            return false;
        strcpy(manifest->slots[manifest->slot_count++], name);
    }
    return true;
}

/* DATA_CHANNELS_MAX floats from `low` to 1e6. */
static bool read_floats(float *out, const json_t *array, double low)
{
    bool good = json_array_size(array) == DATA_CHANNELS_MAX;

    for (int i = 0; i < DATA_CHANNELS_MAX && good; i++) {
        const double value = json_number_value(json_array_get(array, (size_t)i));

        good = json_is_number(json_array_get(array, (size_t)i)) && value >= low && value <= 1e6;
        out[i] = (float)value;
    }
    return good;
}

/* Older manifests have none. */
static bool read_normalisation(struct normalisation *normalisation, const json_t *object)
{
    return !object || (read_floats(normalisation->mean, json_object_get(object, "mean"), -1e6) &&
                       read_floats(normalisation->deviation, json_object_get(object, "deviation"), 1e-9));
}

static int read_facts(struct manifest *manifest, const json_t *root, struct error *error)
{
    int shape[3];

    manifest->stage_count = read_integers(manifest->partition, MAX_STAGES, json_object_get(root, "partition"));
    if (manifest->stage_count < 1)
        return error_set(error, "its partition makes no sense");
    if (!read_backends(manifest, json_object_get(root, "backends")))
        return error_set(error, "its backends make no sense");
    if (!read_hosts(manifest, json_object_get(root, "hosts")))
        return error_set(error, "its hosts make no sense");
    if (!read_slots(manifest, json_object_get(root, "slots")))
        return error_set(error, "what it says of the optimizer's slots makes no sense");
    if (read_integers(shape, 3, json_object_get(root, "image")) != 3 ||
        !read_int(&manifest->train_count, root, "train_images", 1, INT32_MAX) ||
        !read_normalisation(&manifest->normalisation, json_object_get(root, "normalisation")) ||
        !read_crc32(&manifest->data_crc32, json_object_get(root, "data_crc32")))
        return error_set(error, "its data makes no sense");
    if (!read_crc32(&manifest->schedule_crc32, json_object_get(root, "schedule_crc32")))
        return error_set(error, "its schedule makes no sense");
    if (!read_crc32(&manifest->network_crc32, json_object_get(root, "network_crc32")))
        return error_set(error, "its network makes no sense");
    manifest->shape = (struct shape){shape[0], shape[1], shape[2]};
    return 0;
}

/* Whose it is, and whether its test failed. */
static int read_run(struct manifest *manifest, const json_t *root, struct error *error)
{
    const char *run = json_string_value(json_object_get(root, "run"));
    const json_t *failed = json_object_get(root, "test_failed");

    if (!run || !run_id_is_valid(run))
        return error_set(error, "it does not say which run it is of");
    if (!json_is_boolean(failed) ||
        (json_is_true(failed) && (!manifest_is_whole(manifest) || manifest_is_tested(manifest))))
        return error_set(error, "what it says of its test makes no sense");
    strcpy(manifest->run, run);
    manifest->test_failed = json_is_true(failed);
    return 0;
}

static bool read_epoch(struct epoch_result *result, const json_t *object, int train_count)
{
    return read_loss(&result->train_loss, json_object_get(object, "train_loss")) &&
           read_loss(&result->test_loss, json_object_get(object, "test_loss")) &&
           read_share(&result->test_top5, json_object_get(object, "test_top5")) &&
           read_share(&result->test_top1, json_object_get(object, "test_top1")) &&
           result->test_top1 <= result->test_top5 &&
           read_int(&result->trained_samples, object, "trained_samples", 1, train_count) &&
           read_int(&result->tested_samples, object, "tested_samples", 1, INT32_MAX) &&
           read_ns(&result->trained_ns, object, "training_ns") && read_ns(&result->end_ns, object, "ns") &&
           result->trained_ns <= result->end_ns;
}

static int read_epochs(struct manifest *manifest, const json_t *array, struct error *error)
{
    const bool whole = manifest_is_whole(manifest);
    const size_t count = json_array_size(array);

    if (!json_is_array(array) || (count != (size_t)manifest->epoch - 1 && !(whole && count == (size_t)manifest->epoch)))
        return error_set(error, "its results are not of the epochs before it");
    manifest->epochs = calloc(count + 1, sizeof(*manifest->epochs));
    if (!manifest->epochs)
        return error_set(error, "out of memory");
    for (size_t e = 0; e < count; e++)
        if (!read_epoch(&manifest->epochs[manifest->epoch_count++], json_array_get(array, e), manifest->train_count))
            return error_set(error, "its results of epoch %zu make no sense", e + 1);
    return 0;
}

static int read_file(struct manifest *manifest, bool seen[MAX_STAGES][MAX_STAGES], json_t *object)
{
    struct manifest_file *file = &manifest->files[manifest->file_count++];
    const char *name;
    json_int_t bytes;
    json_t *crc;
    int stage, version, age;

    if (json_unpack(object, "{s:s, s:I, s:o}", "name", &name, "bytes", &bytes, "crc32", &crc) || bytes < 0 ||
        !read_crc32(&file->crc32, crc) || !checkpoint_parse_file_name(name, &stage, &version) ||
        stage > manifest->stage_count)
        return -1;
    /* Others than the stage's main file hold older versions, W - 1 at most. */
    age = version < 0 ? 0 : manifest->updates - version;
    if (!within(age, version < 0 ? 0 : 1, MAX_STAGES - 1) || seen[stage - 1][age])
        return -1;
    seen[stage - 1][age] = true;
    snprintf(file->name, sizeof(file->name), "%s", name);
    file->bytes = (uint64_t)bytes;
    return 0;
}

static int read_files(struct manifest *manifest, const json_t *array, struct error *error)
{
    bool seen[MAX_STAGES][MAX_STAGES] = {{false}};
    const size_t count = json_array_size(array);

    manifest->files = calloc(count + 1, sizeof(*manifest->files));
    if (!manifest->files)
        return error_set(error, "out of memory");
    for (size_t i = 0; i < count; i++)
        if (read_file(manifest, seen, json_array_get(array, i)))
            return error_set(error, "the %zu. of its files makes no sense", i + 1);
    for (int s = 1; s <= manifest->stage_count; s++)
        if (!seen[s - 1][0])
            return error_set(error, "it lacks stage %d's file", s);
    return 0;
}

/* Before its checksum: other versions may have had none. */
static int check_format(const json_t *root, struct error *error)
{
    const char *format = json_string_value(json_object_get(root, "format"));

    if (!format || strcmp(format, format_name) != 0)
        return error_set(error, "it is no manifest of a checkpoint");
    if (json_integer_value(json_object_get(root, "version")) != FORMAT_VERSION)
        return error_set(error, "it was written by another version of tp, whose checkpoints this one does not read");
    return 0;
}

static int read_root(struct manifest *manifest, const json_t *root, struct error *error)
{
    if (config_read_json(&manifest->config, json_object_get(root, "config"), error) ||
        read_facts(manifest, root, error) || read_progress(manifest, json_object_get(root, "progress"), error) ||
        read_sums(manifest, json_object_get(root, "epoch_sums"), error) ||
        read_epochs(manifest, json_object_get(root, "epochs"), error) || read_run(manifest, root, error))
        return -1;
    return read_files(manifest, json_object_get(root, "files"), error);
}

int manifest_read(struct manifest *manifest, const char *text, size_t size, struct error *error)
{
    json_error_t reason;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
    int failed;

    *manifest = (struct manifest){.stage_count = 0};
    if (!root)
        return error_set(error, "line %d: %s", reason.line, reason.text);
    failed = check_format(root, error) || seal_check(text, size, error) || read_root(manifest, root, error);
    json_decref(root);
    if (failed)
        manifest_release(manifest);
    return failed ? -1 : 0;
}

void manifest_release(struct manifest *manifest)
{
    free(manifest->epochs);
    free(manifest->files);
    *manifest = (struct manifest){.stage_count = 0};
}
