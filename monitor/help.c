/* The pages over a view: what the keys do, what the view's marks mean, and what else can be shown. */
#include <stdio.h>

#include "base/numbers.h"
#include "monitor/draw.h"

enum { HELP_COLUMNS = 78, ROWS_MAX = 18 };

struct help_row {
    const char *mark, *what;
};

static const struct help_row keys[] = {
    {"q ?", "quit; this help, then what the marks of the view mean"},
    {"1 2 3 4, Tab", "schedule, versions, memory, training"},
    {"t w c", "ticks or clock; ops as wide as they cost; what colours mean"},
    {"f", "freeze what is shown; the run goes on"},
    {"+ - 0", "zoom in, out, back to what fits"},
    {"Left, Right", "move through time, or from op to op once one is selected"},
    {"Up, Down", "select a stage"},
    {"Page Up, Down", "move through time by half a screen; Home, End: to its ends"},
    {"Enter, Escape", "select the newest op in sight, or none; then back to now"},
    {"space", "pause and go on (run with --interactive, or replay)"},
    {". ,", "one op of the selected stage; in a replay: one op on, back"},
    {"s", "one op of every stage that can: a tick of the plan"},
    {"< >", "slow motion, or the replay's speed; r turns it round"},
    {"g G :", "the recording's begin and end; a mini-batch that is typed"},
    {"[ ] { }", "the mini-batch before and after; the epoch before and after"},
    {"click, wheel", "select an op, a stage, a view; zoom (with Shift: text)"},
    {"l n m", "list runs, or recordings; the next one; mouse selects text"},
    {"Ctrl-L", "draw the screen anew"},
};

static const struct help_row marks[VIEWS][ROWS_MAX] = {
    [VIEW_SCHEDULE] = {{"2B\u2591", "the forward of micro-batch B of mini-batch 2"},
                       {"2\u2588 2b\u2588", "the backward of mini-batch 2; of its micro-batch B alone"},
                       {"2b<\u2588 2b+\u2592", "its halves: the gradient that goes on; that of the weights"},
                       {"2B'", "of a stage's second part"},
                       {"v7", "the weight version that the op reads"},
                       {"\u25b28", "an update of the weights, which makes version 8"},
                       {"\u00b7a\u00b7", "waits: activation, gradient, slot, norm, data; k: a core"},
                       {"\u00b7h\u00b7", "held: the run is paused"},
                       {"\u25b2 v = 2", "the last stage's updates: those of one colour are one chain"},
                       {"\u2592", "several ops share a column"},
                       {"idle 12%", "without an op, from the first op in sight to now"},
                       {"planned", "the schedule on paper, laid at the last stage's updates"},
                       {"\u25bcnow", "behind it lies what the plan says comes next"}},
    [VIEW_VERSIONS] = {{"v7 \u25cf", "live: the newest weights that this stage has made"},
                       {"\u25b6", "an op that runs now reads it"},
                       {"\u25a0", "a forward has read it, and it is kept for what comes back"},
                       {"\u25cb", "kept in case: an op still to come may ask for it"},
                       {"for 33A-D 31", "ops to come that read it, as far as the run knows"},
                       {"staleness", "updates between a version that was read and the newest one,"},
                       {"", "counted when a backward begins: of its forward, and its own"},
                       {"mean 1.90", "then values and their shares, the most frequent first"},
                       {"\u2026", "there are more"},
                       {"v", "mini-batch i reads weights that mini-batch i - v has made"},
                       {"v7 \u2500 33A \u2500", "the line of a version, with the ops that have read it;"},
                       {"\u25b2", "an update made it there;"},
                       {"\u00b7\u00b7\u00b7", "it was kept only in case an op would ask for it"}},
    [VIEW_MEMORY] = {{"w s g o", "weights, stash (older versions), gradients, optimizer,"},
                     {"a l k", "activations, links between stages, workspace"},
                     {"\u2503", "what the plan has room for"},
                     {"\u2506", "the peak so far, where it is not the plan's"},
                     {"now", "bytes in use at this moment"},
                     {"versions", "of the weights: the live one, and older ones in the stash"},
                     {"mini-batches", "in flight, or micro-batches: their activations are kept"}},
    [VIEW_TRAINING] = {{"training loss", "each dot the mean of some mini-batches, since the run began"},
                       {"test accuracy", "top-1 after each epoch"},
                       {"time", "since the run began: computing, updating, waiting by cause"},
                       {"74.9%", "of the time the stage computed"}},
};

static void draw_page(const struct canvas *canvas, const struct view_state *state, const struct help_row *rows,
                      int count)
{
    const int columns = min_int(HELP_COLUMNS, canvas->columns), height = min_int(count + 5, canvas->rows);
    const struct canvas box =
        canvas_part(canvas, (canvas->rows - height) / 2, (canvas->columns - columns) / 2, height, columns);
    const struct canvas text = canvas_part(&box, 1, 2, height - 2, columns - 4);

    canvas_clear(&box);
    canvas_box(&box, ink(COLOUR_KEY));
    canvas_print(&box, 0, 2, bold(COLOUR_KEY), " %s ", view_name(state->view));
    canvas_write_right(&box, 0, columns - 2, ink(COLOUR_DIM), state->help == 1 ? " ? its marks " : " ? back ");
    canvas_write(&text, 0, 0, ink(COLOUR_DEFAULT), view_help(state->view));
    if (height - 4 < count)
        canvas_print(&box, height - 1, 2, ink(COLOUR_DIM), " %d more on a larger screen ",
                     count - max_int(height - 4, 0));
    for (int k = 0; k < count; k++) {
        canvas_write(&text, k + 2, 0, bold(COLOUR_KEY), rows[k].mark);
        if (canvas_write(&text, k + 2, 15, ink(COLOUR_DEFAULT), rows[k].what) > text.columns)
            canvas_write(&text, k + 2, text.columns - 1, ink(COLOUR_DEFAULT), "…");
    }
}

void frame_help(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    (void)moment;
    draw_page(canvas, state, keys, (int)(sizeof(keys) / sizeof(keys[0])));
}

void frame_marks(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    int count = 0;

    (void)moment;
    while (count < ROWS_MAX && marks[state->view][count].what)
        count++;
    draw_page(canvas, state, marks[state->view], count);
}

void frame_choices(const struct canvas *canvas, const struct view_state *state, const struct moment *moment)
{
    const struct choices *choices = state->choices;
    const int columns = min_int(HELP_COLUMNS, canvas->columns), height = min_int(choices->count + 2, canvas->rows);
    const int room = max_int(height - 2, 1);
    const int first = max_int(0, min_int(choices->selected - room / 2, choices->count - room));
    const struct canvas box =
        canvas_part(canvas, (canvas->rows - height) / 2, (canvas->columns - columns) / 2, height, columns);
    const struct canvas text = canvas_part(&box, 1, 1, height - 2, columns - 2);

    canvas_clear(&box);
    canvas_box(&box, ink(COLOUR_KEY));
    canvas_print(&box, 0, 2, bold(COLOUR_KEY), " %s ",
                 moment->kind == MOMENT_REPLAY ? "recordings" : "runs that are going");
    canvas_write_right(&box, 0, columns - 2, ink(COLOUR_DIM), " ↑↓ Enter shows, Escape leaves ");
    if (room < choices->count)
        canvas_print(&box, height - 1, 2, ink(COLOUR_DIM), " %d of %d ", choices->selected + 1, choices->count);
    for (int k = 0; k < room && first + k < choices->count; k++) {
        const bool selected = first + k == choices->selected;
        const struct style style =
            selected ? (struct style){COLOUR_INK, COLOUR_KEY, ATTRIBUTE_BOLD} : ink(COLOUR_DEFAULT);

        if (selected)
            canvas_fill(&text, k, 0, text.columns, style, ' ');
        canvas_write(&text, k, 0, style, selected ? "▶" : " ");
        canvas_write(&text, k, 2, style, choices->items[first + k].text);
    }
}
