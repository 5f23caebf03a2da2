/* What the config leaves to its system: how many parts a stage hosts, and where they lie. */
#include <stdlib.h>

#include "base/file.h"
#include "base/numbers.h"
#include "plan/config_keys.h"
#include "schedule/csv.h"
#include "schedule/system.h"

struct wish {
    int parts;
    enum placement placement;
};

/* A file that cannot be read, or that is no schedule, is said to be so when the plan is made. */
static struct wish wish_of_file(const char *path)
{
    struct wish wish = {1, PLACEMENT_LOOP};
    struct csv_schedule csv;
    struct error ignored;
    char *text;
    size_t size;

    if (file_read(path, &text, &size, &ignored))
        return wish;
    if (csv_read(&csv, text, size, &ignored) == 0) {
        wish.parts = min_int(csv.parts, STAGE_PARTS_MAX);
        wish.placement = csv.parts > 1 ? csv.placement : PLACEMENT_LOOP;
        csv_release(&csv);
    }
    free(text);
    return wish;
}

void config_ask_system(struct config *config)
{
    const struct system *system = system_find(config->pipeline.system);
    int *parts = &config->pipeline.parts, *placement = &config->pipeline.placement;

    if (*parts != PARTS_OF_SYSTEM && *placement != PLACEMENT_OF_SYSTEM)
        return;
    const struct wish wish = system ? (struct wish){orders[system->order].parts, orders[system->order].placement}
                                    : wish_of_file(config->pipeline.system);

    if (*parts == PARTS_OF_SYSTEM)
        *parts = wish.parts;
    if (*placement == PLACEMENT_OF_SYSTEM)
        *placement = (int)wish.placement;
}
