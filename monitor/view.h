/* What the monitor shows and what its user has chosen to see: the interface between where the data comes from (a live
 * run or a recording, monitor/source.h) and the drawing of it. Drawing and the keys that change a view are pure
 * functions of what is here, so that they are tested without a terminal. */
#ifndef TP_MONITOR_VIEW_H
#define TP_MONITOR_VIEW_H

#include "monitor/canvas.h"
#include "monitor/choices.h"
#include "telemetry/history.h"
#include "telemetry/snapshot.h"

enum moment_kind { MOMENT_LIVE, MOMENT_ENDED, MOMENT_REPLAY };

/* A run at one moment, with its past. When the user freezes the view, the moment stays as it was; the run goes on. */
struct moment {
    enum moment_kind kind;
    const struct snapshot *snapshot; /* its now_ns is the moment's time, also in a replay */
    const struct history *history;   /* nothing in it is later than now_ns, but for a wait that is over just now */
    const struct curve *curve;
    bool controlled;           /* the run was started with --interactive and its controls are open */
    double speed;              /* replay: recorded seconds a second, negative: backwards, 0: it stands */
    uint64_t begin_ns, end_ns; /* replay: of the recording */
    const char *source;        /* the run's name, or the recording's file */
    const char *message; /* one line for the user: what a key did, why it did nothing, why the run ended; "": none */
};

/* What an op's colour stands for. */
enum colouring { COLOURING_MINIBATCH, COLOURING_KIND, COLOURING_MICROBATCH, COLOURING_VERSION, COLOURINGS };

enum view { VIEW_SCHEDULE, VIEW_VERSIONS, VIEW_MEMORY, VIEW_TRAINING, VIEWS };

/* "schedule", ...: as on the command line. */
const char *view_name(enum view view);

/* What the user chose, changed by keys only. All zero but ns_per_column is where a monitor begins. */
struct view_state {
    enum view view;
    uint64_t ns_per_column; /* of the schedule view; 0: not chosen yet, the drawing finds one that shows a few rounds */
    bool frozen;            /* the moment stays */
    uint64_t right_ns;      /* time at the right edge; 0: it follows the newest */
    int cursor_stage;       /* selected stage, 1..; 0: the first */
    uint64_t cursor_ns;     /* selected time, for an op's details; 0: no op is selected */
    bool ticks;             /* the schedule's axis is the order of things (telemetry/ticks.h), not the clock; */
    int tick_columns;       /* a tick is so wide, up to 12; 0: as wide as an op's name */
    enum colouring colouring;
    bool costs;                    /* planned ops are as wide as they cost, and in ticks those that ran, too */
    const char *prompt;            /* what the user has typed behind ':', where to go; NULL: nothing is asked */
    const struct choices *choices; /* shown over the view, to pick from; NULL: none */
    int help;                      /* the page shown over the view: 1 the keys, 2 what the view's marks mean; 0: none */
    bool above;                    /* another view is drawn below, whose line of keys is for both */
};

/* A key is a character, or one of these. */
enum press {
    PRESS_TAB = '\t',
    PRESS_ENTER = '\n',
    PRESS_ESCAPE = 27,
    PRESS_UP = 0x110000, /* behind Unicode */
    PRESS_DOWN,
    PRESS_LEFT,
    PRESS_RIGHT,
    PRESS_PAGE_UP,
    PRESS_PAGE_DOWN,
    PRESS_HOME,
    PRESS_END,
    PRESS_BACK_TAB,
    PRESS_BACKSPACE,
    PRESS_CLICK, /* the mouse's left button; */
    PRESS_WHEEL_UP,
    PRESS_WHEEL_DOWN,
};

/* Keys of the views: 1 to 4, Tab and Shift-Tab choose the view; f freezes it; t changes the schedule's axis, w how wide
 * ops are, c what their colours stand for; + and - zoom; arrows, Page Up, Page Down, Home and End move and select; Enter
 * selects the newest op, Escape none, and then goes back to the newest; ? shows the keys.
 *
 * Keys of time, which main handles and a view does not see: q quits; space pauses and resumes the run (--interactive) or
 * the replay; . lets the selected stage run one op, or steps the replay one op on, and , one back; s lets every stage
 * that can run one op do so: one tick of the unit-time grid; < and > change slow motion, or the replay's speed; r turns
 * the replay round; g and G go to its begin and end; [ and ] to the mini-batch before and after, { and } to an epoch, : to
 * one that is typed; l lists what else can be shown, n goes on to the next of these; m gives the mouse to the terminal and
 * takes it back. */

/* Draws the whole canvas, whatever its size. */
void view_draw(struct canvas *canvas, const struct view_state *state, const struct moment *moment);

/* Changes the state. False: the key is none of a view's. */
bool view_key(struct view_state *state, const struct moment *moment, int key);

/* A press of the mouse at a cell of what view_draw draws on a canvas of this size. A click on an op selects it, one beside
 * it its stage; a click on a view's name shows that view. The wheel zooms the schedule about the cell, and elsewhere
 * goes from stage to stage. */
void view_point(struct view_state *state, const struct moment *moment, int press, const struct canvas *size, int row,
                int column);

/* Whether the cell is on a replay's seek bar, and for which time it stands, in seconds of the recording. */
bool view_seeks(const struct view_state *state, const struct moment *moment, const struct canvas *size, int row,
                int column, double *seconds);

#endif
