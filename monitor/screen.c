#include "monitor/screen.h"

#include <errno.h>
#include <langinfo.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/numbers.h"
#include "monitor/palette.h"
#include "monitor/signals.h"
#include "monitor/view.h"

/* Last: its macros have common names. */
#define NCURSES_NOMACROS
#define NCURSES_WIDECHAR 1
#include <curses.h>

/* Once may be a signal's doing. */
enum { MUTE_MAX = 3 };

enum { RUN_MAX = 64, REPORT_MAX = 40, ESCAPE = 27, BELL = 7, REPAINT = 'L' & 0x1f };

/* Presses and releases of buttons, in decimal numbers, so that columns behind the 223rd have one. Curses would write it the
 * way terminfo says, for some terminals the old way. */
static const char mouse_on[] = "\033[?1000h\033[?1006h", mouse_off[] = "\033[?1006l\033[?1000l";
enum { BUTTON_LEFT = 0, BUTTON_WHEEL_UP = 64, BUTTON_WHEEL_DOWN = 65 };

struct screen {
    SCREEN *terminal;
    int colours;                   /* 256, 8, or 0 for none */
    short pairs[COLOURS][COLOURS]; /* of foreground and background; 0: not made yet, or the terminal's own */
    short pair_count;
    int mute; /* how often in a row there was something to read, and nothing came */
    bool mouse_wanted, mouse_taken;
    int row, column; /* of the mouse's last press */
};

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

/* A capability of the terminal, "" if it has none. */
static const char *capability(const char *name)
{
    const char *text = tigetstr(name);

    return text && text != (const char *)-1 ? text : "";
}

static bool knows_mouse(void)
{
    return *capability("kmous") != '\0';
}

/* What leaves the drawing mode: the mouse, attributes, colours, the cursor, the keypad, the screen that was there before.
 * Delays ("$<5>"), which only paper needed, are left out. */
static void format_farewell(char text[SIGNALS_TEXT_MAX])
{
    static const char *const names[] = {"sgr0", "op", "cnorm", "rmkx", "rmcup"};
    size_t length = (size_t)snprintf(text, SIGNALS_TEXT_MAX, "%s", knows_mouse() ? mouse_off : "");

    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        for (const char *c = capability(names[k]); *c && length < SIGNALS_TEXT_MAX - 1; c++) {
            if (c[0] == '$' && c[1] == '<' && strchr(c, '>'))
                c = strchr(c, '>');
            else
                text[length++] = *c;
        }
    }
    text[length] = '\0';
}

static int refuse(const char *why, struct error *error)
{
    const char *name = getenv("TERM");

    return error_set(error,
                     "the terminal \"%s\" (TERM) %s: try TERM=xterm-256color, or install ncurses-term; --once prints a "
                     "view anywhere",
                     name ? name : "", why);
}

static void set_up(struct screen *screen)
{
    cbreak();
    noecho();
    nonl();
    keypad(stdscr, true);
    keyok(KEY_MOUSE, false); /* comes as any other sequence that is no key */
    nodelay(stdscr, true);
    if (!getenv("ESCDELAY"))
        set_escdelay(25);
    curs_set(0);
    screen->colours = choose_colours();
}

int screen_open(struct screen **out, struct error *error)
{
    char farewell[SIGNALS_TEXT_MAX] = "";
    struct termios mode;
    struct screen *screen;

    *out = NULL;
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &mode))
        return error_set(error, "standard input and output must be a terminal; --once prints a view anywhere");
    screen = calloc(1, sizeof(*screen));
    if (!screen)
        return error_set(error, "out of memory");
    /* Before curses, which leaves alone what is taken; its own handlers draw. SIGWINCH stays with it: it only sets a
     * flag there. */
    signals_take(&mode);
    screen->terminal = newterm(NULL, stdout, stdin);
    if (!screen->terminal) {
        signals_release();
        free(screen);
        return refuse("is unknown", error);
    }
    if (!*capability("cup")) {
        screen_close(screen);
        return refuse("cannot place its cursor", error);
    }
    format_farewell(farewell);
    signals_farewell(farewell);
    set_up(screen);
    *out = screen;
    return 0;
}

/* Written at once: curses, which keeps back what it draws, has no part in it. */
static void tell_terminal(const char *text)
{
    size_t length = strlen(text);

    while (length > 0) {
        const ssize_t count = write(STDOUT_FILENO, text, length);

        if (count < 0 && errno != EINTR)
            return;
        text += max_int((int)count, 0);
        length -= (size_t)max_int((int)count, 0);
    }
}

void screen_take_mouse(struct screen *screen, bool take)
{
    screen->mouse_wanted = take && knows_mouse();
}

static void obey_mouse(struct screen *screen)
{
    if (screen->mouse_taken != screen->mouse_wanted)
        tell_terminal(screen->mouse_wanted ? mouse_on : mouse_off);
    screen->mouse_taken = screen->mouse_wanted;
}

/* To whoever has it next. */
static void leave(struct screen *screen)
{
    if (screen->mouse_taken)
        tell_terminal(mouse_off);
    screen->mouse_taken = false;
    endwin();
}

void screen_close(struct screen *screen)
{
    if (!screen)
        return;
    leave(screen);
    signals_release();
    delscreen(screen->terminal);
    free(screen);
}

/* What the terminal says, and not LINES and COLUMNS, which a shell may have exported long ago; asked each time, as a
 * program that is stopped is not told of a change. */
void screen_size(const struct screen *screen, int *rows, int *columns)
{
    struct winsize size;

    (void)screen;
    getmaxyx(stdscr, *rows, *columns);
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) || size.ws_row == 0 || size.ws_col == 0 ||
        (size.ws_row == *rows && size.ws_col == *columns))
        return;
    resizeterm(size.ws_row, size.ws_col);
    getmaxyx(stdscr, *rows, *columns);
}

static short number_of(const struct screen *screen, struct tint tint)
{
    return (short)(screen->colours == 256 ? tint.of_256 : tint.of_8);
}

/* Curses' number of a pair of colours, which is made when it is first met. */
static short pair_of(struct screen *screen, struct style style)
{
    short *pair = &screen->pairs[style.colour][style.background];
    short foreground, background;

    if (screen->colours == 0 || *pair > 0)
        return *pair;
    const short wanted[] = {number_of(screen, palette_tint((enum colour)style.colour)),
                            number_of(screen, palette_background((enum colour)style.background))};
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
    obey_mouse(screen);
    erase();
    for (int row = 0; row < canvas->rows; row++)
        for (int column = 0; column < canvas->columns && move(row, column) == OK;)
            column = show_run(screen, canvas, row, column);
    refresh();
}

/* All is drawn anew with the next picture. */
static void repaint(void)
{
    clearok(curscr, true);
}

/* What the terminal has sent with the byte before; ERR if that was all. */
static int read_more(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int byte = getch();

    return byte == ERR && poll(&input, 1, get_escdelay()) > 0 ? getch() : byte;
}

/* A report of the mouse that has been asked for: "\033[<BUTTON;COLUMN;ROW", and M for a press. */
static int translate_report(struct screen *screen, const char *report)
{
    static const struct {
        int button, press;
    } table[] = {
        {BUTTON_LEFT, PRESS_CLICK},
        {BUTTON_WHEEL_UP, PRESS_WHEEL_UP},
        {BUTTON_WHEEL_DOWN, PRESS_WHEEL_DOWN},
    };
    int button, column, row;
    char end, more;

    if (!screen->mouse_taken || sscanf(report, "<%9d;%9d;%9d%c%c", &button, &column, &row, &end, &more) != 4 ||
        end != 'M')
        return SCREEN_OTHER;
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].button == button) {
            screen->row = row - 1;
            screen->column = column - 1;
            return table[i].press;
        }
    return SCREEN_OTHER;
}

/* Behind "\033[". An old mouse's report has its place behind the end, in three bytes. */
static int take_control_sequence(struct screen *screen)
{
    char text[REPORT_MAX] = "";
    int byte = read_more(), more = byte == 'M' ? 3 : 0;
    size_t length = 0;

    for (; byte != ERR && (byte < 0x40 || byte > 0x7e); byte = read_more())
        if (length < sizeof(text) - 2)
            text[length++] = (char)byte;
    if (byte != ERR)
        text[length] = (char)byte;
    while (more-- > 0)
        read_more();
    return translate_report(screen, text);
}

/* Behind "\033]" and the like: what the terminal answers to a question, to its end, a bell or "\033\\". */
static void skip_answer(void)
{
    int byte = read_more();

    while (byte != ERR && byte != BELL && byte != ESCAPE)
        byte = read_more();
    if (byte == ESCAPE)
        read_more();
}

/* The key Escape, or a sequence that is none of the keys known: it is skipped as a whole, so that no part of it acts. */
static int take_escape(struct screen *screen)
{
    int byte = getch();

    if (byte == '[') {
        return take_control_sequence(screen);
    } else if (byte == 'O') {
        read_more();
    } else if (byte == ']' || byte == 'P' || byte == '_' || byte == '^' || byte == 'X') {
        skip_answer();
    } else {
        if (byte != ERR)
            ungetch(byte);
        return PRESS_ESCAPE;
    }
    return SCREEN_OTHER;
}

/* Keys are ASCII, or have a number of curses'. All other bytes, be they a character or half of one, mean nothing. */
static int translate(int key)
{
    static const struct {
        int curses, press;
    } table[] = {
        {KEY_UP, PRESS_UP},         {KEY_DOWN, PRESS_DOWN},     {KEY_LEFT, PRESS_LEFT},
        {KEY_RIGHT, PRESS_RIGHT},   {KEY_PPAGE, PRESS_PAGE_UP}, {KEY_NPAGE, PRESS_PAGE_DOWN},
        {KEY_HOME, PRESS_HOME},     {KEY_END, PRESS_END},       {KEY_BACKSPACE, PRESS_BACKSPACE},
        {KEY_BTAB, PRESS_BACK_TAB}, {KEY_ENTER, PRESS_ENTER},   {'\r', PRESS_ENTER},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].curses == key)
            return table[i].press;
    return key > 0 && key < 0x80 ? key : SCREEN_OTHER; /* also KEY_RESIZE: curses knows the new size by now */
}

/* SCREEN_NOTHING: none has come. */
static int read_key(struct screen *screen)
{
    int key = getch();

    if (key == ERR)
        return SCREEN_NOTHING;
    if (key == ESCAPE)
        return take_escape(screen);
    if (key != REPAINT)
        return translate(key);
    repaint();
    return SCREEN_OTHER;
}

/* Obeys what signals have asked for: to stop, and to go on. False: to end. */
static bool obey_signals(struct screen *screen)
{
    if (signals_stop_wanted()) {
        leave(screen);
        signals_stop();
    }
    /* Whoever had the terminal may have left it in any mode. */
    if (signals_continued()) {
        if (!isendwin())
            leave(screen);
        repaint();
    }
    return !signals_end_wanted();
}

void screen_pointer(const struct screen *screen, int *row, int *column)
{
    *row = screen->row;
    *column = screen->column;
}

int screen_key(struct screen *screen, int milliseconds)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    int key, ready;

    if (!obey_signals(screen))
        return SCREEN_END;
    key = read_key(screen);
    if (key != SCREEN_NOTHING)
        return key;
    ready = poll(&input, 1, milliseconds);
    if (!obey_signals(screen) || (input.revents & (POLLHUP | POLLERR | POLLNVAL)))
        return SCREEN_END;
    if (ready <= 0)
        return ready < 0 ? SCREEN_OTHER : SCREEN_NOTHING;
    key = read_key(screen);
    screen->mute = key == SCREEN_NOTHING ? screen->mute + 1 : 0;
    return key != SCREEN_NOTHING ? key : screen->mute < MUTE_MAX ? SCREEN_OTHER : SCREEN_END;
}
