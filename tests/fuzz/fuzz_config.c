/* Configs: whatever the file holds, each key has a value that can be shown, or there is a mistake with a place. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plan/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_mistakes mistakes;
    static struct config config;
    struct config_value value;
    char path[FUZZ_PATH_MAX];
    int descriptor = fuzz_file(data, size, path);

    if (config_load(&config, path, NULL, 0, &mistakes) != (mistakes.count ? -1 : 0))
        abort();
    for (int i = 0; i < mistakes.count && i < CONFIG_MISTAKES_MAX; i++)
        fuzz_touch(mistakes.lines[i], strlen(mistakes.lines[i]));
    for (int i = 0; config_get(&config, i, &value); i++)
        fuzz_touch(value.text, strlen(value.text));
    close(descriptor);
    return 0;
}
