#include "data/stream.h"

#include <inttypes.h>
#include <limits.h>

#include "base/numbers.h"
#include "data/elements.h"

enum { TOKENS_AT_A_TIME = 1 << 16 };

static int fill_half(struct samples *samples, const struct stream *stream, int limit, int context, struct error *error)
{
    struct elements *elements = &samples->elements;

    elements->stride = (size_t)stream->bytes;
    elements->mapped = stream->mapped;
    for (int k = 0; k < stream->count; k++)
        if (elements_add(elements, stream->pieces[k].tokens, stream->pieces[k].count, error))
            return -1;
    const size_t count = elements->count > 0 ? (elements->count - 1) / (size_t)context : 0;
    if (count == 0)
        return error_set(error, "%s: %zu tokens are too few for a sample, which takes data.context = %d and one more",
                         stream->pieces[0].path, elements->count, context);
    samples->count = count > INT_MAX ? INT_MAX : (int)count;
    if (limit > 0)
        samples->count = min_int(samples->count, limit);
    elements_limit(elements, (size_t)samples->count * (size_t)context + 1);
    samples->token_bytes = stream->bytes;
    samples->shape = (struct shape){context, 1, 1};
    samples->targets_per_sample = context;
    return 0;
}

struct check {
    int bytes;
    uint32_t classes, token;
    size_t seen; /* tokens before the one that is too large */
};

static int check_some(void *context, const uint8_t *in, size_t count)
{
    struct check *check = context;

    for (size_t i = 0; i < count; i++, in += check->bytes) {
        uint32_t token = in[0];

        for (int k = 1; k < check->bytes; k++)
            token |= (uint32_t)in[k] << 8 * k;
        if (token >= check->classes) {
            check->token = token;
            check->seen += i;
            return -1;
        }
    }
    check->seen += count;
    return 0;
}

/* The tokens that samples are made of. */
static int check_tokens(const struct samples *samples, const struct stream *stream, int classes, struct error *error)
{
    struct check check = {.bytes = stream->bytes, .classes = (uint32_t)classes};
    const struct stream_piece *piece = stream->pieces;

    if (elements_show(&samples->elements, TOKENS_AT_A_TIME, check_some, &check) == 0)
        return 0;
    for (; check.seen >= piece->count; piece++)
        check.seen -= piece->count;
    return error_set(error,
                     "%s: token %zu (counted from 0) is %" PRIu32
                     "; with a vocabulary of %d (model.classes) tokens are 0 to %d",
                     piece->path, piece->first + check.seen, check.token, classes, classes - 1);
}

int stream_fill(struct dataset *dataset, const struct stream *train, const struct stream *test,
                const struct data_options *options, struct error *error)
{
    const int test_limit = options->limit > 0 ? source_test_limit(options->limit) : 0;

    if (fill_half(&dataset->train, train, options->limit, options->context, error) ||
        fill_half(&dataset->test, test, test_limit, options->context, error))
        return -1;
    if (source_trusts(options))
        return 0;
    return check_tokens(&dataset->train, train, options->classes, error) ||
           check_tokens(&dataset->test, test, options->classes, error);
}

int stream_fill_split(struct dataset *dataset, const struct stream *whole, const struct data_options *options,
                      struct error *error)
{
    const size_t held_out = whole->pieces[0].count / STREAM_TEST_SHARE;
    struct stream_piece pieces[] = {whole->pieces[0], whole->pieces[0]};
    struct stream train = *whole, test = *whole;

    pieces[0].count -= held_out;
    pieces[1].tokens = (const unsigned char *)pieces[0].tokens + pieces[0].count * (size_t)whole->bytes;
    pieces[1].first += pieces[0].count;
    pieces[1].count = held_out;
    train.pieces = &pieces[0];
    test.pieces = &pieces[1];
    return stream_fill(dataset, &train, &test, options, error);
}
