#include "coordinator/progress.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/clock.h"

/* Between two drawings, on a terminal and elsewhere. */
enum { REDRAW_MS = 150, PLAIN_MS = 5000 };

/* Two looks that lie further apart were parted by a pause: this process was stopped, and so were the stages. */
enum { PAUSE_MS = 2000 };

enum { COLUMNS_WITHOUT_TERMINAL = 80 };

/* A forward costs about half of a backward, so testing an image about a third of training one. */
enum { TRAIN_COST = 3, TEST_COST = 1 };

void progress_op(struct progress_line *line, const struct op_record *record)
{
    if (record->epoch != line->epoch) {
        line->epoch = record->epoch;
        line->trained = line->tested = 0;
    }
    if (line->phase != (enum phase)record->phase)
        line->mark_count = 0;
    line->phase = (enum phase)record->phase;
    if (line->phase == PHASE_EVALUATE) {
        line->tested += record->rows;
    } else if (record->updated) {
        int rows = plan_minibatch_rows(line->plan, record->minibatch);

        line->trained += rows;
        line->all_trained += rows;
        line->losses[line->loss_count++ % PROGRESS_LOSSES] = record->loss;
    }
}

/* Marks where the run is; the rate is that of the time since the oldest mark. Pauses are no time of the run. */
static void update_rate(struct progress_line *line, uint64_t now_ns)
{
    if (line->paused || now_ns - line->looked_ns > PAUSE_MS * 1000000ull) {
        line->start_ns += now_ns - line->looked_ns;
        line->mark_count = 0;
    }
    line->looked_ns = now_ns;
    if (line->phase != PHASE_TRAIN)
        return;
    if (line->mark_count == PROGRESS_MARKS)
        memmove(&line->marks[0], &line->marks[1], sizeof(line->marks[0]) * (size_t)(--line->mark_count));
    line->marks[line->mark_count].time_ns = now_ns;
    line->marks[line->mark_count++].trained = line->all_trained;
    if (line->mark_count > 1 && now_ns > line->marks[0].time_ns)
        line->rate =
            1e9 * (double)(line->all_trained - line->marks[0].trained) / (double)(now_ns - line->marks[0].time_ns);
}

static double mean_loss(const struct progress_line *line)
{
    int count = line->loss_count < PROGRESS_LOSSES ? line->loss_count : PROGRESS_LOSSES;
    double sum = 0.0;

    for (int i = 0; i < count; i++)
        sum += (double)line->losses[i];
    return sum / count;
}

/* Of one epoch's work. */
static double epoch_work(const struct progress_line *line, int64_t trained, int64_t tested)
{
    const struct plan *plan = line->plan;
    int64_t train = (int64_t)(plan->minibatches_per_epoch - 1) * plan->config.data.batch + plan->last_minibatch_rows;
    double all = (double)TRAIN_COST * (double)train + (double)TEST_COST * plan->data.test_count;

    return ((double)TRAIN_COST * (double)trained + (double)TEST_COST * (double)tested) / all;
}

void progress_begin(struct progress_line *line, const struct segment_header *header, FILE *out,
                    const struct standard_outlets *standard, const char *label)
{
    const struct start *start = &header->start;
    const char *terminal = getenv("TERM");

    *line = (struct progress_line){
        .plan = &header->plan,
        .out = out,
        .standard = standard,
        .label = label,
        .epoch = start->epoch,
        .trained = start->sums.samples,
        .start_ns = clock_now_ns(),
    };
    line->done_before = line->epoch - 1 + epoch_work(line, line->trained, 0);
    line->shown_ns = line->looked_ns = line->start_ns;
    line->terminal = out && isatty(standard_descriptor(out)) && terminal && strcmp(terminal, "dumb") != 0;
    if (out && !label)
        epoch_print_head(out, line->plan);
}

static void format_remaining(const struct progress_line *line, uint64_t now_ns, char text[32])
{
    double all = line->epoch - 1 + epoch_work(line, line->trained, line->tested), done = all - line->done_before;
    double elapsed = 1e-9 * (double)(now_ns - line->start_ns);
    long seconds;

    text[0] = '\0';
    if (done <= 0.0)
        return;
    seconds = (long)(elapsed * (line->plan->config.run.epochs - all) / done + 0.5);
    if (seconds >= 3600)
        snprintf(text, 32, "  %ld:%02ld:%02ld left", seconds / 3600, seconds / 60 % 60, seconds % 60);
    else
        snprintf(text, 32, "  %ld:%02ld left", seconds / 60, seconds % 60);
}

static void format_facts(const struct progress_line *line, double share, uint64_t now_ns, char *text, size_t size)
{
    char loss[32] = "", rate[32] = "", remaining[32];

    if (line->loss_count > 0)
        snprintf(loss, sizeof(loss), "  loss %.4f", mean_loss(line));
    if (line->paused)
        snprintf(rate, sizeof(rate), "  paused");
    else if (line->phase == PHASE_EVALUATE)
        snprintf(rate, sizeof(rate), "  testing");
    else if (line->rate > 0.0)
        snprintf(rate, sizeof(rate), "  %.0f %s", line->rate * plan_targets_per_sample(line->plan),
                 plan_rate_unit(line->plan));
    format_remaining(line, now_ns, remaining);
    snprintf(text, size, "%3.0f%%%s%s%s%s", 100.0 * share, rate, loss, remaining, line->saving ? "  saving" : "");
}

static int terminal_columns(FILE *out)
{
    struct winsize size;

    if (ioctl(standard_descriptor(out), TIOCGWINSZ, &size) || size.ws_col == 0)
        return COLUMNS_WITHOUT_TERMINAL;
    return size.ws_col;
}

/* "epoch 1/4 ", with the label before it. */
static int format_head(const struct progress_line *line, char text[96])
{
    return snprintf(text, 96, "%.64s%sepoch %d/%d ", line->label ? line->label : "", line->label ? ": " : "",
                    line->epoch, line->plan->config.run.epochs);
}

/* "epoch 1/4 [#####     ]  52%  ...": the bar takes what room is left. */
static void draw_bar(const struct progress_line *line, double share, const char *facts)
{
    char head[96], bar[41];
    int head_length = format_head(line, head);
    int columns = terminal_columns(line->out), room = columns - head_length - (int)strlen(facts) - 4;

    if (room > (int)sizeof(bar) - 1)
        room = sizeof(bar) - 1;
    if (room < 5) {
        fprintf(line->out, "\r%.*s\033[K", columns - 1, facts);
    } else {
        int full = (int)(share * room + 0.5);

        memset(bar, ' ', sizeof(bar));
        memset(bar, '#', (size_t)(full > room ? room : full));
        fprintf(line->out, "\r%s[%.*s] %s\033[K", head, room, bar, facts);
    }
    fflush(line->out);
}

/* Whether a drawing would be seen: a program in the background leaves the line to the one in front. */
static bool is_seen(const struct progress_line *line)
{
    const pid_t front = line->terminal ? tcgetpgrp(standard_descriptor(line->out)) : -1;

    return (front < 0 || front == getpgrp()) && !standard_outlets_behind(line->standard, line->out);
}

void progress_draw(struct progress_line *line, uint64_t now_ns)
{
    double share = epoch_work(line, line->trained, line->tested);
    uint64_t pause_ns = 1000000ull * (line->terminal ? REDRAW_MS : PLAIN_MS);
    char head[96], facts[128];

    /* A file is told once. */
    if (line->paused && !line->terminal && line->shown_ns > 0)
        return;
    update_rate(line, now_ns);
    if (!line->out || now_ns - line->shown_ns < pause_ns || !is_seen(line))
        return;
    line->drawn = line->terminal;
    line->shown_ns = now_ns;
    format_facts(line, share, now_ns, facts, sizeof(facts));
    if (line->terminal) {
        draw_bar(line, share, facts);
    } else {
        format_head(line, head);
        fprintf(line->out, "%s%s\n", head, facts);
        fflush(line->out);
    }
}

void progress_pause(struct progress_line *line, bool paused)
{
    if (line->paused != paused)
        line->shown_ns = 0;
    line->paused = paused;
}

void progress_epochs(struct progress_line *line, const struct segment *segment)
{
    const int done = segment_epochs_done(segment);

    if (line->epochs_shown == done)
        return;
    progress_clear(line);
    while (line->epochs_shown < done) {
        line->epochs_shown++;
        if (line->out && !line->label)
            epoch_print(line->out, line->plan, line->epochs_shown, &segment_epochs(segment)[line->epochs_shown - 1]);
    }
    if (line->out)
        fflush(line->out);
}

void progress_clear(struct progress_line *line)
{
    if (line->drawn) {
        fputs("\r\033[K", line->out);
        fflush(line->out);
    }
    line->drawn = false;
}

double epoch_images_per_second(const struct epoch_result *result)
{
    return 1e9 * result->trained_samples / (double)(result->trained_ns - result->start_ns);
}

double epoch_rate(const struct plan *plan, const struct epoch_result *result)
{
    return epoch_images_per_second(result) * plan_targets_per_sample(plan);
}

void epoch_print_head(FILE *out, const struct plan *plan)
{
    fprintf(out, "  epoch  train loss  test loss%s   top-1   top-5   seconds  %s\n",
            plan->data.tokens ? "  perplexity" : "", plan_rate_unit(plan));
}

void epoch_print(FILE *out, const struct plan *plan, int epoch, const struct epoch_result *result)
{
    char number[32], perplexity[32] = "";

    snprintf(number, sizeof(number), "%d/%d", epoch, plan->config.run.epochs);
    if (plan->data.tokens)
        snprintf(perplexity, sizeof(perplexity), " %11.4g", exp(result->test_loss));
    fprintf(out, "%7s %11.4f %10.4f%s %6.2f%% %6.2f%% %9.2f %9.0f\n", number, result->train_loss, result->test_loss,
            perplexity, 100.0 * result->test_top1, 100.0 * result->test_top5,
            1e-9 * (double)(result->end_ns - result->start_ns), epoch_rate(plan, result));
}
