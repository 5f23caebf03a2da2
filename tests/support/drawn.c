#include "tests/support/drawn.h"

#include <check.h>
#include <stdio.h>

#include "monitor/palette.h"

enum { SENTINEL = 0x7f };

const struct fabrication usual = {"timeprest", 4, 4, 60, 4, 0.5};

struct canvas canvas_of(int rows, int columns, bool ascii)
{
    struct canvas canvas;

    ck_assert_int_eq(canvas_create(&canvas, rows, columns, ascii), 0);
    return canvas;
}

char *draw(const struct view_state *state, const struct moment *moment, int rows, int columns, bool ascii)
{
    struct canvas canvas = canvas_of(rows, columns, ascii);
    char *text;

    view_draw(&canvas, state, moment);
    text = canvas_text(&canvas);
    ck_assert_ptr_nonnull(text);
    canvas_destroy(&canvas);
    return text;
}

/* Ink and paper are for grounds of their own: on the terminal's they are black on black, or white on white. */
static bool can_be_read(const struct cell *cell)
{
    const struct tint ground = palette_background((enum colour)cell->style.background);

    return cell->glyph == ' ' || (cell->style.colour != COLOUR_INK && cell->style.colour != COLOUR_PAPER) ||
           (ground.of_256 >= 0 && (cell->style.colour == COLOUR_PAPER || ground.of_8 >= 0));
}

void check_bounds(const struct view_state *state, const struct moment *moment, int rows, int columns)
{
    struct canvas whole = canvas_of(rows + 2, columns + 2, false);

    for (int row = 0; row < whole.rows; row++)
        canvas_fill(&whole, row, 0, whole.columns, (struct style){0}, SENTINEL);
    struct canvas part = canvas_part(&whole, 1, 1, rows, columns);
    view_draw(&part, state, moment);
    for (int row = 0; row < whole.rows; row++)
        for (int column = 0; column < whole.columns; column++) {
            bool outside = row == 0 || row > rows || column == 0 || column > columns;
            const struct cell *cell = canvas_cell(&whole, row, column);

            /* An assertion costs a system call: not one for every cell. */
            if ((cell->glyph == SENTINEL) != outside || cell->style.colour >= COLOURS ||
                cell->style.background >= COLOURS)
                ck_abort_msg("%s at %d x %d: cell %d, %d", view_name(state->view), columns, rows, row - 1, column - 1);
            if (!outside && !can_be_read(cell))
                ck_abort_msg("%s at %d x %d: cell %d, %d has a colour of text on a ground on the terminal's own",
                             view_name(state->view), columns, rows, row - 1, column - 1);
        }
    canvas_destroy(&whole);
}

int find_lane(const struct canvas *canvas, int row, int stage)
{
    char name[16];

    snprintf(name, sizeof(name), "%2d", stage);
    for (; row < canvas->rows; row++)
        if (canvas_cell(canvas, row, 2)->glyph == 0x2502 && canvas_cell(canvas, row, 0)->glyph == (uint32_t)name[0] &&
            canvas_cell(canvas, row, 1)->glyph == (uint32_t)name[1])
            return row;
    return -1;
}

bool has_text(const struct canvas *canvas, int row, int column, const char *text)
{
    for (; *text; text++, column++) {
        const struct cell *cell = canvas_cell(canvas, row, column);

        if (!cell || cell->glyph != (uint32_t)*text)
            return false;
    }
    return true;
}

void pause_run(struct fabricated *run)
{
    run->moment.controlled = run->snapshot.interactive = true;
    for (int s = 0; s < run->snapshot.stage_count; s++)
        if (run->snapshot.stages[s].activity.kind == ACTIVITY_RUN)
            run->snapshot.stages[s].activity.kind = ACTIVITY_HELD;
}

void replay_run(struct fabricated *run)
{
    run->moment.kind = MOMENT_REPLAY;
    run->moment.speed = -0.5;
    run->moment.begin_ns = run->snapshot.epochs[0].start_ns;
    run->moment.end_ns = run->snapshot.now_ns + 7000000000;
}
