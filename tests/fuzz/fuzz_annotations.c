/* Tiny-ImageNet's list of whose the test's pictures are: what it names is looked for in a folder of two classes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/listing.h"
#include "tests/fuzz/fuzz.h"

static char folder[] = "/tmp/tp-fuzz-XXXXXX";

static void shell(const char *format)
{
    char command[512];

    snprintf(command, sizeof(command), format, folder);
    if (system(command))
        abort();
}

static void clean_up(void)
{
    shell("rm -r %s");
}

static void create(void)
{
    if (!mkdtemp(folder) || atexit(clean_up))
        abort();
    shell("cd %s && mkdir -p train/a/images train/b/images val/images && printf 'a\\nb\\n' >wnids.txt && "
          "touch train/a/images/1.png train/b/images/1.png val/images/1.png val/images/2.png");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool created;
    struct listings listings;
    struct error error;
    char path[64];
    FILE *file;

    if (!created)
        create();
    created = true;
    snprintf(path, sizeof(path), "%s/val/val_annotations.txt", folder);
    file = fopen(path, "wb");
    if (!file || fwrite(data, 1, size, file) != size || fclose(file))
        abort();
    if (listing_tiny_imagenet(&listings, folder, &error) == 0) {
        if (listings.train.count != 2 || listings.test.count < 1 || listings.classes != 2)
            abort();
        for (int i = 0; i < listings.test.count; i++)
            if (listings.test.pictures[i].label < 0 || listings.test.pictures[i].label > 1)
                abort();
    }
    listing_release(&listings);
    return 0;
}
