#include "coordinator/read_network.h"

#include <stdio.h>
#include <string.h>

#include "plan/config_keys.h"
#include "plan/plan.h"

static int refuse(const struct error *error)
{
    fprintf(stderr, "tpcoord: %s\n", error->text);
    return -1;
}

/* What a config would be that says only this. */
static int read_config(struct config *config, const char *name, const char *const *overrides, int override_count)
{
    struct config_mistakes mistakes;
    struct error error;

    if (config_load(config, "/dev/null", overrides, override_count, &mistakes)) {
        config_mistakes_print(&mistakes, stderr);
        return -1;
    }
    return config_key_set(config_key_find("model.arch"), config, name, &error) ? refuse(&error) : 0;
}

/* A network of tokens is shown as text would have it, where the config names no set of tokens. */
static void choose_text(struct config *config, const char *const *overrides, int override_count)
{
    bool has_classes = false;
    struct error ignored;

    for (int k = 0; k < override_count; k++)
        has_classes = has_classes || strncmp(overrides[k], "model.classes", strlen("model.classes")) == 0;
    config_key_set(config_key_find("data.set"), config, "text", &ignored);
    if (!has_classes)
        config_key_set(config_key_find("model.classes"), config, "256", &ignored);
}

static int find_options(struct network_options *options, const struct config *config)
{
    const struct data_options data = plan_data_options(config);
    struct error error;

    options->depth = config->model.depth;
    options->width = config->model.width;
    options->classes = config->model.classes;
    options->tokens = data_source_has_tokens(data.set);
    if (dataset_foretell_shape(&data, &options->input))
        return 0;
    error_set(&error,
              "data.set = %s does not say what its images are like; use synthetic, with data.synthetic_size and "
              "data.synthetic_channels",
              data.set);
    return refuse(&error);
}

int named_network_read(struct named_network *named, const char *name, const char *const *overrides, int override_count)
{
    struct network_mistakes mistakes;
    struct config config;
    struct error error;

    named->options = (struct network_options){.name = name, .text = named->text};
    if (read_config(&config, name, overrides, override_count))
        return -1;
    if (network_load(named->text, name, &error))
        return refuse(&error);
    if (network_reads_tokens(named->text) && !data_source_has_tokens(config.data.set))
        choose_text(&config, overrides, override_count);
    if (find_options(&named->options, &config))
        return -1;
    if (network_read(&named->network, &named->options, &mistakes) == 0)
        return 0;
    for (int k = 0; k < mistakes.count && k < NETWORK_MISTAKES_MAX; k++)
        fprintf(stderr, "%s\n", mistakes.lines[k]);
    return -1;
}
