/* The manifest of a checkpoint: what passes has a config that config_load could have made, and reads the same again when
 * it is written. The input is read as it is, and once more with the right checksum behind it. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/manifest.h"
#include "tests/fuzz/fuzz.h"

static void check_again(const struct manifest *manifest)
{
    struct manifest again;
    struct error error;
    size_t size;
    char *text = manifest_text(manifest, &size);

    if (!text || manifest_read(&again, text, size, &error) || again.file_count != manifest->file_count ||
        again.epoch_count != manifest->epoch_count || again.updates != manifest->updates ||
        again.data_crc32 != manifest->data_crc32 || again.network_crc32 != manifest->network_crc32 ||
        again.slot_count != manifest->slot_count || again.test_failed != manifest->test_failed ||
        strcmp(again.run, manifest->run) != 0)
        abort();
    manifest_release(&again);
    free(text);
}

static void check(const char *text, size_t size)
{
    struct manifest manifest;
    struct error error;

    if (manifest_read(&manifest, text, size, &error))
        return;
    if (config_check(&manifest.config, &error))
        abort();
    for (int i = 0; i < manifest.file_count; i++)
        if (strchr(manifest.files[i].name, '/') || !memchr(manifest.files[i].name, '\0', CHECKPOINT_NAME_MAX))
            abort();
    check_again(&manifest);
    manifest_release(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_sealed(data, size, check);
    return 0;
}
