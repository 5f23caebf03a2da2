#include "tests/support/settings.h"

#include <stdio.h>

void settings_set(struct settings *settings, const char *key, const char *value)
{
    snprintf(settings->text[settings->count++], sizeof(settings->text[0]), "%s=%s", key, value);
}

void settings_number(struct settings *settings, const char *key, double value)
{
    char text[32];

    snprintf(text, sizeof(text), "%.9g", value);
    settings_set(settings, key, text);
}

const char *const *settings_list(struct settings *settings)
{
    for (int i = 0; i < settings->count; i++)
        settings->list[i] = settings->text[i];
    settings->list[settings->count] = NULL;
    return settings->list;
}

struct settings settings_of(const char *arch, int stages, int microbatches, int batch, int samples)
{
    struct settings settings = {.count = 0};

    settings_set(&settings, "model.arch", arch);
    settings_number(&settings, "pipeline.stages", stages);
    settings_number(&settings, "pipeline.microbatches", microbatches);
    settings_number(&settings, "data.batch", batch);
    settings_number(&settings, "data.limit", samples);
    settings_set(&settings, "train.lr_schedule", "constant");
    settings_set(&settings, "train.warmup_epochs", "0");
    return settings;
}
