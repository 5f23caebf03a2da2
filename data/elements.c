#include "data/elements.h"

#include <stdlib.h>

#include "data/memory.h"

enum { LOOK_BYTES = 1 << 24 };

int elements_add(struct elements *elements, const void *begin, size_t count, struct error *error)
{
    const size_t pieces = (size_t)elements->piece_count + 1;
    struct elements_piece *larger;

    if (count == 0)
        return 0;
    larger = realloc(elements->pieces, pieces * sizeof(*larger));
    if (!larger)
        return error_set(error, "out of memory for the places of %zu files", pieces);
    larger[elements->piece_count++] = (struct elements_piece){.begin = begin, .first = elements->count};
    elements->pieces = larger;
    elements->count += count;
    return 0;
}

void elements_limit(struct elements *elements, size_t count)
{
    if (count >= elements->count)
        return;
    elements->count = count;
    while (elements->piece_count > 1 && elements->pieces[elements->piece_count - 1].first >= count)
        elements->piece_count--;
}

void elements_release(struct elements *elements)
{
    free(elements->pieces);
    *elements = (struct elements){.pieces = NULL};
}

static size_t end_of(const struct elements *elements, int piece)
{
    return piece + 1 < elements->piece_count ? elements->pieces[piece + 1].first : elements->count;
}

const uint8_t *elements_at(const struct elements *elements, size_t i, size_t *follow)
{
    int piece = 0;

    for (int end = elements->piece_count; end - piece > 1;) {
        const int middle = piece + (end - piece) / 2;

        if (elements->pieces[middle].first <= i)
            piece = middle;
        else
            end = middle;
    }
    if (follow)
        *follow = end_of(elements, piece) - i;
    return elements->pieces[piece].begin + (i - elements->pieces[piece].first) * elements->stride;
}

int elements_show(const struct elements *elements, size_t most,
                  int (*look)(void *context, const uint8_t *begin, size_t count), void *context)
{
    int result = 0;

    for (int piece = 0; piece < elements->piece_count && result == 0; piece++) {
        const uint8_t *at = elements->pieces[piece].begin, *kept = at;
        size_t left = end_of(elements, piece) - elements->pieces[piece].first;

        while (left > 0 && result == 0) {
            const size_t count = left < most ? left : most;

            result = look(context, at, count);
            at += count * elements->stride;
            left -= count;
            if (elements->mapped && ((size_t)(at - kept) >= LOOK_BYTES || left == 0)) {
                data_memory_let_go(kept, at);
                kept = at;
            }
        }
    }
    return result;
}
