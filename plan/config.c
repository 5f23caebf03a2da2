/* Reading a config: inih splits the lines, config_keys.c knows what may stand on them, and every mistake is remembered
 * with its place. */
#include "plan/config.h"

#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "plan/config_keys.h"

/* Places that are no line of the file. */
enum { PLACE_DEFAULT = 0, PLACE_OVERRIDE = -1 };

struct load {
    struct config *config;
    struct config_mistakes *mistakes;
    FILE *file;
    char *line;
    size_t capacity;
    int number;         /* of the line that inih has */
    bool expects_key;   /* inih must find a key and a value on it */
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
    char list[512];

    list_names(NULL, list, sizeof(list));
    mistake_at(mistakes, place, key, "unknown section [%s]; there are: %s", section, list);
}

static void unknown_key(struct config_mistakes *mistakes, int place, const char *section, const char *key)
{
    char list[512];

    list_names(section, list, sizeof(list));
    if (section[0] == '\0')
        mistake_at(mistakes, place, key, "stands before any [section]");
    else if (list[0] == '\0')
        unknown_section(mistakes, place, key, section);
    else
        mistake_at(mistakes, place, key, "unknown key; [%s] has: %s", section, list);
}

static void set_key(struct load *load, int place, const struct config_key *key, const char *value)
{
    struct error error;

    load->mistakes->places[key - config_keys] = place;
    if (value[0] == '\0')
        mistake_at(load->mistakes, place, key->name, "has no value; leave the line out for the default");
    else if (config_key_set(key, load->config, value, &error))
        mistake_at(load->mistakes, place, key->name, "%s", error.text);
}

static int handle_value(void *user, const char *section, const char *name, const char *value)
{
    struct load *load = user;
    char full_name[2 * CONFIG_NAME_MAX];

    load->expects_key = false;
    if (!load->known_section)
        return 1;
    snprintf(full_name, sizeof(full_name), "%s.%s", section, name);
    const struct config_key *key = config_key_find(full_name);
    if (!key)
        unknown_key(load->mistakes, load->number, section, section[0] ? full_name : name);
    else if (load->mistakes->places[key - config_keys] != PLACE_DEFAULT)
        mistake_at(load->mistakes, load->number, key->name, "already given in line %d",
                   load->mistakes->places[key - config_keys]);
    else
        set_key(load, load->number, key, value);
    return 1;
}

static void begin_section(struct load *load, const char *text)
{
    size_t length = strcspn(text + 1, "]");
    char name[CONFIG_NAME_MAX], list[512];

    load->known_section = false;
    if (text[1 + length] != ']') {
        mistake_at(load->mistakes, load->number, "", "a section's name ends with \"]\"");
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)length, text + 1);
    list_names(name, list, sizeof(list));
    load->known_section = list[0] != '\0';
    if (!load->known_section)
        unknown_section(load->mistakes, load->number, "", name);
}

/* inih passes over a line that it cannot split and says so only for the first: so each is looked at when it is done. */
static void finish_line(struct load *load)
{
    if (load->expects_key)
        mistake_at(load->mistakes, load->number, "", "expected key = value, a [section] or a comment");
    load->expects_key = false;
}

/* Cuts off a comment: inih knows those that begin with ; but not a # behind a value. */
static void cut_comment(char *text)
{
    for (char *mark = strchr(text, '#'); mark; mark = strchr(mark + 1, '#')) {
        if (mark == text || mark[-1] == ' ' || mark[-1] == '\t') {
            *mark = '\0';
            return;
        }
    }
}

/* inih's fgets. Gives it one line without its indentation, which would make it part of the value above. */
static char *read_line(char *out, int size, void *stream)
{
    struct load *load = stream;

    finish_line(load);
    ssize_t length = getline(&load->line, &load->capacity, load->file);
    if (length < 0)
        return NULL;
    load->number++;
    char *text = load->line;
    if (load->number == 1 && strncmp(text, "\xEF\xBB\xBF", 3) == 0)
        text += 3; /* a byte-order mark */
    text += strspn(text, " \t\r\n");
    out[0] = '\0';
    if (strlen(load->line) != (size_t)length) {
        mistake_at(load->mistakes, load->number, "", "not text");
        return out;
    }
    cut_comment(text);
    if (strlen(text) >= (size_t)size) {
        mistake_at(load->mistakes, load->number, "", "longer than %d characters", size - 1);
        return out;
    }
    strcpy(out, text);
    if (text[0] == '[')
        begin_section(load, text);
    else
        load->expects_key = text[0] != '\0' && text[0] != ';';
    return out;
}

static void read_file(struct load *load, const char *path)
{
    load->file = fopen(path, "r");
    if (!load->file) {
        mistake_at(load->mistakes, PLACE_DEFAULT, "", "cannot be opened: %s", strerror(errno));
        return;
    }
    load->known_section = true;
    ini_parse_stream(read_line, load, handle_value, load);
    if (ferror(load->file))
        mistake_at(load->mistakes, PLACE_DEFAULT, "", "cannot be read: %s", strerror(errno));
    free(load->line);
    fclose(load->file);
}

static void apply_override(struct load *load, const char *text)
{
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');
    char section[CONFIG_NAME_MAX], name[2 * CONFIG_NAME_MAX];

    if (!equals || !dot || dot > equals) {
        mistake_at(load->mistakes, PLACE_OVERRIDE, text, "expected section.key=value");
        return;
    }
    snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
    snprintf(section, sizeof(section), "%.*s", (int)(dot - text), text);
    const struct config_key *key = config_key_find(name);
    if (key)
        set_key(load, PLACE_OVERRIDE, key, equals + 1);
    else
        unknown_key(load->mistakes, PLACE_OVERRIDE, section, name);
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
    for (int i = 0; i < override_count; i++)
        apply_override(&load, overrides[i]);
    return mistakes->count > 0 ? -1 : 0;
}
