#include "coordinator/keep.h"

#include <errno.h>
#include <string.h>

int keep_begin(struct keep *keep, const struct run_request *request, const struct segment *segment, struct error *error)
{
    const struct config *config = &request->plan->config;
    char path[CONFIG_PATH_MAX + 16];

    if (!request->record && !config->run.record)
        return 0;
    snprintf(path, sizeof(path), "%s/recording.tprec", request->folder);
    if (!request->record && !(keep->own = fopen(path, "we")))
        return error_set(error, "%s cannot be written: %s", path, strerror(errno));
    keep->recorder =
        recorder_begin(keep->own ? keep->own : request->record, segment, (uint64_t)config->run.record_mib << 20);
    return keep->recorder ? 0 : error_set(error, "out of memory for the recording");
}

bool keep_look(struct keep *keep)
{
    if (!keep->recorder)
        return false;
    recorder_look(keep->recorder);
    if (keep->said_full || !recorder_is_full(keep->recorder))
        return false;
    keep->said_full = true;
    return true;
}

int keep_end(struct keep *keep)
{
    int result = recorder_end(keep->recorder);

    keep->recorder = NULL;
    if (keep->own && fclose(keep->own))
        result = -1;
    keep->own = NULL;
    return result;
}
