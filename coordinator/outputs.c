#include "coordinator/outputs.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"

enum exit_status command_fail(enum exit_status status, const struct error *error)
{
    fprintf(stderr, "tpcoord: %s\n", error->text);
    return status;
}

int output_open(FILE **out, const char *option, const char *path)
{
    struct error error;

    *out = NULL;
    if (!path)
        return 0;
    *out = strcmp(path, "-") == 0 ? stdout : file_open_output(path, &error);
    if (*out)
        return 0;
    fprintf(stderr, "tpcoord: %s: %s %s\n", option, path, error.text);
    return -1;
}

void output_close(FILE *out)
{
    if (out && out != stdout)
        fclose(out);
}

void output_discard(FILE *out, const char *path)
{
    struct stat status;

    if (fflush(out) == 0 && fstat(fileno(out), &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0 &&
        out != stdout)
        unlink(path);
}

void output_close_pictures(FILE *files[PICTURE_FORMATS])
{
    for (int format = 0; format < PICTURE_FORMATS; format++)
        output_close(files[format]);
}

int output_open_pictures(FILE *files[PICTURE_FORMATS], const char *const paths[PICTURE_FORMATS])
{
    int result = 0;

    for (int format = 0; format < PICTURE_FORMATS; format++) {
        char option[16];

        snprintf(option, sizeof(option), "--%s", picture_format_name((enum picture_format)format));
        files[format] = NULL;
        if (result == 0)
            result = output_open(&files[format], option, paths[format]);
    }
    return result;
}

enum exit_status output_write_json(FILE *out, const char *name, const json_t *object)
{
    struct error error;

    return out && json_print(out, name, object, &error) ? command_fail(EXIT_FAILED, &error) : EXIT_DONE;
}

int output_begin_outlet(struct outlet **outlet, FILE *file, struct error *error)
{
    *outlet = file ? outlet_open(fileno(file), OUTLET_DATA, error) : NULL;
    return file && !*outlet ? -1 : 0;
}

bool output_reader_has_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO};

    return poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP);
}

enum exit_status output_end_standard(struct standard_outlets *standard, struct signals *signals,
                                     enum exit_status status)
{
    struct error error;

    if (standard_outlets_end(standard, signals) == 0 || status != EXIT_DONE)
        return status;
    const int reason = errno;
    if (output_reader_has_gone())
        return status;
    error_set(&error, "standard output cannot be written: %s", strerror(reason));
    return command_fail(EXIT_FAILED, &error);
}

enum exit_status output_end_steps(struct outlet *steps, struct signals *signals, enum exit_status status)
{
    struct error error;

    if (steps && outlet_finish(steps, signals)) {
        error_set(&error, "--steps could not be written to its end: %s", strerror(errno));
        status = command_fail(EXIT_FAILED, &error);
    }
    outlet_close(steps);
    return status;
}
