#include "coordinator/keep.h"

#include <errno.h>
#include <string.h>

#include "base/file.h"

static const char file_name[] = "recording.tprec";

int keep_begin(struct keep *keep, const struct run_request *request, const struct segment *segment, struct error *error)
{
    const struct config *config = &request->plan->config;
    if (!request->record && !config->run.record)
        return 0;
    if (!request->record && !(keep->own = file_create(request->folder->descriptor, file_name)))
        return error_set(error, "%s/%s cannot be written: %s", request->folder->path, file_name, strerror(errno));
    keep->mib = config->run.record_mib;
    keep->recorder = recorder_begin(keep->own ? keep->own : outlet_stream(request->record), segment,
                                    (uint64_t)config->run.record_mib << 20);
    return keep->recorder ? 0 : error_set(error, "out of memory for the recording");
}

bool keep_look(struct keep *keep, struct error *why)
{
    if (!keep->recorder)
        return false;
    recorder_look(keep->recorder);
    const int failure = recorder_failure(keep->recorder);
    if (keep->said || !(failure || recorder_is_full(keep->recorder)))
        return false;
    keep->said = true;
    if (failure)
        error_set(why, "the recording cannot be written: %s; the rest of the run is not in it", strerror(failure));
    else
        error_set(why, "the recording has reached run.record_mib = %d MiB; the rest of the run is not in it",
                  keep->mib);
    return true;
}

int keep_end(struct keep *keep, const struct run_request *request, struct error *error)
{
    const bool in_background = keep->recorder && !keep->own;
    int result = recorder_end(keep->recorder);

    if (in_background && outlet_finish(request->record, request->signals))
        result = -1;
    keep->recorder = NULL;
    if (keep->own && fclose(keep->own))
        result = -1;
    keep->own = NULL;
    return result ? error_set(error, "the recording could not be written to its end") : 0;
}
