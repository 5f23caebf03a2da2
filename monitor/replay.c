/* A recorded run as a source of moments: a time that moves through the recording with the clock, at the speed chosen. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "monitor/choices.h"
#include "monitor/source_internal.h"
#include "telemetry/recording.h"
#include "telemetry/timeline.h"

enum { SPEEDS_UP = 10, SPEEDS_DOWN = -10 }; /* powers of two */

struct replay {
    struct source source;
    struct recording *recording;
    struct recording_facts facts;
    char path[CONFIG_PATH_MAX];
    uint64_t time_ns, looked_ns;
    int speed; /* 2 to this power */
    bool said_end;
    bool backward, playing;
};

static struct replay *replay_of(struct source *source)
{
    return (struct replay *)source;
}

static void close_replay(struct source *source)
{
    recording_close(replay_of(source)->recording);
    free(source);
}

static double speed_of(const struct replay *replay)
{
    return replay->playing ? ldexp(replay->backward ? -1 : 1, replay->speed) : 0;
}

static void say_end(struct source *source)
{
    const struct replay *replay = replay_of(source);
    const struct snapshot *snapshot = &source->snapshot;

    if (replay->facts.cut)
        source_say(source, "the recording ends here: the run was killed, or goes on");
    else if (replay->facts.full)
        source_say(source, "the recording ends here: it had reached its bound (run.record_mib)");
    else if (snapshot->state == RUN_FAILED)
        source_say(source, "the run failed here: %s", snapshot->outcome);
    else
        source_say(source, "the run %s here", snapshot->state == RUN_INTERRUPTED ? "was interrupted" : "had finished");
}

/* Where the clock has brought it. */
static void advance(struct replay *replay)
{
    uint64_t now_ns = clock_now_ns();
    double passed = (double)(now_ns - replay->looked_ns) * speed_of(replay);
    double left =
        (double)(passed < 0 ? replay->time_ns - replay->facts.begin_ns : replay->facts.end_ns - replay->time_ns);

    replay->looked_ns = now_ns;
    if (passed == 0)
        return;
    if (fabs(passed) < left) {
        replay->time_ns = passed < 0 ? replay->time_ns - (uint64_t)-passed : replay->time_ns + (uint64_t)passed;
        return;
    }
    replay->time_ns = passed < 0 ? replay->facts.begin_ns : replay->facts.end_ns;
    replay->playing = false;
}

static void look(struct source *source, struct moment *moment)
{
    struct replay *replay = replay_of(source);

    advance(replay);
    recording_seek(replay->recording, replay->time_ns, &source->snapshot, &source->history, &source->curve);
    if (replay->time_ns == replay->facts.end_ns && !replay->said_end)
        say_end(source);
    replay->said_end = replay->time_ns == replay->facts.end_ns;
    moment->kind = MOMENT_REPLAY;
    moment->speed = speed_of(replay);
    moment->begin_ns = replay->facts.begin_ns;
    moment->end_ns = replay->facts.end_ns;
    moment->source = replay->path;
}

static void go_to(struct replay *replay, uint64_t time_ns)
{
    replay->time_ns = time_ns;
    replay->playing = false;
}

static void press_play(struct source *source, int stage)
{
    struct replay *replay = replay_of(source);

    (void)stage;
    replay->playing = !replay->playing;
    /* At an end it begins again from the other. */
    if (replay->playing && replay->time_ns == (replay->backward ? replay->facts.begin_ns : replay->facts.end_ns))
        replay->time_ns = replay->backward ? replay->facts.end_ns : replay->facts.begin_ns;
}

static void press_on(struct source *source, int stage)
{
    struct replay *replay = replay_of(source);

    (void)stage;
    go_to(replay, recording_step(replay->recording, replay->time_ns, true));
}

static void press_back(struct source *source, int stage)
{
    struct replay *replay = replay_of(source);

    (void)stage;
    go_to(replay, recording_step(replay->recording, replay->time_ns, false));
}

static void press_turn(struct source *source, int stage)
{
    (void)stage;
    replay_of(source)->backward = !replay_of(source)->backward;
    replay_of(source)->playing = true;
}

static void change_speed(struct source *source, int by)
{
    struct replay *replay = replay_of(source);

    if (replay->speed + by >= SPEEDS_DOWN && replay->speed + by <= SPEEDS_UP)
        replay->speed += by;
    source_say(source, "speed: %g of the run's", ldexp(1, replay->speed));
}

static void press_slower(struct source *source, int stage)
{
    (void)stage;
    change_speed(source, -1);
}

static void press_faster(struct source *source, int stage)
{
    (void)stage;
    change_speed(source, 1);
}

static void press_begin(struct source *source, int stage)
{
    (void)stage;
    go_to(replay_of(source), replay_of(source)->facts.begin_ns);
}

static void press_end(struct source *source, int stage)
{
    (void)stage;
    go_to(replay_of(source), replay_of(source)->facts.end_ns);
}

/* Of the last stage's newest op. */
static int epoch_here(const struct source *source)
{
    const struct stage_history *last = &source->history.stages[source->snapshot.stage_count - 1];

    return last->count > 0 ? last->ops[last->count - 1].epoch : 1;
}

static void go(struct source *source, int epoch, int minibatch)
{
    struct replay *replay = replay_of(source);
    const int wanted = epoch > 0 ? epoch : epoch_here(source);
    const uint64_t at = recording_find(replay->recording, wanted, minibatch);

    if (at == 0) {
        source_say(source, "the recording has no mini-batch %d of epoch %d", minibatch, wanted);
        return;
    }
    go_to(replay, at);
    source_say(source, "the last stage has updated its weights for mini-batch %d of epoch %d", minibatch, wanted);
}

/* From the mini-batch that the last stage has updated. */
static void go_by(struct source *source, int minibatches)
{
    const int all = source->snapshot.plan->minibatches_per_epoch;
    const int done = timeline_done(&source->history, source->snapshot.stage_count);
    const int number = max_int(1, (epoch_here(source) - 1) * all + done + minibatches);

    go(source, (number - 1) / all + 1, (number - 1) % all + 1);
}

static void press_next(struct source *source, int stage)
{
    (void)stage;
    go_by(source, 1);
}

static void press_previous(struct source *source, int stage)
{
    (void)stage;
    go_by(source, -1);
}

static void press_next_epoch(struct source *source, int stage)
{
    (void)stage;
    go(source, epoch_here(source) + 1, 1);
}

static void press_previous_epoch(struct source *source, int stage)
{
    (void)stage;
    go(source, max_int(1, epoch_here(source) - 1), 1);
}

static bool key(struct source *source, int key, int stage)
{
    static const struct time_key keys[] = {
        {' ', press_play},   {'.', press_on},       {',', press_back},       {'r', press_turn},
        {'<', press_slower}, {'>', press_faster},   {'g', press_begin},      {'G', press_end},
        {']', press_next},   {'[', press_previous}, {'}', press_next_epoch}, {'{', press_previous_epoch},
        {0, NULL},
    };

    return source_press(keys, source, key, stage);
}

static int seek(struct source *source, double seconds, struct error *error)
{
    struct replay *replay = replay_of(source);
    const double length = 1e-9 * (double)(replay->facts.end_ns - replay->facts.begin_ns);

    if (seconds > length)
        return error_set(error, "--at %g: %s is %.3f s long", seconds, replay->path, length);
    go_to(replay, seconds < 0 ? replay->facts.end_ns : replay->facts.begin_ns + (uint64_t)llround(1e9 * seconds));
    return 0;
}

/* When stage 1 began. */
static uint64_t zero_of(const struct replay *replay)
{
    const struct stage_history ops = recording_ops(replay->recording, 1);

    return ops.count > 0 ? ops.ops[0].start_ns : replay->facts.begin_ns;
}

void source_keep_pace(struct source *source, const struct source *with)
{
    struct replay *replay = replay_of(source);
    const struct replay *leader = (const struct replay *)with;
    const uint64_t at = zero_of(replay) + leader->time_ns, since = zero_of(leader);

    replay->time_ns =
        at > since + replay->facts.begin_ns ? min_u64(at - since, replay->facts.end_ns) : replay->facts.begin_ns;
    replay->playing = false;
}

static const struct source_kind kind = {look, key, close_replay, seek, go};

/* FILE, or the recording in a run's folder. */
static int find_recording(const char *path, char found[CONFIG_PATH_MAX], struct error *error)
{
    struct stat status;
    struct choices inside;
    const bool folder = stat(path, &status) == 0 && S_ISDIR(status.st_mode);

    snprintf(found, CONFIG_PATH_MAX, "%s%s", path, folder ? "/recording.tprec" : "");
    if (!folder || access(found, F_OK) == 0)
        return 0;
    if (choices_of_recordings(&inside, path, error))
        return -1;
    if (inside.count == 0)
        error_set(error, "%s has no recording in it: run.record = yes or tpcoord --record makes one", path);
    else
        error_set(error, "%s has %d recordings in it: name one, such as %s", path, inside.count, inside.items[0].what);
    choices_free(&inside);
    return -1;
}

int source_recording(struct recording **out, const char *path, struct error *error)
{
    char found[CONFIG_PATH_MAX];

    *out = NULL;
    return find_recording(path, found, error) ? -1 : recording_open(out, found, error);
}

int source_replay(struct source **out, const char *path, struct error *error)
{
    struct replay *replay = calloc(1, sizeof(*replay));

    *out = NULL;
    if (!replay)
        return error_set(error, "out of memory");
    if (find_recording(path, replay->path, error) || recording_open(&replay->recording, replay->path, error)) {
        free(replay);
        return -1;
    }
    replay->source.kind = &kind;
    replay->facts = recording_facts(replay->recording);
    replay->time_ns = replay->facts.begin_ns;
    replay->looked_ns = clock_now_ns();
    replay->playing = true;
    *out = &replay->source;
    return 0;
}
