#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "monitor/source_internal.h"

/* So long a message stays. */
#define MESSAGE_NS UINT64_C(5000000000)

void source_say(struct source *source, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(source->message, sizeof(source->message), format, arguments);
    va_end(arguments);
    source->said_ns = clock_now_ns();
}

const struct time_key *source_find(const struct time_key *keys, int key)
{
    while (keys->key && keys->key != key)
        keys++;
    return keys->key ? keys : NULL;
}

bool source_press(const struct time_key *keys, struct source *source, int key, int stage)
{
    const struct time_key *found = source_find(keys, key);

    if (!found)
        return false;
    source->message[0] = '\0';
    found->press(source, stage);
    return true;
}

void source_close(struct source *source)
{
    if (source)
        source->kind->close(source);
}

void source_look(struct source *source, struct moment *moment)
{
    if (clock_now_ns() - source->said_ns > MESSAGE_NS)
        source->message[0] = '\0';
    *moment = (struct moment){
        .snapshot = &source->snapshot,
        .history = &source->history,
        .curve = &source->curve,
        .message = source->message,
    };
    source->kind->look(source, moment);
}

bool source_key(struct source *source, int key, int stage)
{
    return source->kind->key(source, key, stage);
}

int source_seek(struct source *source, double seconds, struct error *error)
{
    if (!source->kind->seek)
        return error_set(error, "a run that is going can be seen now and not at another time; record it");
    return source->kind->seek(source, seconds, error);
}

void source_go(struct source *source, int epoch, int minibatch)
{
    if (source->kind->go)
        source->kind->go(source, epoch, minibatch);
    else
        source_say(source, "only a replay can go to a mini-batch; f freezes the view, and arrows move in it");
}

/* A moment and all that it points to which changes. */
struct kept {
    struct moment moment;
    struct snapshot snapshot;
    struct curve curve;
    float loss[CURVE_POINTS];
    struct history history;
    struct op_record ops[];
};

struct moment *moment_copy(const struct moment *moment)
{
    size_t count = 0;

    for (int s = 0; s < MAX_STAGES; s++)
        count += (size_t)moment->history->stages[s].count;
    struct kept *kept = malloc(sizeof(*kept) + count * sizeof(kept->ops[0]));
    if (!kept)
        return NULL;
    kept->moment = *moment;
    kept->snapshot = *moment->snapshot;
    kept->curve = *moment->curve;
    kept->history = *moment->history;
    kept->moment.snapshot = &kept->snapshot;
    kept->moment.curve = &kept->curve;
    kept->moment.history = &kept->history;
    kept->curve.loss = kept->loss;
    if (kept->curve.count > 0)
        memcpy(kept->loss, moment->curve->loss, (size_t)kept->curve.count * sizeof(kept->loss[0]));
    count = 0;
    for (int s = 0; s < MAX_STAGES; s++) {
        struct stage_history *stage = &kept->history.stages[s];

        if (stage->count > 0)
            memcpy(kept->ops + count, stage->ops, (size_t)stage->count * sizeof(kept->ops[0]));
        stage->ops = kept->ops + count;
        count += (size_t)stage->count;
    }
    return &kept->moment;
}
