/* IDX files, plain and gzip: read as images and as labels, then every sample that is said to be there is looked at. */
#include <stdlib.h>
#include <unistd.h>

#include "data/elements.h"
#include "data/idx.h"
#include "data/memory.h"
#include "tests/fuzz/fuzz.h"

enum { CLASSES = 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct samples images = {0}, labels = {0};
    struct data_memory memory;
    char path[FUZZ_PATH_MAX];
    struct error error;
    int descriptor = fuzz_file(data, size, path);

    if (idx_read_images(&images, &memory, path, 0, &error) == 0)
        fuzz_touch(elements_at(&images.elements, 0, NULL), (size_t)images.count * shape_size(images.shape));
    if (idx_read_labels(&labels, path, CLASSES, 0, &error) == 0)
        for (int i = 0; i < labels.count; i++)
            if (labels.targets[i] >= CLASSES)
                abort();
    elements_release(&images.elements);
    data_memory_release(&memory);
    free(labels.targets);
    close(descriptor);
    return 0;
}
