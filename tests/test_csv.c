/* Goal of this test: schedule files mean what docs/schedule-files.md says. PyTorch's own are read, what is written
 * reads the same again, and what is wrong is refused with the cell and the rule. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tests/support/played.h"
#include "tests/support/suite.h"

static char *file_text(const char *name)
{
    char path[128], *text;
    struct error error;
    size_t size;

    snprintf(path, sizeof(path), "tests/golden/pytorch/%s.csv", name);
    ck_assert_msg(file_read(path, &text, &size, &error) == 0, "%s", error.text);
    return text;
}

static struct op_list generated(const struct schedule *schedule, int stage)
{
    struct op_list list = {.ops = malloc((size_t)(3 * schedule->parts * schedule->microbatches) * sizeof(struct op))};

    list.stored = schedule->order.generate(schedule, stage, list.ops);
    list.cycle = (struct cycle){.length = list.stored, .turns = 1, .shift = 1};
    return list;
}

static const struct {
    const char *name;
    int stages, parts;
    enum placement placement;
    int microbatches;
    bool split, renumbered;
    const char *system; /* that has the same lists */
    int makespan;
} pytorchs[] = {
    {"gpipe", 3, 1, PLACEMENT_LOOP, 4, false, false, "breadth-first", 18},
    {"1f1b", 4, 1, PLACEMENT_LOOP, 6, false, false, NULL, 27},
    {"interleaved-1f1b", 2, 3, PLACEMENT_LOOP, 4, false, false, "interleaved-1f1b", 39},
    {"looped-bfs", 2, 2, PLACEMENT_LOOP, 3, false, true, "breadth-first", 21},
    {"interleaved-zero-bubble", 3, 2, PLACEMENT_LOOP, 6, true, false, NULL, 38},
    {"zbv-zero-bubble", 3, 2, PLACEMENT_V, 6, true, false, "zb-v", 38},
    {"dualpipe-v", 2, 2, PLACEMENT_V, 5, true, false, "dualpipe-v", 31},
};
enum { PYTORCHS = sizeof(pytorchs) / sizeof(pytorchs[0]) };

START_TEST(pytorchs_own_files_are_read)
{
    char *text = file_text(pytorchs[_i].name);
    struct csv_schedule csv = played_read(text);
    struct list_oracle oracle;

    ck_assert_int_eq(csv.stages, pytorchs[_i].stages);
    ck_assert_int_eq(csv.parts, pytorchs[_i].parts);
    ck_assert_int_eq(csv.placement, pytorchs[_i].placement);
    ck_assert_int_eq(csv.microbatches, pytorchs[_i].microbatches);
    ck_assert_int_eq(csv.split_backward, pytorchs[_i].split);
    ck_assert_int_eq(csv.renumbered, pytorchs[_i].renumbered);
    ck_assert(csv.flush && !csv.whole_backward && csv.minibatches == 1 && csv.shift == 1);
    ck_assert(csv.forward == FORWARD_LIVE && csv.backward == BACKWARD_LIVE);
    ck_assert_msg(played_plays(&csv, 1, &oracle, NULL), "%s", oracle.text);
    ck_assert_int_eq(oracle.makespan, pytorchs[_i].makespan);
    played_assert(&csv, 3, text);
    csv_release(&csv);
    free(text);
}
END_TEST

/* Our generators and PyTorch's, which share no line, agree op by op. */
START_TEST(orders_are_pytorchs)
{
    char *text = file_text(pytorchs[_i].name);
    struct csv_schedule csv = played_read(text);

    for (int s = 1; pytorchs[_i].system != NULL && s <= csv.stages; s++) {
        const struct schedule schedule = played_named(pytorchs[_i].system, csv.stages, csv.microbatches, csv.parts);
        struct op_list list = generated(&schedule, s);

        played_assert_same(&list, &csv.lists[s - 1], pytorchs[_i].name, s);
        free(list.ops);
    }
    csv_release(&csv);
    free(text);
}
END_TEST

START_TEST(orders_go_through_pytorchs_form)
{
    static const char *const names[] = {"interleaved-1f1b", "breadth-first", "zb-v", "dualpipe-v"};
    struct error error;

    for (int k = 0; k < 4; k++)
        for (int w = 1; w <= 5; w++)
            for (int n = 1; n <= 11; n++)
                for (int c = 1; c <= 3; c++) {
                    const struct schedule schedule = played_named(names[k], w, n, c);
                    struct op_list lists[5];
                    struct csv_schedule csv = {.stages = w,
                                               .parts = c,
                                               .placement = w > 1 ? schedule.placement : PLACEMENT_LOOP,
                                               .microbatches = n,
                                               .flush = true,
                                               .split_backward = schedule.order.split_backward,
                                               .minibatches = 1,
                                               .shift = 1,
                                               .lists = lists};

                    if (schedule.order.check(&schedule, &error) != 0)
                        continue;
                    for (int s = 1; s <= w; s++)
                        lists[s - 1] = generated(&schedule, s);
                    played_round_trip(&csv, true, names[k]);
                    for (int s = 0; s < w; s++)
                        free(lists[s].ops);
                }
}
END_TEST

/* TiMePReSt with W = 3 and N = 2: docs/schedule-files.md shows it. */
static const char nf1b[] = "#tp microbatches=2 forward=pinned backward=committed\n"
                           "0F0@0,0F1@0,0F0@1,0F1@1,0F0@2,0F1@2,[0B0-1@0,0F0@3,0F1@3],0B0-1@1,,,0B0-1@2,,,0B0-1@3\n"
                           ",1F0@0,1F1@0,1F0@1,1F1@1,[1B0-1@0,1F0@2,1F1@2],1B0-1@1,1F0@3,1F1@3,1B0-1@2,,,1B0-1@3\n"
                           ",,[2F0@0,2F1@0,2B0-1@0],2F0@1,2F1@1,2B0-1@1,2F0@2,2F1@2,2B0-1@2,2F0@3,2F1@3,2B0-1@3\n";

START_TEST(what_pytorch_cannot_say_goes_through_the_extension)
{
    /* tests/golden/schedules.txt */
    static const char *const grid[] = {
        "1A 1B 2A 2B 3A 3B 1 4A 4B 2 5A 5B 3 6A 6B 4 7A 7B 5 8A 8B 6 9A 9B 7 8 9",
        "1A 1B 2A 2B 1 3A 3B 2 4A 4B 3 5A 5B 4 6A 6B 5 7A 7B 6 8A 8B 7 9A 9B 8 9",
        "1A 1B 1 2A 2B 2 3A 3B 3 4A 4B 4 5A 5B 5 6A 6B 6 7A 7B 7 8A 8B 8 9A 9B 9",
    };
    struct csv_schedule csv = played_read(nf1b);

    ck_assert(csv.stages == 3 && csv.parts == 1 && csv.microbatches == 2 && csv.minibatches == 4 && csv.shift == 1);
    ck_assert(csv.forward == FORWARD_PINNED && csv.backward == BACKWARD_COMMITTED);
    ck_assert(csv.whole_backward && !csv.split_backward && !csv.flush && !csv.renumbered);
    played_round_trip(&csv, false, "nF1B");
    for (int k = 1; k <= 20; k++)
        played_assert(&csv, k, nf1b);
    for (int s = 1; s <= 3; s++) {
        struct op_list list;
        char text[256] = "";

        ck_assert_int_eq(csv_list(&csv, s, 9, &list), 0);
        for (int n = 0; n < list_count(&list); n++) {
            const struct op op = list_op(&list, n);

            snprintf(text + strlen(text), sizeof(text) - strlen(text), op.kind == OP_FORWARD ? "%s%d%c" : "%s%d",
                     n > 0 ? " " : "", op.minibatch, 'A' + op.first - 1);
        }
        ck_assert_str_eq(text, grid[s - 1]);
        free(list.ops);
    }
    csv_release(&csv);
}
END_TEST

/* However many mini-batches: what is stored does not grow, and a period of two leaves out what is too much. */
START_TEST(periods_make_lists_of_any_length)
{
    static const char two[] = "#tp microbatches=1 backward=forward\n"
                              "0F0@0,[0F0@1,0F0@2,0B0@0,0B0@1],0F0@3,0B0@2,0B0@3\n"
                              "[1F0@0,1B0@0,1F0@1,1B0@1],1F0@2,1B0@2,1F0@3,1B0@3\n";
    struct csv_schedule csv = played_read(two);
    struct op_list list;

    ck_assert_int_eq(csv.shift, 2);
    for (int k = 1; k <= 20; k++)
        played_assert(&csv, k, two);
    ck_assert_int_eq(csv_list(&csv, 1, 100001, &list), 0);
    ck_assert_int_eq(list_count(&list), 200002);
    ck_assert_int_lt(list.stored, 20);
    free(list.ops);
    csv_release(&csv);
}
END_TEST

/* Every block of docs/schedule-files.md that is said to be a file. */
START_TEST(the_documents_examples_are_read)
{
    char *text, *block, *end;
    struct error error;
    size_t size;
    int count = 0;

    ck_assert_msg(file_read("docs/schedule-files.md", &text, &size, &error) == 0, "%s", error.text);
    for (block = text; (block = strstr(block, "```csv\n")) != NULL; block = end + 1, count++) {
        struct csv_schedule csv;

        block += strlen("```csv\n");
        end = strstr(block, "```");
        ck_assert_msg(csv_read(&csv, block, (size_t)(end - block), &error) == 0, "%s", error.text);
        ck_assert(csv.whole_backward == (*block == '#') && csv.stages == (*block == '#' ? 3 : 2));
        ck_assert(*block != '#' || !strncmp(block, nf1b, strlen(nf1b)));
        csv_release(&csv);
    }
    ck_assert_int_eq(count, 2);
    free(text);
}
END_TEST

#define TP1 "#tp microbatches=1\n"
#define TP2 "#tp microbatches=2\n"

/* A file, and the line with which it is refused. */
static const struct {
    const char *text, *error;
} wrong[] = {
    {"", "no ops: a row per rank with cells such as 0F0 is needed"},
    {"0F0,0X0,0B0\n",
     "row 1, column 2 (0X0): no such op: there are F (forward), B (backward), I and W (its input and its weight half)"},
    {"F0,0B0\n",
     "row 1, column 1 (F0): no part where it should be: a cell is part, F, B, I or W, micro-batch, such as 2F0"},
    {"0F,0B0\n",
     "row 1, column 1 (0F): no micro-batch where it should be: a cell is part, F, B, I or W, micro-batch, such as 2F0"},
    {"0F0;0B0\n", "row 1, column 1 (0F0;0B0): the cell goes on behind its op: a comma belongs between cells"},
    {"70000F0\n", "row 1, column 1 (70000F0): the part is too large: 0 to 65535 are possible"},
    {"0F20000\n", "row 1, column 1 (0F20000): the micro-batch is too large: 0 to 18277 are possible"},
    {"0F0,0B0\n\n1F0,1B0\n", "row 2: rank 1 has no ops: every rank has a part of the network"},
    {"0F0,\"0B0\n", "row 1, column 2 (\"0B0): a quote opens the cell and none closes it on this line"},
    {"0F0,\"0B0\"1,\n", "row 1, column 2 (\"0B0\"1): the cell goes on behind its quote: a comma belongs between cells"},
    {"(0F0)OVERLAP_F_B\n", "row 1, column 1 ((0F0)OVERLAP_F_B): a pair has two ops with a semicolon between them, such "
                           "as (0F5;7B2)OVERLAP_F_B"},
    {"(0F0;0B0)F\n", "row 1, column 1 ((0F0;0B0)F): a pair of ops ends with )OVERLAP_F_B"},
    {"(0F0;0SEND_F0)OVERLAP_F_B\n",
     "row 1, column 1 ((0F0;0SEND_F0)OVERLAP_F_B): a pair has two ops, not communication"},
    {"0F0,0F1,1F0,1B0,0B0,0B1\n1F1,1B1\n", "row 2, column 1 (1F1): part 1 is on rank 0 already: a part is on one rank"},
    {"0F0,0B0\n2F0,2B0\n", "no rank has part 1, and there is a part 2: parts are numbered from 0 without gaps"},
    {"0F0,0B0,2F0,2B0\n1F0,1B0\n", "3 parts on 2 ranks: every rank needs as many"},
    {"0F0,1F0,1B0,0B0\n2F0,3F0,3B0,2B0\n",
     "row 1, column 2 (1F0): part 1 is on rank 0: with 4 parts on 2 ranks a loop has it on rank 1 and a V on rank 1"},
    {"0F0,0F0,0B0\n",
     "row 1, column 2 (0F0): this forward has been before: each micro-batch goes forward through a part once"},
    {"0F1,0F0,0B0,0B1\n",
     "row 1, column 1 (0F1): that of micro-batch 0 comes later, in column 2: forwards of a part go in ascending order"},
    {"0F0,0F2,0B0,0B2\n", "row 1, column 2 (0F2): part 0 has no forward of micro-batch 1: it needs all up to the last"},
    {"0F0,0F1,0B0,0B1\n1F0,1B0\n",
     "row 2, column 2 (1B0): the last op of part 1, which has no forward of micro-batch 1: every part has as many"},
    {"0B0,0F0\n", "row 1, column 1 (0B0): a backward before its forward at this part"},
    {"0F0,0B0,0B0\n",
     "row 1, column 3 (0B0): this backward has been before: each micro-batch goes back through a part once"},
    {"0F0,0F1,0B0\n",
     "row 1, column 3 (0B0): the last op of part 0, which has no backward of micro-batch 1: each forward needs one"},
    {"0F0,0I0\n", "row 1, column 2 (0I0): the last op of part 0, which has an input half of micro-batch 0 and no "
                  "weight half: each needs one"},
    {"0F0,0W0,0I0\n", "row 1, column 2 (0W0): a weight half before its input half at this part"},
    {"0F0,0B0,0W0\n", "row 1, column 3 (0W0): this weight half has been before: alone, or in a whole backward"},
    {"0F0,0F1,0I0,0I1,0W1,0W0\n", "row 1, column 5 (0W1): the weight half of micro-batch 0 is still to come: weight "
                                  "halves go in the order of input halves"},
    {"0F0,0F1,0B0,0B1\n1F0,1F1,1B1,1B0\n",
     "row 2, column 3 (1B1): part 0 has the backward of micro-batch 0 in this turn: all parts go back in one order"},
    {"0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1\n", "row 1, column 2 (0B0): this can never run: it waits for the backward of "
                                           "part 1, which row 2 has behind column 2 (1F1), and that waits, too"},
    {"0F0,0F1,0F2,0B0-2\n",
     "row 1, column 4 (0B0-2): a backward of several micro-batches needs a first line \"#tp microbatches=N\""},
    {"0F0@0,0B0@0\n", "row 1, column 1 (0F0@0): a mini-batch number needs a first line \"#tp microbatches=N\""},
    {"[0F0,0B0]\n", "row 1, column 1 ([0F0): a period needs a first line \"#tp microbatches=N\""},
    {"#tp microbatches=0\n0F0@0,0B0@0\n", "row 1: microbatches=0: 1 to 18278 are possible"},
    {"#tp forward=pinned\n0F0@0\n", "row 1: #tp needs microbatches=N, the micro-batches of a mini-batch"},
    {"#tp microbatches=1 forward=new\n0F0@0,0B0@0\n",
     "row 1: new is none of live, pinned, double-buffered, spectrain, pipeoptim, msnag, linear"},
    {"#tp microbatches=1 system=nf1b\n0F0@0,0B0@0\n",
     "row 1: no key system: there are microbatches, forward and backward"},
    {"#tp microbatches\n", "row 1: microbatches has no value: key=value is needed"},
    {"# a comment\n0F0,0B0\n", "row 1: a line that begins with # is \"#tp microbatches=N ...\", and no other"},
    {TP2 "0F0@0,0F1@0,0F2@0,0B0-1@0\n",
     "row 2, column 3 (0F2@0): a mini-batch has micro-batches 0 to 1: microbatches=2"},
    {TP2 "0F1-0@0\n", "row 2, column 1 (0F1-0@0): the last micro-batch is before the first"},
    {TP2 "0F0-1@0,0B0-1@0\n", "row 2, column 1 (0F0-1@0): only a whole backward, B, may cover several micro-batches"},
    {TP2 "0F0@0,0F1@0,0B0-1@0,0F0@1,0F1@1,0B0@1,0B1@1\n", "row 2, column 3 (0B0-1@0): 2 of 2 micro-batches: backwards "
                                                          "cover one micro-batch each, or all of a mini-batch each"},
    {TP2 "0F0@0,0F1@0,0B0-1@0,0F0@1,0F1@1,0I0@1\n",
     "row 2, column 6 (0I0@1): half a backward, where others cover whole mini-batches: either is possible, not both"},
    {TP1 "0F0@9,0B0@9\n",
     "10 mini-batches of 1 micro-batches are more than the 2 cells with ops: every part has a forward of each"},
    {TP1 "0F0@2000000\n", "row 2, column 1 (0F0@2000000): the mini-batch is too large: 0 to 1048575 are possible"},
    {TP1 "[0F0@0,[0B0@0]\n", "row 2, column 2 ([0B0@0]): a second period: a row has one, or none"},
    {TP1 "0F0@0],0B0@0\n", "row 2, column 1 (0F0@0]): a period ends here that has not begun: [ first"},
    {TP1 "[0F0@0,0B0@0\n", "row 2, column 1 ([0F0@0): a period begins here and never ends: ] behind its last op"},
    {TP1 "[0F0@0,0B0@0]\n1F0@0,1B0@0\n",
     "row 3, column 1 (1F0@0): this row has no period, the first row has one: it is in all rows or in none"},
    {TP1 "[0F0@0],0B0@0\n",
     "row 2, column 1 ([0F0@0]): 0 backwards of part 0 in this period: whole mini-batches of 1 are needed"},
    {TP2 "[0F0@0,0B0@0],0F1@0,0B1@0\n",
     "row 2, column 1 ([0F0@0): 1 forwards of part 0 in this period: whole mini-batches of 2 are needed"},
    {TP1 "[0UNSHARD,0F0@0,0B0@0]\n",
     "row 2, column 1 ([0UNSHARD): a period begins and ends with a forward or a backward"},
    {TP2 "0F0@0,0F1@0,0B1@0,0B0@0\n", "row 2, column 3 (0B1@0): the backward of micro-batch 0 of mini-batch 0 is still "
                                      "to come: with a first line #tp they go in ascending order"},
    {TP1 "[0F0@0,0B0@0],0F0@1,0B0@1\n[1F0@0,1F0@1,1B0@0,1B0@1]\n",
     "row 3, column 1 ([1F0@0): 2 forwards of part 1 in this period, but 1 forwards of part 0 in its: a period moves "
     "all parts on by the same mini-batches"},
};
enum { WRONG_FILES = sizeof(wrong) / sizeof(wrong[0]) };

START_TEST(wrong_files_are_refused_with_the_cell_and_the_rule)
{
    struct csv_schedule csv;
    struct error error = {""};

    ck_assert_msg(csv_read(&csv, wrong[_i].text, strlen(wrong[_i].text), &error) == -1, "it is read:\n%s",
                  wrong[_i].text);
    ck_assert_msg(strcmp(error.text, wrong[_i].error) == 0, "%s\nis refused with\n  %s\nnot with\n  %s", wrong[_i].text,
                  error.text, wrong[_i].error);
}
END_TEST

START_TEST(every_refusal_is_another_line)
{
    for (int a = 0; a < WRONG_FILES; a++)
        for (int b = 0; b < a; b++)
            ck_assert_msg(strcmp(wrong[a].error, wrong[b].error) != 0, "twice: %s", wrong[a].error);
}
END_TEST

START_TEST(what_schedule_1f1b_of_pytorch_writes_is_refused_as_pytorch_does)
{
    char *text = file_text("1f1b-as-written");
    struct csv_schedule csv;
    struct error error;

    ck_assert_int_eq(csv_read(&csv, text, strlen(text), &error), -1);
    ck_assert_str_eq(
        error.text,
        "row 1, column 12 (0B5): the last op of part 0, which has no forward of micro-batch 6: every part has as many");
    free(text);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_refused)
{
    static const char binary[] = "0F0,\0B0", image[] = "\x89PNG";
    struct csv_schedule csv;
    struct error error;

    ck_assert_int_eq(csv_read(&csv, binary, sizeof(binary) - 1, &error), -1);
    ck_assert_str_eq(error.text, "row 1: a byte 0x00, which no schedule has: is this a CSV file?");
    ck_assert_int_eq(csv_read(&csv, image, sizeof(image) - 1, &error), -1);
    ck_assert_str_eq(error.text, "row 1: a byte 0x89, which no schedule has: is this a CSV file?");
}
END_TEST

START_TEST(a_full_disk_is_an_error)
{
    struct csv_schedule csv = played_read(nf1b);
    const struct schedule schedule = played_schedule(&csv);
    struct csv_row rows[3] = {{&csv.lists[0], NULL}, {&csv.lists[1], NULL}, {&csv.lists[2], NULL}};
    FILE *full = fopen("/dev/full", "w");
    struct error error = {""};

    ck_assert_int_eq(csv_write(full, &schedule, rows, &error), -1);
    ck_assert_str_eq(error.text, "No space left on device");
    fclose(full);
    csv_release(&csv);
}
END_TEST
int main(void)
{
    Suite *suite = suite_create("csv");
    TCase *tcase = tcase_create("files");

    tcase_set_timeout(tcase, 120);
    tcase_add_loop_test(tcase, pytorchs_own_files_are_read, 0, PYTORCHS);
    tcase_add_loop_test(tcase, orders_are_pytorchs, 0, PYTORCHS);
    tcase_add_test(tcase, orders_go_through_pytorchs_form);
    tcase_add_test(tcase, what_pytorch_cannot_say_goes_through_the_extension);
    tcase_add_test(tcase, periods_make_lists_of_any_length);
    tcase_add_test(tcase, the_documents_examples_are_read);
    tcase_add_loop_test(tcase, wrong_files_are_refused_with_the_cell_and_the_rule, 0, WRONG_FILES);
    tcase_add_test(tcase, every_refusal_is_another_line);
    tcase_add_test(tcase, what_schedule_1f1b_of_pytorch_writes_is_refused_as_pytorch_does);
    tcase_add_test(tcase, bytes_that_are_no_text_are_refused);
    tcase_add_test(tcase, a_full_disk_is_an_error);
    suite_add_tcase(suite, tcase);

    return run_suite(suite);
}
