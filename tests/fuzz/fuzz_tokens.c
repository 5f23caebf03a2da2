/* Files of tokens and texts, plain and gzip: every sample that is said to be there is gathered. */
#include <stdlib.h>
#include <unistd.h>

#include "data/data.h"
#include "tests/fuzz/fuzz.h"

enum { CONTEXT = 4, CLASSES = 60000 };

static void gather_all(const struct samples *samples)
{
    struct error error;

    for (int i = 0; i < samples->count; i++) {
        int32_t tokens[CONTEXT], targets[CONTEXT];

        if (data_gather_tokens(samples, &i, 1, CLASSES, tokens, &error) ||
            data_gather_targets(samples, &i, 1, CLASSES, targets, &error))
            abort();
        for (int k = 0; k < CONTEXT; k++)
            if (targets[k] < 0 || targets[k] >= CLASSES || (k > 0 && targets[k - 1] != tokens[k]))
                abort();
    }
}

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
        gather_all(&dataset->train);
        gather_all(&dataset->test);
        dataset_close(dataset);
    }
    close(descriptor);
    return 0;
}
