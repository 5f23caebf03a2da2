#include "tests/support/random_schedule.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

enum { RANKS_MAX = 8, PARTS_MAX = 32 };

struct draw {
    const struct random_schedule *random;
    uint64_t state;
    int parts, total;                                                              /* in all; micro-batches in all */
    int forwards[PARTS_MAX + 2], gradients[PARTS_MAX + 2], weights[PARTS_MAX + 2]; /* done, of part 1.. */
    FILE *rows[RANKS_MAX];
    char *texts[RANKS_MAX];
    size_t sizes[RANKS_MAX];
};

/* splitmix64 */
static int below(uint64_t *state, int count)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (int)((z ^ (z >> 31)) % (uint64_t)count);
}

static int loops_rank(const struct random_schedule *random, int part)
{
    const int pass = (part - 1) / random->stages, place = (part - 1) % random->stages;

    return random->placement == PLACEMENT_V && pass % 2 == 1 ? random->stages - 1 - place : place;
}

static bool can_run(const struct draw *draw, char kind, int part)
{
    const int step = kind != 'F' && draw->random->whole ? draw->random->microbatches : 1;

    if (kind == 'F')
        return draw->forwards[part] < draw->total && (part == 1 || draw->forwards[part - 1] > draw->forwards[part]);
    if (kind == 'W')
        return draw->weights[part] < draw->gradients[part];
    if (kind == 'B' && draw->weights[part] < draw->gradients[part])
        return false;
    return draw->gradients[part] + step <= draw->forwards[part] &&
           (part == draw->parts || draw->gradients[part + 1] >= draw->gradients[part] + step);
}

static void write_cell(struct draw *draw, char kind, int part, int number)
{
    const struct random_schedule *random = draw->random;
    FILE *row = draw->rows[loops_rank(random, part)];
    const char *quote = random->embellished && below(&draw->state, 9) == 0 ? "\"" : "";

    if (random->embellished) {
        for (int k = below(&draw->state, 4); k == 0; k = below(&draw->state, 2))
            fputc(',', row);
        if (below(&draw->state, 5) == 0)
            fprintf(row, "%d%s%d,", part - 1, below(&draw->state, 2) ? "SEND_F" : "RECV_B", number);
        if (below(&draw->state, 9) == 0)
            fprintf(row, "%dUNSHARD,", part - 1);
        if (below(&draw->state, 9) == 0)
            fputc(' ', row);
    }
    fprintf(row, "%s%d%c%d", quote, part - 1, kind, number % random->microbatches);
    if (kind == 'B' && random->whole && random->microbatches > 1)
        fprintf(row, "-%d", random->microbatches - 1);
    if (random->minibatches > 1 || random->whole)
        fprintf(row, "@%d", number / random->microbatches);
    fprintf(row, "%s,", quote);
}

static void run_op(struct draw *draw, char kind, int part)
{
    const int step = kind != 'F' && draw->random->whole ? draw->random->microbatches : 1;
    int *done = kind == 'F' ? draw->forwards : kind == 'W' ? draw->weights : draw->gradients;

    write_cell(draw, kind, part, done[part]);
    done[part] += step;
    if (kind == 'B')
        draw->weights[part] += step;
}

/* One op, drawn from those that can run. False: there is none. */
static bool run_any(struct draw *draw)
{
    static const char kinds[] = "FBIW";
    struct {
        char kind;
        int part;
    } found[4 * PARTS_MAX];
    int count = 0;

    for (int part = 1; part <= draw->parts; part++)
        for (int k = 0; k < (draw->random->whole ? 2 : 4); k++)
            if (can_run(draw, kinds[k], part)) {
                found[count].kind = kinds[k];
                found[count++].part = part;
            }
    if (count == 0)
        return false;
    count = below(&draw->state, count);
    run_op(draw, found[count].kind, found[count].part);
    return true;
}

char *random_schedule_csv(const struct random_schedule *random, uint64_t seed)
{
    static struct draw draw;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    draw = (struct draw){.random = random, .state = seed};
    draw.parts = random->stages * random->parts;
    draw.total = random->minibatches * random->microbatches;
    ck_assert(random->stages <= RANKS_MAX && draw.parts <= PARTS_MAX);
    for (int rank = 0; rank < random->stages; rank++)
        draw.rows[rank] = open_memstream(&draw.texts[rank], &draw.sizes[rank]);
    while (run_any(&draw))
        ;
    if (random->minibatches > 1 || random->whole)
        fprintf(out, "#tp microbatches=%d backward=forward\n", random->microbatches);
    for (int rank = 0; rank < random->stages; rank++) {
        fclose(draw.rows[rank]);
        fprintf(out, "%.*s%s", (int)draw.sizes[rank] - !random->embellished, draw.texts[rank],
                random->embellished ? "\r\n" : "\n");
        free(draw.texts[rank]);
    }
    fclose(out);
    return text;
}

struct random_schedule random_schedule_draw(uint64_t seed)
{
    const int stages = 1 + below(&seed, 5), parts = 1 + below(&seed, 4);

    return (struct random_schedule){
        .stages = stages,
        .parts = parts,
        .placement = stages > 1 && parts > 1 && below(&seed, 2) ? PLACEMENT_V : PLACEMENT_LOOP,
        .microbatches = 1 + below(&seed, 6),
        .minibatches = below(&seed, 2) ? 1 : 2 + below(&seed, 3),
        .whole = below(&seed, 3) == 0,
        .embellished = below(&seed, 2) == 1,
    };
}
