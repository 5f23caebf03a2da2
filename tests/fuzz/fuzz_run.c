/* The run.json of a run's folder: strings end within their arrays. The input is read as it is, and once more with the
 * right checksum behind it. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/run_folder.h"
#include "tests/fuzz/fuzz.h"

static void check(const char *text, size_t size)
{
    struct run_facts facts;
    struct error error;

    if (run_facts_read(&facts, text, size, &error))
        return;
    if (!run_id_is_valid(facts.run) || !memchr(facts.config, '\0', sizeof(facts.config)) || facts.coordinator < 1)
        abort();
    run_facts_match(&facts, "/dev/null");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_sealed(data, size, check);
    return 0;
}
