#include "tests/support/program.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "transport/rings.h"

enum { ARGUMENTS_MAX = 64, TEXT_MAX = 1 << 23, TEXTS = 4, PATH_LENGTH = 256 };

static void path_of(const struct program *program, const char *name, char path[PATH_LENGTH])
{
    snprintf(path, PATH_LENGTH, "%s/%s", program->folder, name);
}

void program_set_up(struct program *program)
{
    const char *build = getenv("TP_BUILD");

    snprintf(program->path, sizeof(program->path), "%s/tpcoord", build ? build : "build");
    snprintf(program->monitor, sizeof(program->monitor), "%s/tpmon", build ? build : "build");
    strcpy(program->folder, "/tmp/tp-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(program->folder));
    snprintf(program->config, sizeof(program->config), "%s/small.ini", program->folder);
    FILE *file = fopen(program->config, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file,
            "[run]\noutput = %s/runs\nepochs = 1\n[model]\narch = mlp\n[data]\nset = synthetic\nlimit = 400\n"
            "[pipeline]\nstages = 3\n[train]\nlr = 0.001\n[device]\nbackend = onednn\n",
            program->folder);
    ck_assert_int_eq(fclose(file), 0);
}

void program_tear_down(const struct program *program)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf %s", program->folder);
    ck_assert_int_eq(system(command), 0);
}

/* Words to arguments, each in its place of `text`. */
static void split(const struct program *program, const char *words, char text[ARGUMENTS_MAX][PATH_LENGTH],
                  char *arguments[ARGUMENTS_MAX])
{
    bool monitor = strncmp(words, "tpmon", 5) == 0;
    int count = 0;

    words += monitor ? strcspn(words, " ") + strspn(words + strcspn(words, " "), " ") : 0;
    arguments[count] = text[count];
    snprintf(text[count++], PATH_LENGTH, "%s", monitor ? program->monitor : program->path);
    while (*words) {
        size_t length = strcspn(words, " ");
        const char *tilde = words + strcspn(words, "~");

        ck_assert_int_lt(count, ARGUMENTS_MAX - 1);
        if (length == 1 && words[0] == '@')
            snprintf(text[count], PATH_LENGTH, "%s", program->config);
        else if ((size_t)(tilde - words) < length)
            snprintf(text[count], PATH_LENGTH, "%.*s%s%.*s", (int)(tilde - words), words, program->folder,
                     (int)(length - 1 - (size_t)(tilde - words)), tilde + 1);
        else
            snprintf(text[count], PATH_LENGTH, "%.*s", (int)length, words);
        arguments[count] = text[count];
        count++;
        words += length + strspn(words + length, " ");
    }
    arguments[count] = NULL;
}

static void redirect(const struct program *program, const char *name, int descriptor)
{
    char path[PATH_LENGTH];

    path_of(program, name, path);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, descriptor);
    close(file);
}

pid_t program_start(const struct program *program, const char *words)
{
    char text[ARGUMENTS_MAX][PATH_LENGTH], *arguments[ARGUMENTS_MAX];

    split(program, words, text, arguments);
    pid_t child = fork();
    if (child == 0) {
        redirect(program, "out", STDOUT_FILENO);
        redirect(program, "err", STDERR_FILENO);
        execv(arguments[0], arguments);
        _exit(127);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* "" if there is none. */
static void find_segment(pid_t coordinator, char name[NAME_MAX + 2])
{
    char prefix[64];
    const struct dirent *entry;
    DIR *directory = opendir("/dev/shm");

    ck_assert_ptr_nonnull(directory);
    snprintf(prefix, sizeof(prefix), "tp-%u-%d-", getuid(), (int)coordinator);
    name[0] = '\0';
    while ((entry = readdir(directory)) != NULL)
        if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
            snprintf(name, NAME_MAX + 2, "/%s", entry->d_name);
    closedir(directory);
}

int program_finish(pid_t child)
{
    char name[NAME_MAX + 2];
    int status;

    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status), "the program was killed by signal %d", WTERMSIG(status));
    find_segment(child, name);
    ck_assert_msg(name[0] == '\0', "%s is left in /dev/shm", name);
    return WEXITSTATUS(status);
}

bool program_has_segment(pid_t coordinator)
{
    char name[NAME_MAX + 2];

    find_segment(coordinator, name);
    return name[0] != '\0';
}

int program_run(const struct program *program, const char *words)
{
    return program_finish(program_start(program, words));
}

const char *program_text(const struct program *program, const char *name)
{
    static char texts[TEXTS][TEXT_MAX];
    static int turn;
    char path[PATH_LENGTH], *text = texts[turn++ % TEXTS];

    path_of(program, name, path);
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    text[fread(text, 1, TEXT_MAX - 1, file)] = '\0';
    fclose(file);
    return text;
}

json_t *program_json(const struct program *program, const char *name)
{
    json_error_t error;
    json_t *value = json_loads(program_text(program, name), 0, &error);

    ck_assert_msg(value != NULL, "%s:%d: %s", name, error.line, error.text);
    return value;
}

bool program_has(const struct program *program, const char *name)
{
    char path[PATH_LENGTH];

    path_of(program, name, path);
    return access(path, F_OK) == 0;
}

void program_write(const struct program *program, const char *name, const void *bytes, size_t size)
{
    char path[PATH_LENGTH];

    path_of(program, name, path);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void assert_same_file(const struct program *program, const char *a, const char *b, const char *file)
{
    const char *const runs[] = {a, b};
    char path[PATH_LENGTH], *bytes[2];
    size_t size[2];
    struct error error;

    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof(path), "%s/runs/%s/checkpoints/%s", program->folder, runs[i], file);
        ck_assert_msg(!file_read(path, &bytes[i], &size[i], &error), "%s", error.text);
    }
    ck_assert_msg(size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0, "%s differs", file);
    free(bytes[0]);
    free(bytes[1]);
}

static json_t *epochs_of(const struct program *program, const char *run, int epochs)
{
    static const char *const other_times[] = {"seconds", "images_per_second", "tokens_per_second"};
    char name[PATH_LENGTH];
    json_t *epoch;
    size_t index;

    snprintf(name, sizeof(name), "runs/%s/report.json", run);
    json_t *report = program_json(program, name), *results = json_incref(json_object_get(report, "epochs"));
    json_decref(report);
    ck_assert_int_eq((int)json_array_size(results), epochs);
    json_array_foreach(results, index, epoch)
    {
        for (size_t t = 0; t < sizeof(other_times) / sizeof(other_times[0]); t++)
            json_object_del(epoch, other_times[t]);
    }
    return results;
}

void program_assert_same(const struct program *program, int stages, int epochs, const char *a, const char *b)
{
    json_t *one = epochs_of(program, a, epochs), *other = epochs_of(program, b, epochs);
    char file[64];

    ck_assert_msg(json_equal(one, other), "results differ");
    json_decref(one);
    json_decref(other);
    for (int s = 1; s <= stages; s++) {
        snprintf(file, sizeof(file), "epoch-%04d/stage-%d.safetensors", epochs, s);
        assert_same_file(program, a, b, file);
    }
}

bool program_segment(pid_t coordinator, const char *name, struct segment *segment)
{
    char shared[NAME_MAX + 2];
    struct error error;

    find_segment(coordinator, shared);
    if (!shared[0] || segment_open(segment, shared, rings_bytes, &error))
        return false;
    const char *folder = segment->header->run_folder;
    if (strlen(folder) >= strlen(name) && strcmp(folder + strlen(folder) - strlen(name), name) == 0)
        return true;
    segment_close(segment);
    return false;
}

pid_t stage_pid(const struct segment *segment, int stage)
{
    return atomic_load(&segment_stage(segment, stage)->pid);
}
