/* The files of a checkpoint: what is read as a tensor has as many bytes as its shape says, and all of them are there. */
#include <stdlib.h>

#include "checkpoint/safetensors.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors file;
    struct error error;

    if (safetensors_read(&file, data, size, &error))
        return 0;
    for (int i = 0; i < file.count; i++) {
        const struct safetensors_entry *entry = &file.entries[i];
        uint64_t bytes = (uint64_t)entry->type->bytes, last = (entry->end - entry->begin) / bytes - 1;
        float first_and_last[2];

        for (int d = 0; d < entry->dimensions; d++)
            bytes *= entry->shape[d];
        if (bytes != entry->end - entry->begin || safetensors_find(&file, entry->name) != entry)
            abort();
        fuzz_touch(entry->values, (size_t)bytes);
        if (bytes > 0 && entry->type->floats) {
            safetensors_floats(entry, 0, 1, &first_and_last[0]);
            safetensors_floats(entry, last, 1, &first_and_last[1]);
            fuzz_touch(first_and_last, sizeof(first_and_last));
        }
    }
    safetensors_release(&file);
    return 0;
}
