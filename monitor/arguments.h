/* tpmon's command line. */
#ifndef TP_MONITOR_ARGUMENTS_H
#define TP_MONITOR_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "base/program.h"
#include "monitor/view.h"
#include "picture/render.h"

struct arguments {
    char coordinator[PROGRAM_CALL_MAX]; /* how to call tpcoord */
    const char *run;                    /* name, folder or segment; NULL: the newest */
    const char *replay;                 /* path; NULL: a live run */
    const char *beside;                 /* path of a second recording, on the same clock; NULL: none */
    enum view view;
    int width, height;                     /* of --once; 0: not given */
    double at;                             /* seconds of a recording; negative: not given */
    double span;                           /* seconds that a picture shows; 0: not given */
    const char *pictures[PICTURE_FORMATS]; /* paths; NULL: none */
    const char *trace;                     /* path; NULL: none */
    bool versions;                         /* on a picture */
    bool once, list, ascii, no_mouse, help, version;
};

/* -1 and the reason if it makes no sense. Strings are argv's. */
int arguments_read(struct arguments *arguments, int argc, char **argv, struct error *error);

/* Whether a picture is asked for. */
bool arguments_draw(const struct arguments *arguments);

void arguments_print_help(FILE *out);

#endif
