/* Views drawn on a canvas, as text and cell by cell. */
#ifndef TP_TESTS_SUPPORT_DRAWN_H
#define TP_TESTS_SUPPORT_DRAWN_H

#include "monitor/view.h"
#include "tests/support/fabricate.h"

/* A run that most tests look at: the middle of an epoch of TiMePReSt, four stages and four micro-batches. */
extern const struct fabrication usual;

/* The caller destroys it. */
struct canvas canvas_of(int rows, int columns, bool ascii);

/* The rows of a canvas as text, which the caller frees. */
char *draw(const struct view_state *state, const struct moment *moment, int rows, int columns, bool ascii);

/* Draws into the middle of a canvas of sentinels: they must stay; and what is drawn can be read on any terminal. */
void check_bounds(const struct view_state *state, const struct moment *moment, int rows, int columns);

/* The row in which a stage's lane has its name, from `row` on; -1 if there is none. */
int find_lane(const struct canvas *canvas, int row, int stage);

bool has_text(const struct canvas *canvas, int row, int column, const char *text);

/* What becomes of a run's state: paused by its monitor before the next op of each stage that runs one; or recorded, and
 * played backwards. */
void pause_run(struct fabricated *run);
void replay_run(struct fabricated *run);

#endif
