/* Reading a config: base/ini splits the lines, config_keys.c knows what may stand on them, and every mistake is
 * remembered with its place. */
#include "plan/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/guess.h"
#include "base/ini.h"
#include "plan/config_keys.h"

enum { FILE_MAX = 1 << 20, VALUE_MAX = CONFIG_LIST_TEXT_MAX }; /* bytes; of a value: more than any key takes */

/* Places that are no line of the file. */
enum { PLACE_DEFAULT = 0, PLACE_OVERRIDE = -1 };

struct load {
    struct config *config;
    struct config_mistakes *mistakes;
    int number; /* of the line, from 1 */
    char section[CONFIG_NAME_MAX];
    bool known_section; /* else it has been reported, and its keys are skipped */
};

static void add_mistake(struct config_mistakes *mistakes, int place, const char *key, const char *format,
                        va_list arguments)
{
    if (mistakes->count++ >= CONFIG_MISTAKES_MAX)
        return;

    char *line = mistakes->lines[mistakes->count - 1];
    size_t used = 0, size = CONFIG_MISTAKE_LENGTH;
    if (place == PLACE_OVERRIDE)
        used = (size_t)snprintf(line, size, "--set %s: ", key);
    else if (place == PLACE_DEFAULT)
        used = (size_t)snprintf(line, size, "%s: %s%s", mistakes->path, key, *key ? " (by default): " : "");
    else
        used = (size_t)snprintf(line, size, "%s:%d: %s%s", mistakes->path, place, key, *key ? ": " : "");
    if (used < size)
        vsnprintf(line + used, size - used, format, arguments);
}

__attribute__((format(printf, 4, 5))) static void mistake_at(struct config_mistakes *mistakes, int place,
                                                             const char *key, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    add_mistake(mistakes, place, key, format, arguments);
    va_end(arguments);
}

void config_mistake(struct config_mistakes *mistakes, const char *section_key, const char *format, ...)
{
    const struct config_key *key = config_key_find(section_key);
    va_list arguments;

    va_start(arguments, format);
    add_mistake(mistakes, key ? mistakes->places[key - config_keys] : PLACE_DEFAULT, section_key, format, arguments);
    va_end(arguments);
}

void config_mistake_line(struct config_mistakes *mistakes, const char *line)
{
    if (mistakes->count < CONFIG_MISTAKES_MAX)
        snprintf(mistakes->lines[mistakes->count], sizeof(mistakes->lines[0]), "%s", line);
    mistakes->count++;
}

void config_mistakes_print(const struct config_mistakes *mistakes, FILE *out)
{
    for (int i = 0; i < mistakes->count && i < CONFIG_MISTAKES_MAX; i++)
        fprintf(out, "%s\n", mistakes->lines[i]);
    if (mistakes->count > CONFIG_MISTAKES_MAX)
        fprintf(out, "%s: and %d more\n", mistakes->path, mistakes->count - CONFIG_MISTAKES_MAX);
}

/* Lists the keys of `section`, or the sections if it is NULL: "run, pipeline, ...". */
static void list_names(const char *section, char *list, size_t size)
{
    size_t section_length = section ? strlen(section) : 0;
    const char *last = "";

    list[0] = '\0';
    for (int i = 0; i < config_key_count; i++) {
        const char *name = config_keys[i].name;
        size_t dot = strcspn(name, "."), used = strlen(list);

        if (section && dot == section_length && strncmp(name, section, dot) == 0)
            snprintf(list + used, size - used, "%s%s", used ? ", " : "", name + dot + 1);
        if (!section && strncmp(name, last, dot + 1) != 0)
            snprintf(list + used, size - used, "%s%.*s", used ? ", " : "", (int)dot, name);
        last = name;
    }
}

static void unknown_section(struct config_mistakes *mistakes, int place, const char *key, const char *section)
{
    char list[512], names[512], *rest = names, *name, meant[GUESS_TEXT_MAX];
    struct guess guess;

    list_names(NULL, list, sizeof(list));
    strcpy(names, list);
    guess_begin(&guess, section);
    while ((name = strsep(&rest, ", ")) != NULL)
        guess_consider(&guess, name);
    mistake_at(mistakes, place, key, "unknown section [%s]; %sthere are: %s", section,
               guess_text(&guess, "", " ", meant), list);
}

static void unknown_key(struct config_mistakes *mistakes, int place, const char *section, const char *key)
{
    const struct config_key *meant = config_key_meant(section, key);
    char list[512];

    list_names(section, list, sizeof(list));
    if (section[0] == '\0')
        mistake_at(mistakes, place, key, "stands before any [section]");
    else if (list[0] == '\0')
        unknown_section(mistakes, place, key, section);
    else
        mistake_at(mistakes, place, key, "unknown key; %s%s%s[%s] has: %s", meant ? "did you mean " : "",
                   meant ? meant->name : "", meant ? "? " : "", section, list);
}

static void set_key(struct load *load, int place, const struct config_key *key, const char *value)
{
    struct error error;

    load->mistakes->places[key - config_keys] = place;
    if (value[0] == '\0')
        mistake_at(load->mistakes, place, key->name, "has no value; leave the line out for the default");
    else if (strlen(value) > VALUE_MAX)
        mistake_at(load->mistakes, place, key->name, "%zu characters are more than any key takes", strlen(value));
    else if (config_key_set(key, load->config, value, &error))
        mistake_at(load->mistakes, place, key->name, "%s", error.text);
}

static void take_value(struct load *load, const char *name, const char *value)
{
    char full_name[2 * CONFIG_NAME_MAX];

    if (!load->known_section)
        return;
    snprintf(full_name, sizeof(full_name), "%s.%s", load->section, name);
    const struct config_key *key = config_key_find(full_name);
    if (!key)
        unknown_key(load->mistakes, load->number, load->section, load->section[0] ? full_name : name);
    else if (load->mistakes->places[key - config_keys] != PLACE_DEFAULT)
        mistake_at(load->mistakes, load->number, key->name, "already given in line %d",
                   load->mistakes->places[key - config_keys]);
    else
        set_key(load, load->number, key, value);
}

static void begin_section(struct load *load, const struct ini_line *line)
{
    char list[512];

    snprintf(load->section, sizeof(load->section), "%s", line->name);
    list_names(load->section, list, sizeof(list));
    load->known_section = list[0] != '\0';
    if (!load->known_section && !line->wrong)
        unknown_section(load->mistakes, load->number, "", line->name);
}

static void take_line(struct load *load, char *text)
{
    const struct ini_line line = ini_split(text);

    if (line.wrong)
        mistake_at(load->mistakes, load->number, line.extra, "%s", line.wrong);
    if (line.kind == INI_SECTION)
        begin_section(load, &line);
    else if (line.kind == INI_VALUE)
        take_value(load, line.name, line.value);
}

static void take_text(struct load *load, char *text, size_t size)
{
    char *line;

    if (strncmp(text, "\xFF\xFE", 2) == 0 || strncmp(text, "\xFE\xFF", 2) == 0) {
        mistake_at(load->mistakes, PLACE_DEFAULT, "", "is UTF-16; save it as UTF-8");
        return;
    }
    /* A byte that ends no string, but is no text either. */
    for (size_t i = 0; i < size; i++)
        if (text[i] == '\0')
            text[i] = '\1';
    if (strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3; /* UTF-8's byte-order mark */
    load->known_section = true;
    while ((line = ini_next(&text)) != NULL) {
        load->number++;
        take_line(load, line);
    }
}

/* `descriptor` is of anything that ends by itself; a pipe may not. */
static void read_text(struct load *load, int descriptor)
{
    char *text = malloc(FILE_MAX + 1);
    struct stat status;
    size_t size = 0;
    ssize_t count = 1;

    if (!text || fstat(descriptor, &status)) {
        mistake_at(load->mistakes, PLACE_DEFAULT, "", "cannot be read: %s", strerror(errno));
    } else if (S_ISFIFO(status.st_mode)) {
        mistake_at(load->mistakes, PLACE_DEFAULT, "", "is a pipe; a config is a file");
    } else {
        while (size < FILE_MAX && (count = read(descriptor, text + size, FILE_MAX - size)) > 0)
            size += (size_t)count;
        text[size] = '\0';
        if (count < 0)
            mistake_at(load->mistakes, PLACE_DEFAULT, "", "cannot be read: %s", strerror(errno));
        else if (size == FILE_MAX)
            mistake_at(load->mistakes, PLACE_DEFAULT, "", "is no config: it has %d bytes or more", FILE_MAX);
        else
            take_text(load, text, size);
    }
    free(text);
}

static void read_file(struct load *load, const char *path)
{
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (descriptor < 0) {
        mistake_at(load->mistakes, PLACE_DEFAULT, "", "cannot be opened: %s", strerror(errno));
        return;
    }
    read_text(load, descriptor);
    close(descriptor);
}

static void apply_override(struct load *load, const char *text)
{
    const char *dot = strchr(text, '.'), *equals = strchr(text, '=');
    char *copy = strdup(text), section[CONFIG_NAME_MAX];

    if (!copy || !equals || !dot || dot > equals) {
        mistake_at(load->mistakes, PLACE_OVERRIDE, text, copy ? "expected section.key=value" : "out of memory");
        free(copy);
        return;
    }
    copy[equals - text] = '\0';
    const char *name = ini_trim(copy), *value = ini_trim(copy + (equals - text) + 1);
    const struct config_key *key = config_key_find(name);
    snprintf(section, sizeof(section), "%.*s", (int)strcspn(name, "."), name);
    if (key)
        set_key(load, PLACE_OVERRIDE, key, value);
    else
        unknown_key(load->mistakes, PLACE_OVERRIDE, section, name);
    free(copy);
}

static int apply_overrides(struct load *load, const char *const *overrides, int override_count)
{
    for (int i = 0; i < override_count; i++)
        apply_override(load, overrides[i]);
    config_ask_system(load->config);
    return load->mistakes->count > 0 ? -1 : 0;
}

int config_load(struct config *config, const char *path, const char *const *overrides, int override_count,
                struct config_mistakes *mistakes)
{
    struct load load = {.config = config, .mistakes = mistakes};
    struct error error;

    memset(config, 0, sizeof(*config));
    memset(mistakes, 0, sizeof(*mistakes));
    snprintf(mistakes->path, sizeof(mistakes->path), "%s", path);
    for (int i = 0; i < config_key_count; i++)
        if (config_key_set(&config_keys[i], config, config_keys[i].fallback, &error))
            mistake_at(mistakes, PLACE_DEFAULT, config_keys[i].name, "%s", error.text);
    read_file(&load, path);
    return apply_overrides(&load, overrides, override_count);
}

int config_override(struct config *config, const char *path, const char *const *overrides, int override_count,
                    struct config_mistakes *mistakes)
{
    struct load load = {.config = config, .mistakes = mistakes};

    memset(mistakes, 0, sizeof(*mistakes));
    snprintf(mistakes->path, sizeof(mistakes->path), "%s", path);
    return apply_overrides(&load, overrides, override_count);
}
