#include "checkpoint/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/seal.h"

static const char facts_name[] = "run.json", format_name[] = "tp run";
enum { FORMAT_VERSION = 1 };

static json_t *facts_json(const struct run_facts *facts)
{
    return json_pack("{s:s, s:i, s:s, s:o, s:I, s:I, s:i}", "format", format_name, "version", FORMAT_VERSION, "run",
                     facts->run, "config", text_json(facts->config), "config_crc32", (json_int_t)facts->config_crc32,
                     "started_ns", (json_int_t)facts->started_ns, "coordinator", facts->coordinator);
}

bool run_id_is_valid(const char *run)
{
    return strlen(run) == RUN_ID_DIGITS && strspn(run, "0123456789abcdef") == RUN_ID_DIGITS;
}

static int check_format(const json_t *root, struct error *error)
{
    const char *format = json_string_value(json_object_get(root, "format"));

    if (!format || strcmp(format, format_name) != 0)
        return error_set(error, "it is not what tp writes there");
    if (json_integer_value(json_object_get(root, "version")) != FORMAT_VERSION)
        return error_set(error, "it was written by another version of tp");
    return 0;
}

static int read_root(struct run_facts *facts, const json_t *root, struct error *error)
{
    const char *run = json_string_value(json_object_get(root, "run"));
    const char *config = json_string_value(json_object_get(root, "config"));
    const json_int_t crc = json_integer_value(json_object_get(root, "config_crc32"));
    const json_int_t process = json_integer_value(json_object_get(root, "coordinator"));

    if (!run || !run_id_is_valid(run) || crc < 0 || crc > UINT32_MAX || process < 1 || process > INT_MAX ||
        (config && strlen(config) >= sizeof(facts->config)))
        return error_set(error, "what it says makes no sense");
    *facts = (struct run_facts){.config_crc32 = (uint32_t)crc,
                                .started_ns = json_integer_value(json_object_get(root, "started_ns")),
                                .coordinator = (int)process};
    strcpy(facts->run, run);
    strcpy(facts->config, config ? config : "");
    return 0;
}

int run_facts_read(struct run_facts *facts, const char *text, size_t size, struct error *error)
{
    json_error_t reason;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
    int failed;

    if (!root)
        return error_set(error, "line %d: %s", reason.line, reason.text);
    failed = check_format(root, error) || seal_check(text, size, error) || read_root(facts, root, error);
    json_decref(root);
    return failed ? -1 : 0;
}

static int read_facts(struct run_facts *facts, int descriptor, const char *path, struct error *error)
{
    char *text;
    size_t size;
    int failed;

    if (faccessat(descriptor, facts_name, F_OK, AT_SYMLINK_NOFOLLOW) && errno == ENOENT)
        return error_set(error, "%s is no folder of a run: it has no %s", path, facts_name);
    if (file_read_in(descriptor, path, facts_name, &text, &size, error))
        return -1;
    failed = run_facts_read(facts, text, size, error);
    free(text);
    return failed ? error_prefix(error, "%s/%s", path, facts_name) : 0;
}

static int write_facts(const struct run_folder *folder, struct error *error)
{
    json_t *json = facts_json(&folder->facts);
    struct new_file file;
    size_t size;
    char *text = seal_json(json, &size);
    int failed;

    errno = ENOMEM;
    failed = !text || new_file_open(&file, folder->descriptor, facts_name);
    if (!failed) {
        fwrite(text, 1, size, file.stream);
        failed = new_file_finish(&file);
    }
    if (failed)
        error_set(error, "%s/%s cannot be written: %s", folder->path, facts_name, strerror(errno));
    free(text);
    json_decref(json);
    return failed ? -1 : 0;
}

static int draw_run(char run[RUN_ID_MAX], struct error *error)
{
    unsigned char bytes[RUN_ID_DIGITS / 2];

    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return error_set(error, "the system has no random numbers for the run's identity: %s", strerror(errno));
    for (size_t i = 0; i < sizeof(bytes); i++)
        snprintf(run + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static uint32_t text_crc32(const char *config)
{
    struct error ignored;
    uint32_t crc = 0;
    char *text;
    size_t size;

    if (file_read(config, &text, &size, &ignored) == 0)
        crc = (uint32_t)crc32_z(0, (const unsigned char *)text, size);
    free(text);
    return crc;
}

static void set_config(struct run_facts *facts, const char *config)
{
    struct timespec now;
    char real[PATH_MAX];

    clock_gettime(CLOCK_REALTIME, &now);
    facts->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    facts->config[0] = '\0';
    facts->config_crc32 = 0;
    if (!config)
        return;
    if (realpath(config, real) && strlen(real) < sizeof(facts->config))
        strcpy(facts->config, real);
    facts->config_crc32 = text_crc32(config);
}

bool run_facts_match(const struct run_facts *facts, const char *config)
{
    struct run_facts own;

    set_config(&own, config);
    if (own.config[0] && strcmp(own.config, facts->config) == 0)
        return true;
    return own.config_crc32 != 0 && own.config_crc32 == facts->config_crc32 && access(facts->config, F_OK) != 0;
}

/* A link to a folder is followed if this user made it. */
/* Stages inherit the descriptor. */
static int open_folder(struct run_folder *folder, const char *path, struct error *error)
{
    struct stat link;

    *folder = (struct run_folder){.descriptor = -1};
    if (snprintf(folder->path, sizeof(folder->path), "%s", path) >= (int)sizeof(folder->path))
        return error_set(error, "%s: the path is longer than %zu characters", path, sizeof(folder->path) - 1);
    if (lstat(path, &link) == 0 && S_ISLNK(link.st_mode) && link.st_uid != geteuid())
        return error_set(error, "%s is a link of another user's", path);
    folder->descriptor = open(path, O_RDONLY | O_DIRECTORY);
    if (folder->descriptor < 0)
        return error_set(error, "%s cannot be opened: %s", path, strerror(errno));
    if (file_is_own(folder->descriptor))
        return 0;
    run_folder_close(folder);
    return error_set(error, "%s belongs to another user; copy it to a folder of your own", path);
}

/* With the descriptor goes the lock. */
static int open_locked(struct run_folder *folder, const char *path, struct error *error)
{
    struct run_facts holder;
    struct error ignored;

    if (open_folder(folder, path, error))
        return -1;
    /* Where folders cannot be locked, none is. */
    if (flock(folder->descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return 0;
    error_set(error, "%s is in use by a run that has not ended yet", path);
    if (read_facts(&holder, folder->descriptor, path, &ignored) == 0)
        snprintf(error->text + strlen(error->text), sizeof(error->text) - strlen(error->text), " (process %d)",
                 holder.coordinator);
    run_folder_close(folder);
    return -1;
}

/* Whether a run has come so far as to write anything beside run.json: 0, 1, or -1 and errno. */
static int is_written(const struct run_folder *folder)
{
    const int descriptor = openat(folder->descriptor, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = descriptor < 0 ? NULL : fdopendir(descriptor);
    const struct dirent *entry;
    int written = 0;

    if (!directory)
        return -1;
    while (!written && (entry = readdir(directory)))
        written = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                  strncmp(entry->d_name, facts_name, sizeof(facts_name) - 1) != 0;
    closedir(directory);
    return written;
}

static bool has(const struct run_folder *folder, const char *name)
{
    return faccessat(folder->descriptor, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What to do about a folder in which something lies. */
static int check_unwritten(const struct run_folder *folder, struct error *error)
{
    const int written = is_written(folder);

    if (written < 0)
        return error_set(error, "%s cannot be read: %s", folder->path, strerror(errno));
    if (!written)
        return 0;
    if (has(folder, "report.json"))
        return error_set(error, "%s holds the report of an earlier run; remove it or choose another name",
                         folder->path);
    if (has(folder, "comparison.json"))
        return error_set(error, "%s holds an earlier comparison; remove it or choose another name", folder->path);
    if (has(folder, "checkpoints"))
        return error_set(error,
                         "%s is of a run that ended without a report; go on with it, --resume=%s, remove it or choose "
                         "another name",
                         folder->path, folder->path);
    return error_set(error, "%s is not empty; remove it or choose another name", folder->path);
}

int run_folder_make(struct run_folder *folder, const char *path, const char *config, bool *taken, struct error *error)
{
    const bool made = mkdir(path, 0777) == 0;

    *folder = (struct run_folder){.descriptor = -1};
    *taken = !made && errno == EEXIST;
    if (!made && !*taken)
        return error_set(error, "%s cannot be made: %s", path, strerror(errno));
    if (open_locked(folder, path, error))
        return -1;
    folder->made = made;
    folder->facts.coordinator = getpid();
    set_config(&folder->facts, config);
    if (check_unwritten(folder, error) || draw_run(folder->facts.run, error) || write_facts(folder, error)) {
        run_folder_close(folder);
        return -1;
    }
    return 0;
}

int run_folder_open(struct run_folder *folder, const char *path, struct error *error)
{
    if (open_locked(folder, path, error))
        return -1;
    if (read_facts(&folder->facts, folder->descriptor, path, error) == 0) {
        folder->facts.coordinator = getpid();
        if (write_facts(folder, error) == 0)
            return 0;
    }
    run_folder_close(folder);
    return -1;
}

int run_folder_start(struct run_folder *folder, const char *config, struct error *error)
{
    set_config(&folder->facts, config);
    return write_facts(folder, error);
}

int run_folder_write(const struct run_folder *folder, const char *name, const json_t *json, struct error *error)
{
    char path[2 * CONFIG_PATH_MAX];
    struct new_file file;

    snprintf(path, sizeof(path), "%s/%s", folder->path, name);
    if (new_file_open(&file, folder->descriptor, name))
        return error_set(error, "%s cannot be written: %s", path, strerror(errno));
    if (json_print(file.stream, path, json, error)) {
        new_file_discard(&file);
        return -1;
    }
    return new_file_finish(&file) ? error_set(error, "%s cannot be written: %s", path, strerror(errno)) : 0;
}

int run_folder_look(struct run_folder *folder, const char *path, struct error *error)
{
    if (open_folder(folder, path, error))
        return -1;
    if (read_facts(&folder->facts, folder->descriptor, path, error) == 0)
        return 0;
    run_folder_close(folder);
    return -1;
}

void run_folder_close(struct run_folder *folder)
{
    struct stat here, there;

    if (folder->descriptor < 0)
        return;
    if (folder->made && !is_written(folder) && fstat(folder->descriptor, &here) == 0 &&
        lstat(folder->path, &there) == 0 && here.st_ino == there.st_ino && here.st_dev == there.st_dev) {
        unlinkat(folder->descriptor, facts_name, 0);
        rmdir(folder->path);
    }
    close(folder->descriptor);
    folder->descriptor = -1;
}
