/* The views, and what they are drawn with. Each draws the canvas it is given, between the header and the footer. */
#ifndef TP_MONITOR_DRAW_H
#define TP_MONITOR_DRAW_H

#include "monitor/axis.h"

static inline struct style ink(enum colour colour)
{
    return (struct style){(uint8_t)colour, COLOUR_DEFAULT, 0};
}

static inline struct style bold(enum colour colour)
{
    return (struct style){(uint8_t)colour, COLOUR_DEFAULT, ATTRIBUTE_BOLD};
}

typedef void view_drawer(const struct canvas *canvas, const struct view_state *state, const struct moment *moment);
view_drawer draw_schedule, draw_versions, draw_memory, draw_training;

/* Keys that only the schedule view has: false if it is none of them. */
bool schedule_key(struct view_state *state, const struct moment *moment, int key);

/* A press of the mouse in the schedule view, at a cell of the canvas that it is drawn on. */
void schedule_point(struct view_state *state, const struct moment *moment, int press, const struct canvas *canvas,
                    int row, int column);

/* Selects an op of a stage, or the stage alone; what is on the screen stays there. */
void schedule_select(struct view_state *state, const struct moment *moment, int stage, const struct op_record *op);

/* One step closer, or further, about the time at a column; NULL axis: about the right edge. */
void schedule_zoom(struct view_state *state, const struct moment *moment, int direction, const struct time_axis *axis,
                   int column);

/* One line that says what a view shows. */
const char *view_help(enum view view);

/* Around every view: the run and where it is; for some seconds a message, or what the user is asked; where a replay is; the
 * keys; over it, if the user asks, what the keys do. */
view_drawer frame_header, frame_message, frame_seek, frame_footer, frame_help, frame_marks, frame_choices;
enum { HEADER_ROWS = 2 };

/* What a column of the footer, or of the seek bar, stands for: a view, or VIEWS for none; a time, in seconds. */
enum view frame_view_at(const struct canvas *footer, enum view shown, int column);
double frame_time_at(const struct canvas *seek, const struct moment *moment, int column);

/* If the run did not end well, why, in at most so many rows. Returns how many, also for a canvas without rows. */
int frame_banner(const struct canvas *canvas, const struct moment *moment, int rows);

/* Which stages a view shows that has room for `room` of them: the first, such that the selected one is among them. */
int first_stage_shown(const struct view_state *state, const struct moment *moment, int room);

/* At the right end of a row, which stages a section shows, if not all have room. */
void draw_stages_shown(const struct canvas *canvas, int row, int first, int shown, int stages);
enum { STAGES_SHOWN_COLUMNS = 21 }; /* that it mostly takes */

/* A stage's number; where stages host several parts, and a row is a part's, as part_format has it. */
void draw_stage_name(const struct canvas *canvas, int row, int column, struct style style, const struct plan *plan,
                     int part);

/* A title, and a row for each machine of a run on several; then one for each link between machines, if there are several:
 * those that have room. And how many of the latter there are. */
void draw_machines(const struct canvas *canvas, const struct snapshot *snapshot);
int machine_links(const struct snapshot *snapshot);

/* A section's title in a line across the canvas. */
void draw_title(const struct canvas *canvas, int row, const char *title);
void draw_title_at(const struct canvas *canvas, int row, int column, const char *title);

#endif
