/* The table of optimizers, and what they share. */
#include "optimizers/optimizer.h"

#include <stddef.h>
#include <string.h>

const struct optimizer *optimizer_at(int n)
{
    static const struct optimizer *const rows[] = {&optimizer_sgd, &optimizer_adamw, &optimizer_nadamw};

    return n < (int)(sizeof(rows) / sizeof(rows[0])) ? rows[n] : NULL;
}

const struct optimizer *optimizer_find(const char *name)
{
    const struct optimizer *optimizer;

    for (int n = 0; (optimizer = optimizer_at(n)) != NULL; n++)
        if (strcmp(optimizer->name, name) == 0)
            return optimizer;
    return NULL;
}

enum update_kind optimizer_kind(const struct optimizer *optimizer, const struct optimizer_settings *settings)
{
    return optimizer->kind == UPDATE_MOMENTUM && !(settings->momentum > 0.0) ? UPDATE_GRADIENT : optimizer->kind;
}

int optimizer_slot_count(const struct optimizer *optimizer, const struct optimizer_settings *settings)
{
    int count = 0;

    if (optimizer_kind(optimizer, settings) == UPDATE_GRADIENT)
        return 0;
    while (count < UPDATE_SLOTS && optimizer->slots[count].vector != VECTOR_NONE)
        count++;
    return count;
}

void optimizer_catch_up(const struct optimizer *optimizer, const struct optimizer_settings *settings, int updates,
                        struct optimizer_course *course)
{
    if (course->updates > updates || course->updates == 0)
        *course = (struct optimizer_course){0, 1.0};
    while (course->updates < updates) {
        course->updates++;
        if (optimizer->momentum)
            course->product *= optimizer->momentum(settings, course->updates);
    }
}

struct update optimizer_update(const struct optimizer *optimizer, const struct optimizer_settings *settings,
                               const struct optimizer_course *course)
{
    struct update update = {
        .kind = optimizer_kind(optimizer, settings),
        .gradient_scale = (float)settings->gradient_scale,
        .rate = (float)settings->rate,
    };

    optimizer->prepare(settings, course, &update);
    return update;
}
