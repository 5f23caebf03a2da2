#include "tests/support/learned.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "checkpoint/safetensors.h"

/* The files of a checkpoint. */
struct learned {
    int parts;
    char *bytes[MAX_PARTS];
    struct safetensors files[MAX_PARTS];
};

static void open_files(struct learned *learned, const struct program *program, int epoch, const char *name, int parts)
{
    learned->parts = parts;
    for (int k = 0; k < parts; k++) {
        char path[256];
        size_t size;
        struct error error;

        snprintf(path, sizeof(path), "%s/runs/%s/checkpoints/epoch-%04d/stage-%d.safetensors", program->folder, name,
                 epoch, k + 1);
        ck_assert_msg(file_read(path, &learned->bytes[k], &size, &error) == 0 &&
                          safetensors_read(&learned->files[k], learned->bytes[k], size, &error) == 0,
                      "%s", error.text);
    }
}

static const struct safetensors_entry *find(const struct learned *learned, const char *name)
{
    const struct safetensors_entry *entry = NULL;

    for (int k = 0; k < learned->parts && !entry; k++)
        entry = safetensors_find(&learned->files[k], name);
    ck_assert_msg(entry != NULL, "no tensor %s", name);
    return entry;
}

static void close_files(struct learned *learned)
{
    for (int k = 0; k < learned->parts; k++) {
        safetensors_release(&learned->files[k]);
        free(learned->bytes[k]);
    }
}

void learned_assert_same(const struct program *program, int epoch, const char *one, int parts_of_one, const char *other,
                         int parts_of_other)
{
    struct learned a, b;
    int compared = 0;

    open_files(&a, program, epoch, one, parts_of_one);
    open_files(&b, program, epoch, other, parts_of_other);
    for (int k = 0; k < a.parts; k++) {
        for (int i = 0; i < a.files[k].count; i++) {
            const struct safetensors_entry *first = &a.files[k].entries[i], *second = find(&b, first->name);
            const size_t size = first->end - first->begin;

            ck_assert_uint_eq(size, second->end - second->begin);
            ck_assert_msg(memcmp(first->values, second->values, size) == 0, "%s differs between %s and %s", first->name,
                          one, other);
            compared++;
        }
    }
    ck_assert_int_ge(compared, 6);
    close_files(&a);
    close_files(&b);
}
