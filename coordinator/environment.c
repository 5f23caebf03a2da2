#include "coordinator/environment.h"

#include <oneapi/dnnl/dnnl_version.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <zlib.h>

#include "base/json.h"
#include "base/version.h"
#include "device/cores.h"

#define TEXT_OF(number)     #number
#define NUMBER_TEXT(number) TEXT_OF(number)

bool environment_processor(char *name, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512];
    bool found = false;

    while (file && !found && fgets(line, sizeof(line), file)) {
        const char *colon = strchr(line, ':');

        found = colon && strncmp(line, "model name", strlen("model name")) == 0;
        if (found)
            snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (file)
        fclose(file);
    return found;
}

static json_t *processor_json(void)
{
    char name[256];

    return environment_processor(name, sizeof(name)) ? text_json(name) : json_null();
}

static json_t *kernel_json(void)
{
    struct utsname name;
    char text[sizeof(name.sysname) + sizeof(name.release) + sizeof(name.machine) + 2];

    if (uname(&name))
        return json_null();
    snprintf(text, sizeof(text), "%s %s %s", name.sysname, name.release, name.machine);
    return text_json(text);
}

/* As the kernel keeps it: words, each with a NUL behind it. */
static json_t *command_line_json(void)
{
    FILE *file = fopen("/proc/self/cmdline", "re");
    json_t *words = json_array();
    char text[1 << 14];
    const size_t size = file ? fread(text, 1, sizeof(text) - 1, file) : 0;

    text[size] = '\0';
    for (size_t k = 0; k < size; k += strlen(text + k) + 1)
        json_array_append_new(words, text_json(text + k));
    if (file)
        fclose(file);
    return words;
}

static json_t *checksum_json(uint32_t crc32)
{
    char text[16];

    snprintf(text, sizeof(text), "%08x", (unsigned)crc32);
    return crc32 ? json_string(text) : json_null();
}

static const char compiler[] =
#ifdef __clang__
    "clang " __clang_version__;
#else
    "gcc " __VERSION__;
#endif

json_t *environment_json(const struct plan *plan)
{
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);

    /* clang-format off */
    return json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:o, s:i, s:I, s:o, s:o, s:{s:o, s:o, s:o}}",
                     "version", version_text(),
                     "compiler", compiler,
                     "libraries",
                     "onednn", NUMBER_TEXT(DNNL_VERSION_MAJOR) "." NUMBER_TEXT(DNNL_VERSION_MINOR) "."
                               NUMBER_TEXT(DNNL_VERSION_PATCH),
                     "jansson", JANSSON_VERSION,
                     "zlib", zlibVersion(),
                     "cpu", processor_json(),
                     "cores", cores_count(),
                     "memory_bytes", (json_int_t)pages * page,
                     "kernel", kernel_json(),
                     "command_line", command_line_json(),
                     "crc32",
                     "data", checksum_json(plan->data.crc32),
                     "network", checksum_json(plan_network_crc32(plan)),
                     "schedule", checksum_json(plan_schedule_crc32(plan)));
    /* clang-format on */
}
