/* tpmon: shows a run, live or recorded, in a terminal. */
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/numbers.h"
#include "base/program.h"
#include "base/version.h"
#include "monitor/arguments.h"
#include "monitor/axis.h"
#include "monitor/choices.h"
#include "monitor/runs.h"
#include "monitor/screen.h"
#include "monitor/source.h"
#include "monitor/still.h"
#include "telemetry/recording.h"
#include "telemetry/trace.h"

enum exit_status { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* Between two pictures, and between two looks for a run. */
enum { REFRESH_MS = 150, SEARCH_MS = 250 };

enum { ONCE_WIDTH = 80, ONCE_HEIGHT = 24 };

struct monitor {
    const struct arguments *arguments;
    struct source *source; /* NULL: no run yet */
    struct moment moment;
    struct moment *frozen; /* NULL: the view follows */
    struct source *beside; /* a second recording, which keeps pace; NULL: none */
    struct moment moment_beside;
    uint64_t looked_ns; /* for a run that follows one that has ended */
    struct view_state state;
    char prompt[16];              /* what has been typed, while state.prompt is it */
    struct choices choices;       /* while state.choices is it */
    char replay[CONFIG_PATH_MAX]; /* "": a live run */
    bool mouse;                   /* its presses come here, and not to the terminal */
    struct screen *screen;
};

static int fail(int status, const struct error *error)
{
    fprintf(stderr, "tpmon: %s\n", error->text);
    return status;
}

/* 1: there is no such run yet. */
static int open_source(struct monitor *monitor, struct error *error)
{
    const struct arguments *arguments = monitor->arguments;

    if (arguments->beside && !monitor->beside && source_replay(&monitor->beside, arguments->beside, error))
        return -1;

    return monitor->replay[0] ? source_replay(&monitor->source, monitor->replay, error)
                              : source_attach(&monitor->source, arguments->run, error);
}

/* Before there is a run. */
static void draw_waiting(const struct canvas *canvas, const struct arguments *arguments)
{
    const struct style title = {.colour = COLOUR_TITLE}, dim = {.colour = COLOUR_DIM};
    const char *run = arguments->run;
    char text[256], hint[PROGRAM_CALL_MAX + 64];

    snprintf(hint, sizeof(hint), "start one with %s CONFIG; q quits", arguments->coordinator);
    const char *rest = canvas_width(hint) <= canvas->columns ? hint : "q quits";
    snprintf(text, sizeof(text), "waiting for %s%s", run ? "run " : "a run", run ? run : "");
    canvas_write(canvas, canvas->rows / 2 - 1, max_int(canvas->columns - canvas_width(text), 0) / 2, title, text);
    canvas_write(canvas, canvas->rows / 2, max_int(canvas->columns - canvas_width(rest), 0) / 2, dim, rest);
}

/* Of so many rows those of the first of two recordings; the other's have a line of keys more. */
static int rows_above(int rows)
{
    return (rows - 1) / 2;
}

/* One above the other, in the same view and at the same zoom. */
static void draw_both(const struct monitor *monitor, const struct canvas *canvas)
{
    const struct moment *first = monitor->frozen ? monitor->frozen : &monitor->moment;
    const int half = rows_above(canvas->rows);
    struct canvas above = canvas_part(canvas, 0, 0, half, canvas->columns);
    struct canvas below = canvas_part(canvas, half, 0, canvas->rows - half, canvas->columns);
    struct view_state state = monitor->state;

    state.above = true;

    if (state.ns_per_column == 0 && first->snapshot)
        state.ns_per_column = axis_zoom(&state, first);
    view_draw(&above, &state, first);
    state.right_ns = state.right_ns > 0 ? monitor->moment_beside.snapshot->now_ns : 0;
    state.cursor_ns = 0;
    state.help = 0;
    state.prompt = NULL;
    state.choices = NULL;
    state.above = false;
    view_draw(&below, &state, &monitor->moment_beside);
}

static int draw(const struct monitor *monitor, struct canvas *canvas, int rows, int columns, struct error *error)
{
    if (canvas_create(canvas, rows, columns, monitor->arguments->ascii || !screen_has_unicode()))
        return error_set(error, "out of memory");
    if (monitor->source && monitor->beside)
        draw_both(monitor, canvas);
    else if (monitor->source)
        view_draw(canvas, &monitor->state, monitor->frozen ? monitor->frozen : &monitor->moment);
    else
        draw_waiting(canvas, monitor->arguments);
    return 0;
}

static void look(struct monitor *monitor)
{
    source_look(monitor->source, &monitor->moment);
    if (!monitor->beside || monitor->frozen)
        return;
    source_keep_pace(monitor->beside, monitor->source);
    source_look(monitor->beside, &monitor->moment_beside);
    monitor->moment_beside.speed = monitor->moment.speed;
}

/* The moment that is asked for: now, or where in the recording. */
static int look_once(struct monitor *monitor, struct error *error)
{
    const struct arguments *arguments = monitor->arguments;
    const int result = open_source(monitor, error);

    if (result > 0)
        return error_set(error, "%s%s; start one with %s CONFIG",
                         arguments->run ? "there is no run " : "no run is going", arguments->run ? arguments->run : "",
                         arguments->coordinator);
    if (result)
        return -1;
    if (arguments->replay && source_seek(monitor->source, arguments->at, error))
        return -1;
    look(monitor);
    return 0;
}

static int draw_picture(struct monitor *monitor, struct error *error)
{
    const struct still_request request = {monitor->arguments->span, monitor->arguments->versions};
    struct picture picture;
    int result;

    if (look_once(monitor, error) || still_compose(&picture, &monitor->moment, &request, error))
        return -1;
    result = still_write(&picture, monitor->arguments->pictures, error);
    picture_release(&picture);
    return result;
}

static int print_once(struct monitor *monitor, struct error *error)
{
    const struct arguments *arguments = monitor->arguments;
    struct canvas canvas;

    if (look_once(monitor, error) || draw(monitor, &canvas, arguments->height ? arguments->height : ONCE_HEIGHT,
                                          arguments->width ? arguments->width : ONCE_WIDTH, error))
        return -1;
    char *text = canvas_text(&canvas);
    canvas_destroy(&canvas);
    if (!text)
        return error_set(error, "out of memory");
    fputs(text, stdout);
    free(text);
    return 0;
}

/* Freezes or follows, as the state has become. */
static void keep_or_follow(struct monitor *monitor)
{
    if (monitor->state.frozen && !monitor->frozen)
        monitor->frozen = moment_copy(&monitor->moment);
    monitor->state.frozen = monitor->state.frozen && monitor->frozen;
    if (monitor->state.frozen)
        return;
    free(monitor->frozen);
    monitor->frozen = NULL;
}

/* To another run or recording; what is shown stays if that cannot be. */
static void change_to(struct monitor *monitor, const char *what)
{
    struct source *source;
    struct error error;
    const int result = monitor->replay[0] ? source_replay(&source, what, &error) : source_attach(&source, what, &error);

    if (result) {
        source_say(monitor->source, "%s", result < 0 ? error.text : "that run is over");
        return;
    }
    source_close(monitor->source);
    monitor->source = source;
    monitor->state.right_ns = monitor->state.cursor_ns = 0;
    monitor->state.frozen = false;
    keep_or_follow(monitor);
    look(monitor);
}

/* To another run that is going; of the coordinator, if that is not 0. */
static void change_run(struct monitor *monitor, int coordinator)
{
    char next[SEGMENT_NAME_MAX];
    struct error error;

    if (runs_next(monitor->moment.snapshot->name, coordinator, next, &error) == 0)
        change_to(monitor, next);
}

/* What else can be shown, beside what is. */
static void find_choices(struct monitor *monitor)
{
    char folder[CONFIG_PATH_MAX];
    struct error error;

    choices_free(&monitor->choices);
    choices_folder(monitor->moment.source, folder);
    if (monitor->replay[0] ? choices_of_recordings(&monitor->choices, folder, &error)
                           : runs_choices(&monitor->choices, &error))
        source_say(monitor->source, "%s", error.text);
    choices_select(&monitor->choices, monitor->replay[0] ? monitor->moment.source : monitor->moment.snapshot->name);
}

static void show_choices(struct monitor *monitor)
{
    find_choices(monitor);
    if (monitor->choices.count > 0)
        monitor->state.choices = &monitor->choices;
    else
        source_say(monitor->source, monitor->replay[0] ? "no recording lies beside this one" : "no run is going");
}

static void show_next(struct monitor *monitor)
{
    if (!monitor->replay[0]) {
        change_run(monitor, 0);
        return;
    }
    find_choices(monitor);
    if (monitor->choices.count > 1)
        change_to(monitor, monitor->choices.items[(monitor->choices.selected + 1) % monitor->choices.count].what);
}

/* A key while it is asked which. */
static void choose(struct monitor *monitor, int key)
{
    struct choices *choices = &monitor->choices;

    if (key == PRESS_UP || key == PRESS_WHEEL_UP)
        choices->selected = max_int(choices->selected - 1, 0);
    else if (key == PRESS_DOWN || key == PRESS_WHEEL_DOWN)
        choices->selected = min_int(choices->selected + 1, choices->count - 1);
    else
        monitor->state.choices = NULL;
    if (key == PRESS_ENTER)
        change_to(monitor, choices->items[choices->selected].what);
}

/* A comparison's runs follow each other: they have one coordinator. */
static void follow_next(struct monitor *monitor)
{
    const uint64_t now_ns = clock_now_ns();

    if (monitor->replay[0] || monitor->moment.kind != MOMENT_ENDED || monitor->arguments->run ||
        monitor->state.frozen || now_ns - monitor->looked_ns < SEARCH_MS * UINT64_C(1000000))
        return;
    monitor->looked_ns = now_ns;
    change_run(monitor, monitor->moment.snapshot->coordinator_pid);
}

/* "12", or "3:12". */
static void go(struct monitor *monitor)
{
    int epoch = 0, minibatch = 0, end = 0;

    if (sscanf(monitor->prompt, "%6d:%6d%n", &epoch, &minibatch, &end) != 2) {
        epoch = 0;
        if (sscanf(monitor->prompt, "%6d%n", &minibatch, &end) != 1)
            return;
    }
    source_go(monitor->source, epoch, minibatch);
}

/* A key while it is asked where to go. */
static void type(struct monitor *monitor, int key)
{
    const size_t length = strlen(monitor->prompt);

    if ((key == 127 || key == '\b' || key == PRESS_BACKSPACE) && length > 0)
        monitor->prompt[length - 1] = '\0';
    else if (((key >= '0' && key <= '9') || key == ':') && length + 1 < sizeof(monitor->prompt))
        memcpy(monitor->prompt + length, (char[]){(char)key, '\0'}, 2);
    if (key == PRESS_ENTER)
        go(monitor);
    if (key == PRESS_ENTER || key == PRESS_ESCAPE)
        monitor->state.prompt = NULL;
}

/* Presses in the second recording of two do nothing, but in the line of keys: what they would select is the first one's. */
static void point(struct monitor *monitor, int press)
{
    const struct moment *moment = monitor->frozen ? monitor->frozen : &monitor->moment;
    struct canvas size;
    int row, column, rows, columns;
    struct error error;
    double seconds;

    screen_pointer(monitor->screen, &row, &column);
    screen_size(monitor->screen, &rows, &columns);
    const int first = monitor->beside ? rows_above(rows) : rows;
    const bool below = row >= first;
    if ((below && row < rows - 1) || canvas_create(&size, below ? rows - first : first, columns, false))
        return;
    row -= below ? first : 0;
    monitor->state.above = monitor->beside && !below;
    if (press == PRESS_CLICK && !monitor->state.help &&
        view_seeks(&monitor->state, moment, &size, row, column, &seconds)) {
        if (source_seek(monitor->source, seconds, &error))
            source_say(monitor->source, "%s", error.text);
    } else
        view_point(&monitor->state, moment, press, &size, row, column);
    canvas_destroy(&size);
}

static void change_mouse(struct monitor *monitor)
{
    monitor->mouse = !monitor->mouse;
    screen_take_mouse(monitor->screen, monitor->mouse);
    source_say(monitor->source, monitor->mouse
                                    ? "a click selects an op, the wheel zooms; with Shift the terminal selects text"
                                    : "the mouse is the terminal's: it selects text; m takes the mouse back");
}

/* False: the user has seen enough. */
static bool press(struct monitor *monitor, int key)
{
    if ((key == 'q' && !monitor->state.prompt) || key == SCREEN_END)
        return false;
    if (!monitor->source || key <= 0)
        return true;
    if (monitor->state.prompt) {
        type(monitor, key);
        return true;
    }
    if (key == ':') {
        monitor->prompt[0] = '\0';
        monitor->state.prompt = monitor->prompt;
        return true;
    }
    if (monitor->state.choices) {
        choose(monitor, key);
        return true;
    }
    if (key == 'n') {
        show_next(monitor);
        return true;
    }
    if (key == 'l') {
        show_choices(monitor);
        return true;
    }
    if (key == 'm') {
        change_mouse(monitor);
        return true;
    }
    if (key == PRESS_CLICK || key == PRESS_WHEEL_UP || key == PRESS_WHEEL_DOWN) {
        point(monitor, key);
        return true;
    }
    if (source_key(monitor->source, key,
                   max_int(1, min_int(monitor->state.cursor_stage, monitor->moment.snapshot->stage_count))))
        return true;
    view_key(&monitor->state, monitor->frozen ? monitor->frozen : &monitor->moment, key);
    keep_or_follow(monitor);
    return true;
}

/* Waits for a key until it is time for the next picture; takes all that have come. False: to the end. */
static bool read_keys(struct monitor *monitor)
{
    int key = screen_key(monitor->screen, monitor->source ? REFRESH_MS : SEARCH_MS);

    while (key != SCREEN_NOTHING) {
        if (!press(monitor, key))
            return false;
        key = screen_key(monitor->screen, 0);
    }
    return true;
}

static int show(struct monitor *monitor, struct error *error)
{
    struct canvas canvas;
    int rows, columns;

    screen_size(monitor->screen, &rows, &columns);
    if (draw(monitor, &canvas, rows, columns, error))
        return -1;
    screen_show(monitor->screen, &canvas);
    canvas_destroy(&canvas);
    return 0;
}

/* Of a folder with several recordings, such as a comparison's, the first one; which of them is asked. */
static int choose_inside(struct monitor *monitor, struct error *error)
{
    char own[CONFIG_PATH_MAX + 32];

    snprintf(own, sizeof(own), "%s/recording.tprec", monitor->replay);
    if (!monitor->replay[0] || access(own, F_OK) == 0)
        return 0;
    if (choices_of_recordings(&monitor->choices, monitor->replay, error))
        return -1;
    if (monitor->choices.count == 0)
        return 0;
    memcpy(monitor->replay, monitor->choices.items[0].what, sizeof(monitor->replay));
    if (monitor->choices.count > 1)
        monitor->state.choices = &monitor->choices;
    return 0;
}

/* Once before the terminal is taken, so that what is wrong is said on it as it was. */
static int watch(struct monitor *monitor, struct error *error)
{
    int result = choose_inside(monitor, error) ? -1 : open_source(monitor, error);

    if (result == 0 && monitor->arguments->at >= 0)
        result = source_seek(monitor->source, monitor->arguments->at, error);
    if (result < 0 || screen_open(&monitor->screen, error))
        return -1;
    monitor->mouse = !monitor->arguments->no_mouse;
    screen_take_mouse(monitor->screen, monitor->mouse);
    do {
        result = monitor->source ? 0 : open_source(monitor, error);
        if (result >= 0 && monitor->source) {
            look(monitor);
            follow_next(monitor);
        }
    } while (result >= 0 && (result = show(monitor, error)) == 0 && read_keys(monitor));
    screen_close(monitor->screen);
    return result;
}

static int write_trace(const struct arguments *arguments, struct error *error)
{
    const bool standard = strcmp(arguments->trace, "-") == 0;
    struct recording *recording;
    struct error why;
    int result = source_recording(&recording, arguments->replay, error);

    if (result)
        return -1;
    FILE *file = standard ? stdout : file_open_output(arguments->trace, &why);
    if (!file)
        result = error_set(error, "--trace: %s %s", arguments->trace, why.text);
    else if (trace_recording(file, recording))
        result = error_set(error, "%s could not be written to its end", arguments->trace);
    if (file && !standard)
        fclose(file);
    recording_close(recording);
    return result;
}

static int run(const struct arguments *arguments)
{
    struct monitor monitor = {.arguments = arguments, .state.view = arguments->view};
    struct error error;

    snprintf(monitor.replay, sizeof(monitor.replay), "%s", arguments->replay ? arguments->replay : "");
    int result = arguments->list             ? runs_print(stdout, arguments->coordinator, &error)
                 : arguments->trace          ? write_trace(arguments, &error)
                 : arguments->once           ? print_once(&monitor, &error)
                 : arguments_draw(arguments) ? draw_picture(&monitor, &error)
                                             : watch(&monitor, &error);

    choices_free(&monitor.choices);
    free(monitor.frozen);
    source_close(monitor.beside);
    source_close(monitor.source);
    return result < 0 ? fail(EXIT_FAILED, &error) : EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    struct error error;
    int status = EXIT_DONE;

    program_begin();
    setlocale(LC_CTYPE, "");
    if (arguments_read(&arguments, argc, argv, &error))
        return fail(EXIT_USAGE, &error);
    if (arguments.help)
        arguments_print_help(stdout);
    else if (arguments.version)
        printf("tpmon %s\n", version_text());
    else
        status = run(&arguments);
    /* What was printed may have gone nowhere: to a full disk. */
    if ((fflush(stdout) || ferror(stdout)) && status == EXIT_DONE) {
        fprintf(stderr, "tpmon: standard output cannot be written\n");
        return EXIT_FAILED;
    }
    return status;
}
