/* Pictures, decoded and scaled, in colour and grey. */
#include "data/picture.h"

#include "tests/fuzz/fuzz.h"

enum { SIDE = 28 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t out[SIDE * SIDE * 3];
    struct error error;

    for (int channels = 1; channels <= 3; channels += 2)
        if (picture_decode(data, size, (struct shape){SIDE, SIDE, channels}, out, &error) == 0)
            fuzz_touch(out, sizeof(out));
    return 0;
}
