/* What else can be shown, for the user to pick from: runs that are going, or recordings that lie together, as those of a
 * comparison do. */
#ifndef TP_MONITOR_CHOICES_H
#define TP_MONITOR_CHOICES_H

#include "base/error.h"
#include "plan/config.h"

enum { CHOICE_TEXT_MAX = 96 };

struct choice {
    char what[CONFIG_PATH_MAX]; /* a run's segment, or a recording's path */
    char text[CHOICE_TEXT_MAX];
};

struct choices {
    struct choice *items; /* [count]; NULL: none */
    int count, selected;
};

void choices_free(struct choices *choices);

/* Adds one. -1 if out of memory. */
int choices_add(struct choices *choices, const char *what, const char *text, struct error *error);

/* Selects what is shown now, if it is among them. */
void choices_select(struct choices *choices, const char *what);

/* The recordings in a folder, by name: files that end with .tprec, the recordings of run folders, and likewise those in its
 * folders, as of comparisons in runs/. A folder that cannot be read has none. -1 if out of memory. */
int choices_of_recordings(struct choices *choices, const char *folder, struct error *error);

/* The folder in which a recording and others like it lie: for RUN/recording.tprec the one that RUN is in. */
void choices_folder(const char *recording, char folder[CONFIG_PATH_MAX]);

#endif
