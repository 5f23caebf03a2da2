/* A moment as a picture: what every stage did in the time before it, above what was planned. */
#ifndef TP_MONITOR_STILL_H
#define TP_MONITOR_STILL_H

#include "monitor/view.h"
#include "picture/render.h"

struct still_request {
    double seconds; /* of time that is drawn; 0: so much that ops have room for their names */
    bool versions;  /* ops say which weight versions they read and make */
};

/* Composes it; the caller releases the picture. -1 if there is nothing to draw. */
int still_compose(struct picture *picture, const struct moment *moment, const struct still_request *request,
                  struct error *error);

/* Writes it to the files, "-" being standard output; paths[PICTURE_FORMATS], NULL: not in this format. */
int still_write(const struct picture *picture, const char *const *paths, struct error *error);

#endif
