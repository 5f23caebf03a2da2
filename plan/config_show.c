/* Keys and their values as text: for JSON, for messages, for --help-keys. */
#include <stdio.h>
#include <string.h>

#include "plan/config_keys.h"

static void format_integers(const struct config_key *key, const struct config_integers *integers, char *text,
                            size_t size)
{
    size_t used = 0;

    if (integers->count == 0)
        snprintf(text, size, "%s", key->choices[0]);
    for (int i = 0; i < integers->count && used < size; i++) {
        const char *word = config_key_word(key, integers->values[i]);
        char number[16];

        snprintf(number, sizeof(number), "%d", integers->values[i]);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? "," : "", word ? word : number);
    }
}

void config_format_integers(const struct config *config, const char *section_key, char *text, size_t size)
{
    const struct config_key *key = config_key_find(section_key);

    format_integers(key, (const void *)((const char *)config + key->offset), text, size);
}

static void format_reals(const struct config_key *key, const struct config_reals *reals, char *text, size_t size)
{
    size_t used = 0;

    if (reals->count == 0)
        snprintf(text, size, "%s", key->choices[0]);
    /* Nine digits, so that the longest list has room. */
    for (int i = 0; i < reals->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%.9g", i > 0 ? "," : "", reals->values[i]);
}

bool config_get(const struct config *config, int index, struct config_value *value)
{
    if (index < 0 || index >= config_key_count)
        return false;

    const struct config_key *key = &config_keys[index];
    const void *member = (const char *)config + key->offset;
    const char *dot = strchr(key->name, '.');
    *value = (struct config_value){.type = CONFIG_TEXT};
    snprintf(value->section, sizeof(value->section), "%.*s", (int)(dot - key->name), key->name);
    snprintf(value->key, sizeof(value->key), "%s", dot + 1);
    switch (key->type) {
    case KEY_INTEGER:
        value->type = CONFIG_INTEGER;
        value->integer = key->size == sizeof(int64_t) ? *(const int64_t *)member : *(const int *)member;
        break;
    case KEY_REAL:
        value->type = CONFIG_REAL;
        value->real = *(const double *)member;
        break;
    case KEY_BOOLEAN:
        value->type = CONFIG_BOOLEAN;
        value->boolean = *(const bool *)member;
        break;
    case KEY_CHOICE:
        snprintf(value->text, sizeof(value->text), "%s",
                 config_key_choice(key, *(const int *)member - key->first_choice));
        break;
    case KEY_CHOICE_NAME:
    case KEY_NAME:
    case KEY_TEXT:
        snprintf(value->text, sizeof(value->text), "%s", (const char *)member);
        break;
    case KEY_INTERVAL: {
        const struct config_interval *interval = member;

        snprintf(value->text, sizeof(value->text), "%d%s", interval->count, interval->minutes ? "m" : "");
        break;
    }
    case KEY_INTEGERS:
        format_integers(key, member, value->text, sizeof(value->text));
        break;
    case KEY_REALS:
        format_reals(key, member, value->text, sizeof(value->text));
        break;
    }
    return true;
}

static void print_values(const struct config_key *key, FILE *out)
{
    const char *choice;

    if (key->type == KEY_INTEGER || key->type == KEY_REAL || key->type == KEY_REALS)
        fprintf(out, "; %.16g to %.16g%s%s", key->low, key->high, key->unit ? " " : "", key->unit ? key->unit : "");
    if (key->type == KEY_BOOLEAN)
        fputs("; yes or no", out);
    if (key->type != KEY_CHOICE && key->type != KEY_CHOICE_NAME)
        return;
    for (int i = 0; (choice = config_key_choice(key, i)) != NULL; i++)
        fprintf(out, "%s%s", i > 0 ? ", " : "; ", choice);
    if (key->file_ending)
        fprintf(out, ", or FILE%s", key->file_ending);
}

static void print_default(FILE *out, const struct config_key *key)
{
    fprintf(out, "default %s", key->fallback[0] ? key->fallback : "none");
    print_values(key, out);
    fputc('\n', out);
}

void config_print_key(FILE *out, const struct config_key *key)
{
    fprintf(out, "%s\n  %s\n  ", key->name, key->help);
    print_default(out, key);
}

bool config_print_section(FILE *out, const char *section)
{
    const int length = (int)strlen(section);
    bool found = false;

    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];

        if (strncmp(key->name, section, (size_t)length) != 0 || key->name[length] != '.')
            continue;
        if (!found)
            fprintf(out, "[%s]\n", section);
        fprintf(out, "  %-21s %s\n  %-21s ", key->name + length + 1, key->help, "");
        print_default(out, key);
        found = true;
    }
    return found;
}

void config_print_keys(FILE *out)
{
    const char *last = "";

    for (int i = 0; i < config_key_count; i++) {
        char section[CONFIG_NAME_MAX];
        const char *name = config_keys[i].name;
        const int length = (int)strcspn(name, ".");

        if (strncmp(name, last, (size_t)length + 1) != 0) {
            fputs(i > 0 ? "\n" : "", out);
            snprintf(section, sizeof(section), "%.*s", length, name);
            config_print_section(out, section);
        }
        last = name;
    }
}
