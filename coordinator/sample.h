/* Text that a checkpoint's network writes: it begins with a prompt, and each next byte is drawn from what the network says
 * of it (tpcoord sample). */
#ifndef TP_COORDINATOR_SAMPLE_H
#define TP_COORDINATOR_SAMPLE_H

#include <stdint.h>
#include <stdio.h>

#include "base/error.h"

struct sample_request {
    const char *run;    /* a run's folder, or a checkpoint's */
    const char *prompt; /* "": the text begins after a line's end */
    int tokens;         /* to write */
    double temperature; /* what logits are divided by; 0: always the likeliest */
    uint64_t seed;
    FILE *out;
};

/* Writes the prompt and what follows, byte by byte. Nothing is written elsewhere, and the run may be going on. */
int sample_write(const struct sample_request *request, struct error *error);

#endif
