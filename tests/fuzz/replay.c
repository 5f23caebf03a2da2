/* The main of a fuzz target without a fuzzer: each file named goes through it once. */
#include <stdio.h>

#include "tests/fuzz/fuzz.h"

int main(int count, char **paths)
{
    static uint8_t bytes[1 << 20];

    for (int i = 1; i < count; i++) {
        FILE *file = fopen(paths[i], "rb");

        if (!file) {
            perror(paths[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(bytes, fread(bytes, 1, sizeof(bytes), file));
        fclose(file);
    }
    printf("%d seeds\n", count - 1);
    return count == 1;
}
