#include "plan/config_json.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "plan/config_keys.h"

json_t *config_json(const struct config *config)
{
    json_t *object = json_object();
    struct config_value value;

    for (int i = 0; config_get(config, i, &value); i++) {
        json_t *section = json_object_get(object, value.section), *member = NULL;

        if (!section) {
            section = json_object();
            json_object_set_new(object, value.section, section);
        }
        switch (value.type) {
        case CONFIG_INTEGER:
            member = json_integer(value.integer);
            break;
        case CONFIG_REAL:
            member = json_real(value.real);
            break;
        case CONFIG_BOOLEAN:
            member = json_boolean(value.boolean);
            break;
        case CONFIG_TEXT:
            member = text_json(value.text);
            break;
        }
        json_object_set_new(section, value.key, member);
    }
    return object;
}

/* A key's value as a config would have it. */
static int read_key(const struct config_key *key, struct config *config, const json_t *value, struct error *error)
{
    char number[64];
    const char *text = json_string_value(value);

    if (json_is_integer(value))
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(number, sizeof(number), "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(number, sizeof(number), "%s", json_is_true(value) ? "yes" : "no");
    else if (!text)
        return error_set(error, "no value");
    return config_key_set(key, config, text ? text : number, error);
}

int config_read_json(struct config *config, const json_t *sections, struct error *error)
{
    for (int i = 0; i < config_key_count; i++) {
        const struct config_key *key = &config_keys[i];
        const char *dot = strchr(key->name, '.');
        char section[CONFIG_NAME_MAX];
        const json_t *value;

        snprintf(section, sizeof(section), "%.*s", (int)(dot - key->name), key->name);
        value = json_object_get(json_object_get(sections, section), dot + 1);
        if (config_key_set(key, config, key->fallback, error) ||
            (value && !json_is_null(value) && read_key(key, config, value, error)))
            return error_prefix(error, "%s", key->name);
    }
    config_ask_system(config);
    return 0;
}
