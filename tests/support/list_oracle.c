#include "tests/support/list_oracle.h"

#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* When a micro-batch's passes through a part have ended; -1: not yet. */
struct ends {
    int forward, gradient, weights;
};

struct play {
    struct list_oracle *oracle;
    const struct oracle_list *lists;
    int stages, parts, total; /* micro-batches in all */
    int microbatches;
    struct oracle_times times;
    struct ends *ends; /* [parts][total] */
    int next[ORACLE_STAGES_MAX], clock[ORACLE_STAGES_MAX], busy[ORACLE_STAGES_MAX], held[ORACLE_STAGES_MAX];
};

static bool complain(struct list_oracle *oracle, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(oracle->text, sizeof(oracle->text), format, arguments);
    va_end(arguments);
    return false;
}

static struct ends *ends_of(const struct play *play, int part, int number)
{
    return &play->ends[(part - 1) * play->total + number];
}

static int later(int a, int b)
{
    return a > b ? a : b;
}

/* The earliest moment at which the op's part in this micro-batch may begin; -1: unknown as yet. */
static int ready(const struct play *play, const struct op *op, int number)
{
    const struct ends *here = ends_of(play, op->part, number);

    switch (op->kind) {
    case OP_FORWARD:
        return op->part == 1 ? 0 : ends_of(play, op->part - 1, number)->forward;
    case OP_BACKWARD_WEIGHTS:
        return here->gradient;
    default:
        break;
    }
    if (here->forward < 0 || op->part == play->parts)
        return here->forward;
    if (ends_of(play, op->part + 1, number)->gradient < 0)
        return -1;
    return later(here->forward, ends_of(play, op->part + 1, number)->gradient);
}

static int time_of(const struct play *play, const struct op *op)
{
    const int each[OP_KINDS] = {
        [OP_FORWARD] = play->times.forward,
        [OP_BACKWARD] = play->times.backward,
        [OP_BACKWARD_INPUT] = play->times.input,
        [OP_BACKWARD_WEIGHTS] = play->times.weights,
    };
    return op->count * each[op->kind];
}

static void end_op(struct play *play, int s, const struct op *op, int number, int end)
{
    struct ends *ends = ends_of(play, op->part, number);

    if (op->kind == OP_FORWARD) {
        ends->forward = end;
        play->oracle->peak[s] = later(play->oracle->peak[s], ++play->held[s]);
        return;
    }
    if (op->kind != OP_BACKWARD_WEIGHTS)
        ends->gradient = end;
    if (op->kind != OP_BACKWARD_INPUT) {
        ends->weights = end;
        play->held[s]--;
    }
}

/* Runs the stage's next op, if what it needs is known. */
static bool run_one(struct play *play, int s)
{
    const struct oracle_list *list = &play->lists[s];
    const struct op *op = &list->ops[play->next[s]];
    const int first = (op->minibatch - 1) * play->microbatches + op->first - 1;
    int begin = play->clock[s];

    for (int j = first; j < first + op->count; j++) {
        const int from = ready(play, op, j);

        if (from < 0)
            return false;
        begin = later(begin, from);
    }
    if (list->starts != NULL)
        list->starts[play->next[s]] = begin;
    if (play->next[s]++ == 0)
        play->oracle->fill[s] = begin;
    else
        play->oracle->holes[s] += begin - play->clock[s];
    play->busy[s] += time_of(play, op);
    play->clock[s] = begin + time_of(play, op);
    for (int j = first; j < first + op->count; j++)
        end_op(play, s, op, j, play->clock[s]);
    play->oracle->makespan = later(play->oracle->makespan, play->clock[s]);
    return true;
}

/* Every pass once: counted before anything runs. */
static bool check_ops(const struct play *play)
{
    int *seen = calloc((size_t)play->parts * (size_t)play->total * 3, sizeof(*seen));
    bool right = true;

    for (int s = 0; s < play->stages; s++)
        for (int n = 0; n < play->lists[s].count; n++) {
            const struct op *op = &play->lists[s].ops[n];
            const int first = (op->minibatch - 1) * play->microbatches + op->first - 1;

            ck_assert(op->part >= 1 && op->part <= play->parts && first >= 0 && first + op->count <= play->total);
            for (int j = first; j < first + op->count; j++) {
                int *of = &seen[3 * ((op->part - 1) * play->total + j)];

                of[0] += op->kind == OP_FORWARD;
                of[1] += op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_INPUT;
                of[2] += op->kind == OP_BACKWARD || op->kind == OP_BACKWARD_WEIGHTS;
            }
        }
    for (int k = 0; right && k < play->parts * play->total; k++)
        if (seen[3 * k] != 1 || seen[3 * k + 1] != 1 || seen[3 * k + 2] != 1)
            right = complain(play->oracle, "part %d, micro-batch %d: %d forwards, %d input halves, %d weight halves",
                             k / play->total + 1, k % play->total + 1, seen[3 * k], seen[3 * k + 1], seen[3 * k + 2]);
    free(seen);
    return right;
}

static bool all_done(const struct play *play)
{
    for (int s = 0; s < play->stages; s++)
        if (play->next[s] < play->lists[s].count)
            return complain(play->oracle, "stage %d can never run op %d of its list", s + 1, play->next[s] + 1);
    return true;
}

bool list_oracle_play(struct list_oracle *oracle, const struct oracle_list *lists, int stages, int parts,
                      int minibatches, int microbatches, struct oracle_times times)
{
    struct play play = {.oracle = oracle,
                        .lists = lists,
                        .stages = stages,
                        .parts = parts,
                        .total = minibatches * microbatches,
                        .microbatches = microbatches,
                        .times = times};
    const size_t passes = (size_t)parts * (size_t)play.total;
    bool right, moved = true;

    ck_assert_int_le(stages, ORACLE_STAGES_MAX);
    *oracle = (struct list_oracle){.makespan = 0};
    if (!check_ops(&play))
        return false;
    play.ends = malloc(passes * sizeof(*play.ends));
    memset(play.ends, -1, passes * sizeof(*play.ends));
    while (moved) {
        moved = false;
        for (int s = 0; s < stages; s++)
            while (play.next[s] < lists[s].count && run_one(&play, s))
                moved = true;
    }
    right = all_done(&play);
    for (int s = 0; s < stages; s++)
        oracle->idle[s] = oracle->makespan - play.busy[s];
    free(play.ends);
    return right;
}
