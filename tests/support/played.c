#include "tests/support/played.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/schedules.h"

static const struct oracle_times unit = {.forward = 1, .backward = 2, .input = 1, .weights = 1};

struct csv_schedule played_read(const char *text)
{
    struct csv_schedule csv;
    struct error error = {""};

    ck_assert_msg(csv_read(&csv, text, strlen(text), &error) == 0, "%s\n%s", error.text, text);
    return csv;
}

/* All of a list's ops, one after the other. */
static struct op *played_unroll(const struct op_list *list)
{
    struct op *ops = malloc((size_t)list_count(list) * sizeof(*ops));

    for (int n = 0; n < list_count(list); n++)
        ops[n] = list_op(list, n);
    return ops;
}

bool played_plays(const struct csv_schedule *csv, int minibatches, struct list_oracle *oracle, int **starts)
{
    struct oracle_list lists[ORACLE_STAGES_MAX];
    struct op *ops[ORACLE_STAGES_MAX];
    bool right;

    for (int s = 1; s <= csv->stages; s++) {
        struct op_list list;

        ck_assert_int_eq(csv_list(csv, s, minibatches, &list), 0);
        ops[s - 1] = played_unroll(&list);
        lists[s - 1] = (struct oracle_list){ops[s - 1], list_count(&list), NULL};
        if (starts != NULL)
            lists[s - 1].starts = starts[s - 1] = calloc((size_t)lists[s - 1].count, sizeof(int));
        free(list.ops);
    }
    right =
        list_oracle_play(oracle, lists, csv->stages, csv->stages * csv->parts, minibatches, csv->microbatches, unit);
    for (int s = 0; s < csv->stages; s++)
        free(ops[s]);
    return right;
}

void played_assert(const struct csv_schedule *csv, int minibatches, const char *text)
{
    struct list_oracle oracle;

    ck_assert_msg(played_plays(csv, minibatches, &oracle, NULL), "%d mini-batches: %s\n%s", minibatches, oracle.text,
                  text);
}

bool played_same_op(const struct op *a, const struct op *b)
{
    return a->kind == b->kind && a->part == b->part && a->minibatch == b->minibatch && a->first == b->first &&
           a->count == b->count;
}

void played_assert_same(const struct op_list *a, const struct op_list *b, const char *what, int stage)
{
    ck_assert_msg(a->stored == b->stored, "%s, stage %d: %d ops and %d", what, stage, a->stored, b->stored);
    for (int n = 0; n < a->stored; n++)
        ck_assert_msg(played_same_op(&a->ops[n], &b->ops[n]), "%s, stage %d: op %d differs", what, stage, n + 1);
    ck_assert_msg(a->cycle.from == b->cycle.from && a->cycle.length == b->cycle.length &&
                      a->cycle.turns == b->cycle.turns && a->cycle.shift == b->cycle.shift,
                  "%s, stage %d: the periods differ", what, stage);
}

struct schedule played_schedule(const struct csv_schedule *csv)
{
    return (struct schedule){.stages = csv->stages,
                             .parts = csv->parts,
                             .placement = csv->placement,
                             .microbatches = csv->microbatches,
                             .minibatches = csv->minibatches,
                             .forward = csv->forward,
                             .backward = csv->backward};
}

struct schedule played_named(const char *name, int stages, int microbatches, int parts)
{
    struct schedule schedule = schedule_named(name, stages, microbatches, 1);

    schedule.parts = parts;
    schedule.placement = strstr(name, "-v") != NULL ? PLACEMENT_V : PLACEMENT_LOOP;
    return schedule;
}

void played_round_trip(const struct csv_schedule *csv, bool pytorchs_form, const char *what)
{
    struct csv_row rows[ORACLE_STAGES_MAX];
    int *starts[ORACLE_STAGES_MAX];
    const struct schedule schedule = played_schedule(csv);
    struct list_oracle oracle;
    struct csv_schedule again;
    struct error error;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    ck_assert_msg(played_plays(csv, csv->minibatches, &oracle, starts), "%s: %s", what, oracle.text);
    for (int s = 0; s < csv->stages; s++)
        rows[s] = (struct csv_row){&csv->lists[s], starts[s]};
    ck_assert_int_eq(csv_write(out, &schedule, rows, &error), 0);
    fclose(out);
    ck_assert_msg((text[0] != '#') == pytorchs_form, "%s: in the wrong form\n%s", what, text);
    again = played_read(text);
    ck_assert_int_eq(again.stages, csv->stages);
    ck_assert_int_eq(again.parts, csv->parts);
    ck_assert_int_eq(again.placement, csv->placement);
    ck_assert_int_eq(again.microbatches, csv->microbatches);
    ck_assert_int_eq(again.minibatches, csv->minibatches);
    ck_assert_int_eq(again.shift, csv->shift);
    ck_assert_int_eq(again.forward, csv->forward);
    ck_assert_int_eq(again.backward, csv->backward);
    ck_assert(again.flush == csv->flush && again.split_backward == csv->split_backward);
    for (int s = 1; s <= csv->stages; s++) {
        played_assert_same(&csv->lists[s - 1], &again.lists[s - 1], what, s);
        free(starts[s - 1]);
    }
    csv_release(&again);
    free(text);
}
