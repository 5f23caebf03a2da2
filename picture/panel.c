#include "picture/panel.h"

#include <stdlib.h>

struct panel *panel_create(const struct plan *plan, int lanes)
{
    struct panel *panel = calloc(1, sizeof(*panel) + (size_t)lanes * sizeof(panel->lanes[0]));

    if (!panel)
        return NULL;
    panel->plan = plan;
    panel->lane_count = lanes;
    for (int l = 0; l < lanes; l++)
        snprintf(panel->lanes[l].name, sizeof(panel->lanes[l].name), "stage %d", l + 1);
    return panel;
}

void panel_destroy(struct panel *panel)
{
    if (!panel)
        return;
    for (int l = 0; l < panel->lane_count; l++)
        free(panel->lanes[l].spans);
    free(panel);
}

int panel_add(struct panel *panel, int lane, const struct panel_span *span)
{
    struct panel_lane *of = &panel->lanes[lane];

    if (of->count == of->room) {
        const int room = of->room > 0 ? 2 * of->room : 64;
        struct panel_span *spans = realloc(of->spans, (size_t)room * sizeof(*spans));

        if (!spans)
            return -1;
        of->spans = spans;
        of->room = room;
    }
    of->spans[of->count++] = *span;
    return 0;
}
