/* Files of tokens in a folder, the input cut into three of them: every sample that is said to be there is gathered. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { CONTEXT = 3, CLASSES = 60000, FILES = 3 };

static const char *const names[FILES] = {"words_train_1.bin", "words_train_2.bin", "words_val_1.bin"};
static char folder[] = "/tmp/fuzz-shards-XXXXXX";

static void in_folder(char path[64], int file)
{
    snprintf(path, 64, "%s/%s", folder, names[file]);
}

static void remove_folder(void)
{
    char path[64];

    for (int file = 0; file < FILES; file++) {
        in_folder(path, file);
        unlink(path);
    }
    rmdir(folder);
}

static void write_file(int number, const uint8_t *bytes, size_t size)
{
    char path[64];

    in_folder(path, number);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file))
        abort();
}

/* At most so many bytes as the next two say, little-endian, and those not again. */
static size_t take_size(const uint8_t **data, size_t *size)
{
    const size_t wanted = (*data)[0] | (size_t)(*data)[1] << 8;

    *data += 2;
    *size -= 2;
    return wanted < *size ? wanted : *size;
}

/* The input begins with the size of the first file; the bytes behind that with the size of the second. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct data_options options = {.set = "tokens", .dir = folder, .classes = CLASSES, .context = CONTEXT};
    static bool is_made;
    struct dataset *dataset;
    struct error error;

    if (size < 4)
        return 0;
    if (!is_made) {
        if (!mkdtemp(folder))
            abort();
        atexit(remove_folder);
        is_made = true;
    }
    size_t first = take_size(&data, &size), second;
    if (size - first < 2)
        return 0;
    write_file(0, data, first);
    data += first;
    size -= first;
    second = take_size(&data, &size);
    write_file(1, data, second);
    write_file(2, data + second, size - second);
    if (dataset_open(&dataset, &options, DATA_IMAGES | DATA_TARGETS, &error))
        return 0;
    fuzz_gather(dataset, CLASSES);
    dataset_close(dataset);
    return 0;
}
