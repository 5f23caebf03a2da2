#include "coordinator/show_comparison.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/numbers.h"
#include "base/text.h"

enum { CELL_MAX = 256, STAGES_LISTED_MAX = 6 };

/* What a column shows: texts as they are, numbers in a format, stages' numbers side by side. */
struct column {
    const char *title, *key, *format;
    double scale;
};

static const struct column learning[] = {
    {"system", "system", NULL, 0},
    {"order", "order", NULL, 0},
    {"update rule", "update_rule", NULL, 0},
    {"optimizer", "optimizer", NULL, 0},
    {"N", "microbatches", "%.0f", 1},
    {"M/N", "microbatch_size", "%.4g", 1},
    {"images/s", "images_per_second", "%.0f", 1},
    {"s/epoch", "seconds_per_epoch", "%.2f", 1},
    {"busy", "busy_fraction", "%.1f%%", 100},
    {"top-1", "test_top1", "%.2f%%", 100},
    {"test loss", "test_loss", "%.4g", 1},
    {"epochs to target", "epochs_to_target", "%.3g", 1},
};

static const struct column versions[] = {
    {"system", "system", NULL, 0},
    {"v median", "version_difference_median", "%.3g", 1},
    {"v max", "version_difference_max", "%.0f", 1},
    {"stale forward", "staleness_forward_mean", "%.2f", 1},
    {"backward", "staleness_backward_mean", "%.2f", 1},
    {"weight versions", "weight_versions", "%3.0f", 1},
    {"peak MiB of each stage", "memory_peak_bytes", "%8.2f", 1.0 / (1 << 20)},
    {"all stages", "memory_peak_bytes_all", "%.2f", 1.0 / (1 << 20)},
};

static const struct column memory[] = {
    {"system", "system", NULL, 0},
    {"MiB of each stage: weights", "weights_peak_bytes", "%7.1f", 1.0 / (1 << 20)},
    {"stash", "stash_peak_bytes", "%7.1f", 1.0 / (1 << 20)},
    {"activations", "activations_peak_bytes", "%7.1f", 1.0 / (1 << 20)},
};

/* With several seeds. */
static const struct column differences[] = {
    {"difference to the first", "system", NULL, 0},          {"n", "paired_runs", "%.0f", 1},
    {"images/s", "images_per_second_difference", "%.0f", 1}, {"s/epoch", "seconds_per_epoch_difference", "%.2f", 1},
    {"top-1", "test_top1_difference", "%.2f%%", 100},        {"test loss", "test_loss_difference", "%.4g", 1},
};

enum {
    LEARNING = sizeof(learning) / sizeof(learning[0]),
    VERSIONS = sizeof(versions) / sizeof(versions[0]),
    MEMORY = sizeof(memory) / sizeof(memory[0]),
    DIFFERENCES = sizeof(differences) / sizeof(differences[0]),
    COLUMNS_MAX = LEARNING > VERSIONS ? LEARNING : VERSIONS /* the others are fewer */
};

static const char legend[] =
    "N: micro-batches per mini-batch; M/N: images in each; busy: computing, of the stages' time; v: version\n"
    "difference, measured; stale: how many versions the weights that the forward read, and that the backward reads,\n"
    "are behind the newest when the backward begins, mean; weight versions: most at once at each stage; stash: older\n"
    "versions, and what a pass reads in place of one; a peak is of all memory, gradients and links included\n";

static void append_number(char text[CELL_MAX], const struct column *column, const json_t *value)
{
    text_append(text, CELL_MAX, column->format,
                json_is_null(value) ? (double)NAN : column->scale * json_number_value(value));
}

/* "1.57 to 99.26" */
static void append_bounds(char text[CELL_MAX], const struct column *column, const json_t *stages)
{
    const json_t *value, *low = json_array_get(stages, 0), *high = low;
    char low_text[CELL_MAX] = "", high_text[CELL_MAX] = "";
    size_t index;

    json_array_foreach(stages, index, value)
    {
        low = json_number_value(value) < json_number_value(low) ? value : low;
        high = json_number_value(value) > json_number_value(high) ? value : high;
    }
    append_number(low_text, column, low);
    append_number(high_text, column, high);
    /* The format pads, for numbers that stand side by side. */
    text_append(text, CELL_MAX, "%s to %s", low_text + strspn(low_text, " "), high_text + strspn(high_text, " "));
}

/* A number per stage, or the bounds if there are many. */
static void append_stages(char text[CELL_MAX], const struct column *column, const json_t *stages)
{
    const json_t *value;
    size_t index;

    if (json_array_size(stages) > STAGES_LISTED_MAX) {
        append_bounds(text, column, stages);
        return;
    }
    json_array_foreach(stages, index, value)
    {
        append_number(text, column, value);
    }
}

static void format_cell(char text[CELL_MAX], const struct column *column, const json_t *summary)
{
    const json_t *value = json_object_get(summary, column->key), *interval;
    char name[64];

    text[0] = '\0';
    if (json_is_string(value)) {
        text_append(text, CELL_MAX, "%s", json_string_value(value));
    } else if (json_is_array(value)) {
        append_stages(text, column, value);
    } else if (json_is_null(value) && strcmp(column->key, "epochs_to_target") == 0) {
        text_append(text, CELL_MAX, ">%d", (int)json_integer_value(json_object_get(summary, "epochs")));
    } else {
        append_number(text, column, value);
        snprintf(name, sizeof(name), "%s_interval", column->key);
        interval = json_object_get(summary, name);
        /* One run has none. */
        if (interval && !json_is_null(interval)) {
            text_append(text, CELL_MAX, " ± ");
            append_number(text, column, interval);
        }
    }
}

/* Texts to the left, numbers to the right. */
static void print_padded(FILE *out, const char *text, int width, const struct column *column, bool first)
{
    int padding = width - text_columns(text, strlen(text));

    fprintf(out, "%s%*s%s%*s", first ? "" : "  ", column->format ? padding : 0, "", text, column->format ? 0 : padding,
            "");
}

/* Columns are as wide as they need to be; one that the summaries do not have is left out. */
static void print_table(FILE *out, const struct column *columns, int count, const json_t *summaries)
{
    const json_t *summary;
    char cell[CELL_MAX];
    int widths[COLUMNS_MAX] = {0};
    size_t index;

    for (int c = 0; c < count; c++) {
        if (!json_object_get(json_array_get(summaries, 0), columns[c].key))
            continue;
        widths[c] = text_columns(columns[c].title, strlen(columns[c].title));
        json_array_foreach(summaries, index, summary)
        {
            format_cell(cell, &columns[c], summary);
            widths[c] = max_int(widths[c], text_columns(cell, strlen(cell)));
        }
        print_padded(out, columns[c].title, widths[c], &columns[c], c == 0);
    }
    fputc('\n', out);
    json_array_foreach(summaries, index, summary)
    {
        for (int c = 0; c < count; c++) {
            format_cell(cell, &columns[c], summary);
            if (widths[c] > 0)
                print_padded(out, cell, widths[c], &columns[c], c == 0);
        }
        fputc('\n', out);
    }
    fputc('\n', out);
}

static bool has_result(const json_t *summary, const char *result)
{
    return strcmp(json_string_value(json_object_get(summary, "result")), result) == 0;
}

static int runs_finished(const json_t *summary)
{
    return (int)json_integer_value(json_object_get(summary, "runs_finished"));
}

/* "interrupted: gpipe, zb-h1 (1 run finished)". Returns how many there are. */
static int print_systems(FILE *out, const json_t *summaries, const char *result)
{
    const json_t *summary;
    size_t index;
    int count = 0;

    json_array_foreach(summaries, index, summary)
    {
        if (!has_result(summary, result))
            continue;
        fprintf(out, "%s%s %s", count > 0 ? "" : result, count > 0 ? "," : ":",
                json_string_value(json_object_get(summary, "system")));
        if (runs_finished(summary) > 0)
            fprintf(out, " (%d run%s finished)", runs_finished(summary), runs_finished(summary) == 1 ? "" : "s");
        count++;
    }
    if (count > 0)
        fputc('\n', out);
    return count;
}

static json_t *those_with_numbers(const json_t *summaries)
{
    json_t *summary, *array = json_array();
    size_t index;

    json_array_foreach(summaries, index, summary)
    {
        if (runs_finished(summary) > 0)
            json_array_append(array, summary);
    }
    return array;
}

/* Seed by seed, between each system and the first. */
static void print_differences(FILE *out, json_t *rows)
{
    const json_t *pairs = json_object_get(json_array_get(rows, 0), "paired_runs");

    if (!pairs)
        return;
    json_t *others = json_copy(rows);
    json_array_remove(others, 0);
    if (json_array_size(others) > 0)
        print_table(out, differences, DIFFERENCES, others);
    json_decref(others);
    if (json_integer_value(pairs) > 1)
        fprintf(
            out,
            "±: half of a 95 %% interval by Student's t, over the n = %d seeds that were run; differences are taken\n"
            "seed by seed\n",
            (int)json_integer_value(pairs));
}

void comparison_print(FILE *out, const json_t *summaries)
{
    static const char *const unfinished[] = {"failed", "interrupted", "not started"};
    json_t *rows = those_with_numbers(summaries);
    const json_t *target = json_object_get(json_array_get(rows, 0), "target_top1");
    int missing = 0;

    if (json_array_size(rows) > 0) {
        print_table(out, learning, LEARNING, rows);
        print_table(out, versions, VERSIONS, rows);
        print_table(out, memory, MEMORY, rows);
        print_differences(out, rows);
        fputs(legend, out);
    }
    if (target)
        fprintf(out, "target: a test top-1 of %.4g%%\n", 100.0 * json_real_value(target));
    if (json_array_size(rows) > 0)
        fputc('\n', out);
    for (size_t i = 0; i < sizeof(unfinished) / sizeof(unfinished[0]); i++)
        missing += print_systems(out, summaries, unfinished[i]);
    if (missing > 0)
        fprintf(out, "partial: %d of %zu systems are not done\n", missing, json_array_size(summaries));
    json_decref(rows);
}

static void print_csv_cell(FILE *out, const char *key, size_t stage, const json_t *value, bool names)
{
    if (names && stage > 0)
        fprintf(out, "%s_%zu", key, stage);
    else if (names)
        fputs(key, out);
    else if (json_is_string(value))
        fputs(json_string_value(value), out); /* names, none with a comma */
    else
        fprintf(out, "%.12g", json_is_null(value) ? (double)NAN : json_number_value(value));
}

/* Names or values: a column per number, so one per stage for an array. The reports are no cells. */
static void print_csv_line(FILE *out, json_t *summary, bool names)
{
    const json_t *value;
    json_t *member;
    const char *key, *separator = "";
    size_t index;

    json_object_foreach(summary, key, member)
    {
        if (strcmp(key, "runs") == 0)
            continue;
        fputs(separator, out);
        separator = ",";
        if (!json_is_array(member)) {
            print_csv_cell(out, key, 0, member, names);
            continue;
        }
        json_array_foreach(member, index, value)
        {
            fputs(index > 0 ? separator : "", out);
            print_csv_cell(out, key, index + 1, value, names);
        }
    }
    fputc('\n', out);
}

int comparison_print_csv(FILE *out, const char *name, const json_t *summaries, struct error *error)
{
    json_t *summary;
    size_t index;

    print_csv_line(out, json_array_get(summaries, 0), true);
    json_array_foreach(summaries, index, summary)
    {
        print_csv_line(out, summary, false);
    }
    if (fflush(out) || ferror(out))
        return error_set(error, "%s cannot be written: %s", name, strerror(errno));
    return 0;
}
