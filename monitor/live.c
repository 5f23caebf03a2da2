/* A live run as a source of moments. Its mapping outlives the run, so that the last moment stays to be looked at. */
#include <stdlib.h>
#include <string.h>

#include "board/guard.h"
#include "monitor/runs.h"
#include "monitor/source_internal.h"
#include "telemetry/controls.h"
#include "telemetry/explain.h"
#include "transport/rings.h"

struct live {
    struct source source;
    struct segment segment;
    char name[SEGMENT_NAME_MAX];
    struct history_log *log;
    struct controls *controls; /* NULL: it can only be watched */
    bool tick_wanted;          /* as soon as all stages have settled */
    bool ended;                /* nothing changes any more */
};

static struct live *live_of(struct source *source)
{
    return (struct live *)source;
}

static void close_live(struct source *source)
{
    struct live *live = live_of(source);

    segment_close_controls(live->controls);
    history_destroy(live->log);
    segment_close(&live->segment);
    free(live);
}

/* How the run ended, if it has. */
static bool judge_end(struct source *source)
{
    const struct snapshot *snapshot = &source->snapshot;

    if (!segment_is_whole(&live_of(source)->segment))
        source_say(source, "the run's shared memory was cut short: nothing can be seen of it any more");
    else if (snapshot->state == RUN_FAILED)
        source_say(source, "the run has failed: %s", snapshot->outcome);
    else if (snapshot->state == RUN_FINISHED)
        source_say(source, "the run has finished");
    else if (snapshot->state == RUN_INTERRUPTED)
        source_say(source, "the run was interrupted");
    else if (!snapshot->coordinator_alive)
        source_say(source, "the coordinator (pid %d) is gone without a word: it was killed, and the run with it",
                   snapshot->coordinator_pid);
    else
        return false;
    return true;
}

static void try_tick(struct live *live)
{
    int count = controls_tick(live->controls, &live->source.snapshot);

    if (count < 0)
        return;
    live->tick_wanted = false;
    if (count == 0)
        source_say(&live->source, "no stage can run an op now");
    else
        source_say(&live->source, "one tick: %d stage%s an op", count, count == 1 ? " runs" : "s run");
}

static const char *run_name(const struct snapshot *snapshot)
{
    const char *slash = strrchr(snapshot->run_folder, '/');

    return slash ? slash + 1 : snapshot->run_folder[0] ? snapshot->run_folder : snapshot->name;
}

static void look(struct source *source, struct moment *moment)
{
    struct live *live = live_of(source);
    struct error unused;

    if (!live->ended) {
        /* Before the snapshot, whose time is the moment's. */
        history_take(live->log);
        snapshot_take(&source->snapshot, &live->segment);
        live->ended = judge_end(source);
        if (live->ended)
            history_take(live->log);
        source->history = history_of(live->log);
        source->curve = history_curve(live->log);
    }
    if (!live->ended && !live->controls && source->snapshot.interactive)
        live->controls = segment_open_controls(&live->segment, live->name, &unused);
    if (!live->ended && live->tick_wanted)
        try_tick(live);
    moment->kind = live->ended ? MOMENT_ENDED : MOMENT_LIVE;
    moment->controlled = live->controls && !live->ended;
    moment->source = run_name(&live->source.snapshot);
}

static void press_pause(struct source *source, int stage)
{
    struct live *live = live_of(source);

    (void)stage;
    live->tick_wanted = false;
    if (controls_are_paused(live->controls)) {
        controls_resume(live->controls);
        source_say(source, "the run goes on");
    } else {
        controls_pause(live->controls);
        source_say(source, "the run is paused: space resumes it, . steps a stage, s all stages");
    }
}

/* Stepping begins with a pause. */
static bool pause_first(struct source *source)
{
    if (controls_are_paused(live_of(source)->controls))
        return false;
    press_pause(source, 0);
    return true;
}

static void press_step(struct source *source, int stage)
{
    char why[EXPLANATION_MAX], name[PART_TEXT_SIZE];

    if (pause_first(source))
        return;
    if (controls_step(live_of(source)->controls, &source->snapshot, stage)) {
        part_format(&source->snapshot.plan->schedule, stage, name);
        source_say(source, "stage %s runs one op", name);
    } else {
        explain_wait(&source->snapshot, stage, why, sizeof(why));
        source_say(source, "%s", why);
    }
}

static void press_tick(struct source *source, int stage)
{
    (void)stage;
    live_of(source)->tick_wanted = !pause_first(source);
}

static void press_slower(struct source *source, int stage)
{
    (void)stage;
    source_say(source, "slow motion: an op takes %d times its time", controls_slow_down(live_of(source)->controls));
}

static void press_faster(struct source *source, int stage)
{
    int factor = controls_speed_up(live_of(source)->controls);

    (void)stage;
    if (factor == 1)
        source_say(source, "full speed");
    else
        source_say(source, "slow motion: an op takes %d times its time", factor);
}

static bool key(struct source *source, int key, int stage)
{
    static const struct time_key keys[] = {
        {' ', press_pause}, {'.', press_step}, {'s', press_tick}, {'<', press_slower}, {'>', press_faster}, {0, NULL},
    };
    struct live *live = live_of(source);

    if (!source_find(keys, key))
        return false;
    if (live->ended)
        return true; /* the message says why it ended; that stays */
    if (!live->controls) {
        source_say(source, "the run was not started with --interactive, so it can only be watched; f freezes the view");
        return true;
    }
    if (controls_hold(&live->segment)) {
        source_say(source, "the coordinator has the controls just now; press it once more");
        return true;
    }
    return source_press(keys, source, key, stage);
}

static const struct source_kind kind = {look, key, close_live, NULL, NULL};

int source_attach(struct source **out, const char *run, struct error *error)
{
    struct live *live;
    int result;

    *out = NULL;
    live = calloc(1, sizeof(*live));
    if (!live)
        return error_set(error, "out of memory");
    live->source.kind = &kind;
    live->segment.fd = -1;
    guard_install();
    result = runs_find(run, live->name, error);
    if (result == 0 && (segment_open(&live->segment, live->name, rings_bytes, error) ||
                        history_create(&live->log, &live->segment, error)))
        result = -1;
    if (result) {
        close_live(&live->source);
        return result;
    }
    *out = &live->source;
    return 0;
}
