/* The settings of a test's run, as "section.key=value". */
#ifndef TP_TESTS_SETTINGS_H
#define TP_TESTS_SETTINGS_H

struct settings {
    char text[24][128];
    const char *list[25];
    int count;
};

/* A run of `samples` images in mini-batches of `batch`, with a constant learning rate. */
struct settings settings_of(const char *arch, int stages, int microbatches, int batch, int samples);

void settings_set(struct settings *settings, const char *key, const char *value);
void settings_number(struct settings *settings, const char *key, double value);

/* For pipeline_create(): ends with NULL, valid as long as the settings stay where they are. */
const char *const *settings_list(struct settings *settings);

#endif
