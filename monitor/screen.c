#include "monitor/screen.h"

#include <langinfo.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "monitor/palette.h"
#include "monitor/view.h"

/* Last: its macros have common names. */
#define NCURSES_NOMACROS
#define NCURSES_WIDECHAR 1
#include <curses.h>

enum { RUN_MAX = 64 };

struct screen {
    SCREEN *terminal;
    int colours;                   /* 256, 8, or 0 for none */
    short pairs[COLOURS][COLOURS]; /* of foreground and background; 0: not made yet, or the terminal's own */
    short pair_count;
};

/* Set by signals, read between two pictures: nothing is safe to call in a handler. */
static volatile sig_atomic_t end_wanted, stop_wanted;

static void want_end(int signal_number)
{
    (void)signal_number;
    end_wanted = 1;
}

static void want_stop(int signal_number)
{
    (void)signal_number;
    stop_wanted = 1;
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler};

    sigemptyset(&action.sa_mask);
    sigaction(signal_number, &action, NULL);
}

bool screen_has_unicode(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static int choose_colours(void)
{
    const char *unwanted = getenv("NO_COLOR");

    if ((unwanted && *unwanted) || !has_colors() || start_color() == ERR)
        return 0;
    use_default_colors();
    return COLORS >= 256 && COLOR_PAIRS >= 256 ? 256 : COLORS >= 8 ? 8 : 0;
}

int screen_open(struct screen **out, struct error *error)
{
    const char *name = getenv("TERM");
    struct screen *screen;

    *out = NULL;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return error_set(error, "standard input and output must be a terminal; --once prints a view anywhere");
    screen = calloc(1, sizeof(*screen));
    if (!screen)
        return error_set(error, "out of memory");
    screen->terminal = newterm(NULL, stdout, stdin);
    if (!screen->terminal || !tigetstr("cup") || tigetstr("cup") == (char *)-1) {
        if (screen->terminal)
            endwin();
        free(screen);
        return error_set(
            error, "the terminal \"%s\" (TERM) is unknown or cannot place its cursor; --once prints a view anywhere",
            name ? name : "");
    }
    /* In place of those of curses, which draw. SIGWINCH stays with it: it only sets a flag there. */
    handle(SIGINT, want_end);
    handle(SIGTERM, want_end);
    handle(SIGHUP, want_end);
    handle(SIGTSTP, want_stop);
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, true);
    nodelay(stdscr, true);
    set_escdelay(25);
    curs_set(0);
    screen->colours = choose_colours();
    *out = screen;
    return 0;
}

void screen_close(struct screen *screen)
{
    if (!screen)
        return;
    endwin();
    delscreen(screen->terminal);
    free(screen);
}

void screen_size(const struct screen *screen, int *rows, int *columns)
{
    (void)screen;
    getmaxyx(stdscr, *rows, *columns);
}

static short tint(const struct screen *screen, int colour)
{
    const struct tint tint = palette_tint((enum colour)colour);

    return (short)(screen->colours == 256 ? tint.of_256 : tint.of_8);
}

/* Curses' number of a pair of colours, which is made when it is first met. */
static short pair_of(struct screen *screen, struct style style)
{
    short *pair = &screen->pairs[style.colour][style.background];
    short foreground, background;

    if (screen->colours == 0 || *pair > 0)
        return *pair;
    const short wanted[] = {tint(screen, style.colour), tint(screen, style.background)};
    if (wanted[0] < 0 && wanted[1] < 0)
        return 0;
    /* Terminals of 8 colours have few pairs, and many of ours look alike there. */
    for (short p = 1; p <= screen->pair_count && *pair == 0; p++)
        if (pair_content(p, &foreground, &background) == OK && foreground == wanted[0] && background == wanted[1])
            *pair = p;
    if (*pair == 0 && screen->pair_count < COLOR_PAIRS - 1 && screen->pair_count < SHRT_MAX &&
        init_pair((short)(screen->pair_count + 1), wanted[0], wanted[1]) == OK)
        *pair = ++screen->pair_count;
    return *pair;
}

static attr_t attributes_of(struct style style)
{
    return (style.attributes & ATTRIBUTE_BOLD ? WA_BOLD : 0) | (style.attributes & ATTRIBUTE_REVERSE ? WA_REVERSE : 0) |
           (style.attributes & ATTRIBUTE_UNDERLINE ? WA_UNDERLINE : 0);
}

static bool same_style(struct style a, struct style b)
{
    return a.colour == b.colour && a.background == b.background && a.attributes == b.attributes;
}

/* Neighbours of one style go together. Returns the column behind them. */
static int show_run(struct screen *screen, const struct canvas *canvas, int row, int column)
{
    const struct style style = canvas_cell(canvas, row, column)->style;
    char text[4 * RUN_MAX];
    int bytes = 0;

    for (int k = 0;
         k < RUN_MAX && column < canvas->columns && same_style(canvas_cell(canvas, row, column)->style, style);
         k++, column++)
        bytes += canvas_encode(canvas_cell(canvas, row, column)->glyph, text + bytes);
    attr_set(attributes_of(style), pair_of(screen, style), NULL);
    addnstr(text, bytes);
    return column;
}

void screen_show(struct screen *screen, const struct canvas *canvas)
{
    erase();
    for (int row = 0; row < canvas->rows; row++)
        for (int column = 0; column < canvas->columns && move(row, column) == OK;)
            column = show_run(screen, canvas, row, column);
    refresh();
}

static int translate(int status, wint_t key)
{
    static const struct {
        wint_t curses;
        int press;
    } table[] = {
        {KEY_UP, PRESS_UP},         {KEY_DOWN, PRESS_DOWN},       {KEY_LEFT, PRESS_LEFT}, {KEY_RIGHT, PRESS_RIGHT},
        {KEY_PPAGE, PRESS_PAGE_UP}, {KEY_NPAGE, PRESS_PAGE_DOWN}, {KEY_HOME, PRESS_HOME}, {KEY_END, PRESS_END},
        {KEY_BTAB, PRESS_BACK_TAB}, {KEY_ENTER, PRESS_ENTER},
    };

    if (status != KEY_CODE_YES)
        return key == '\r' ? PRESS_ENTER : (int)key;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].curses == key)
            return table[i].press;
    return SCREEN_OTHER; /* also KEY_RESIZE: curses knows the new size by now */
}

/* Leaves the terminal to the shell until the program is continued. */
static void stop(void)
{
    stop_wanted = 0;
    endwin();
    handle(SIGTSTP, SIG_DFL);
    raise(SIGTSTP);
    handle(SIGTSTP, want_stop);
    clearok(stdscr, true);
}

int screen_key(struct screen *screen, int milliseconds)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    wint_t key;

    (void)screen;
    for (int looked = 0; looked < 2; looked++) {
        int status = get_wch(&key);

        if (status != ERR)
            return translate(status, key);
        if (looked == 1 && !stop_wanted && !end_wanted)
            break; /* there was something to read, and it was the end */
        int ready = stop_wanted || end_wanted ? 0 : poll(&input, 1, milliseconds);
        if (stop_wanted)
            stop();
        if (end_wanted || (input.revents & (POLLHUP | POLLERR | POLLNVAL)))
            break;
        if (ready <= 0)
            return ready < 0 ? SCREEN_OTHER : SCREEN_NOTHING;
    }
    return SCREEN_END;
}
