/* The views, and what they are drawn with. Each draws the canvas it is given, between the header and the footer. */
#ifndef TP_MONITOR_DRAW_H
#define TP_MONITOR_DRAW_H

#include "monitor/view.h"

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

/* One line that says what a view shows. */
const char *view_help(enum view view);

/* Around every view: the run and where it is; for some seconds a message, or what the user is asked; where a replay is; the
 * keys; over it, if the user asks, what the keys do. */
view_drawer frame_header, frame_message, frame_seek, frame_footer, frame_help, frame_marks;
enum { HEADER_ROWS = 2 };

/* If the run did not end well, why, in at most so many rows. Returns how many. */
int frame_banner(const struct canvas *canvas, const struct moment *moment, int rows);

/* Which stages a view shows that has room for `room` of them: the first, such that the selected one is among them. */
int first_stage_shown(const struct view_state *state, const struct moment *moment, int room);

/* At the right end of a row, which stages a section shows, if not all have room. */
void draw_stages_shown(const struct canvas *canvas, int row, int first, int shown, int stages);

/* A stage's number; where stages host several parts, and a row is a part's, as part_format has it. */
void draw_stage_name(const struct canvas *canvas, int row, int column, struct style style, const struct plan *plan,
                     int part);

/* A section's title in a line across the canvas. */
void draw_title(const struct canvas *canvas, int row, const char *title);
void draw_title_at(const struct canvas *canvas, int row, int column, const char *title);

#endif
