/* The manifest of a checkpoint: what passes has a config that config_load could have made, and reads the same again when
 * it is written. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/manifest.h"
#include "tests/fuzz/fuzz.h"

static void check_again(const struct manifest *manifest)
{
    struct manifest again;
    struct error error;
    json_t *json = manifest_json(manifest);
    char *text = json ? json_dumps(json, JSON_REAL_PRECISION(17)) : NULL;

    if (!text || manifest_read(&again, text, strlen(text), &error) || again.file_count != manifest->file_count ||
        again.epoch_count != manifest->epoch_count || again.updates != manifest->updates)
        abort();
    manifest_release(&again);
    free(text);
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct manifest manifest;
    struct error error;

    if (manifest_read(&manifest, (const char *)data, size, &error))
        return 0;
    if (config_check(&manifest.config, &error))
        abort();
    for (int i = 0; i < manifest.file_count; i++)
        if (strchr(manifest.files[i].name, '/') || !memchr(manifest.files[i].name, '\0', CHECKPOINT_NAME_MAX))
            abort();
    check_again(&manifest);
    manifest_release(&manifest);
    return 0;
}
