/* Files of tokens and texts, plain and gzip: every sample that is said to be there is gathered. */
#include <stdlib.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"

enum { CONTEXT = 4, CLASSES = 60000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const sets[] = {"text", "tokens"};
    char path[FUZZ_PATH_MAX];
    int descriptor = fuzz_file(data, size, path);

    for (int k = 0; k < 2; k++) {
        const struct data_options options = {
            .set = sets[k], .file = path, .classes = CLASSES, .context = CONTEXT, .room = 1 << 28};
        struct dataset *dataset;
        struct error error;

        if (dataset_open(&dataset, &options, DATA_IMAGES | DATA_TARGETS, &error))
            continue;
        fuzz_gather(dataset, CLASSES);
        dataset_close(dataset);
    }
    close(descriptor);
    return 0;
}
