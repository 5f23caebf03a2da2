/* Pictures of plans: the schedule as lanes, of one system or of several, one below the other. */
#ifndef TP_COORDINATOR_DRAW_PLAN_H
#define TP_COORDINATOR_DRAW_PLAN_H

#include "coordinator/prepare.h"
#include "picture/render.h"

struct drawing_request {
    const struct preparation *preparation; /* that made the plan */
    const char *beside;                    /* "pipedream,gpipe": systems to draw below it; NULL: none */
    bool times;                            /* those of the prediction; else ticks */
    bool versions;                         /* ops say which weight versions they read and make */
    int ticks, minibatches;                /* as of the grid; with --minibatches all of them are drawn */
    const char *const *paths;              /* [PICTURE_FORMATS]; NULL: not in this format */
    FILE *const *files;                    /* [PICTURE_FORMATS], open */
};

/* -1 and the reason if `beside` names something that is no system. */
int plan_check_beside(const char *list, struct error *error);

/* Says on stderr what is wrong. */
enum exit_status plan_draw(const struct plan *plan, const struct drawing_request *request);

/* Composed, for tests: the caller releases the picture. */
enum exit_status plan_compose(struct picture *picture, const struct plan *plan, const struct drawing_request *request);

#endif
