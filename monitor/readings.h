/* Which op of a stage has read which weight version: a row for each version, a column for each op, so that one sees how long
 * a version stays, and for whom. */
#ifndef TP_MONITOR_READINGS_H
#define TP_MONITOR_READINGS_H

#include "monitor/view.h"

/* The newest versions and ops of a part that have room. Returns the rows that they take. */
int draw_readings(const struct canvas *canvas, const struct view_state *state, const struct moment *moment, int part);

/* The part that matters most: of the selected stage; of none, that which holds the most versions by plan. */
int readings_first(const struct view_state *state, const struct snapshot *snapshot);

/* "45A-D 43": ops to come that read what a part keeps, as far as the run knows; "" if none is known. */
enum { KEPT_FOR_MAX = 64 };
void readings_to_come(const struct moment *moment, int part, const struct version_use *use, char text[KEPT_FOR_MAX]);

#endif
