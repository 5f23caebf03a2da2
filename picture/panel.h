/* Schedules and runs drawn as lanes: a panel has a lane for each stage, with the spans that a monitor draws
 * (telemetry/timeline.h). Panels stand one below the other on one scale of time, so that systems can be compared. */
#ifndef TP_PICTURE_PANEL_H
#define TP_PICTURE_PANEL_H

#include "picture/picture.h"
#include "schedule/follower.h"
#include "telemetry/timeline.h"

/* A span, and the weight versions that its op reads and makes. */
struct panel_span {
    struct span span;          /* nanoseconds, or ticks */
    int read_first, read_last; /* by its micro-batches; VERSION_UNKNOWN: not known, VERSION_SUM: a sum of vectors */
    int made;                  /* by the update that follows it; VERSION_UNKNOWN: by none, or not known */
};

struct panel {
    const struct plan *plan; /* which outlives the panel */
    char title[160], note[240];
    uint64_t zero; /* the time that is 0 on the axis */
    int lane_count;
    struct panel_lane {
        char name[32];
        struct panel_span *spans; /* [count]; they do not overlap */
        int count, room;
    } lanes[];
};

/* Empty lanes, with the stages' names. NULL if out of memory; the caller destroys it. */
struct panel *panel_create(const struct plan *plan, int lanes);
void panel_destroy(struct panel *panel);

/* -1 if out of memory. */
int panel_add(struct panel *panel, int lane, const struct panel_span *span);

struct panel_style {
    uint64_t length; /* of time that is drawn, from each panel's zero on */
    bool ticks;      /* a column for each tick; else a time axis */
    bool versions;   /* ops say what they read and make */
    double width;    /* of all time, in units; 0: what names need to be read */
};

/* Composes the picture: `title` above all panels, or "" if the panel's own will do. The caller releases it. */
void panels_compose(struct picture *picture, const char *title, const struct panel *const *panels, int count,
                    const struct panel_style *style);

#endif
