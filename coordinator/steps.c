#include "coordinator/steps.h"

#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "plan/learning_rate.h"
#include "telemetry/timeline.h"

/* A number of a row, or that it is not known. */
struct cell {
    const char *name;
    double value; /* NaN: not known */
    int digits;
};

enum steps_form steps_form_of(const char *path)
{
    const char *dot = strrchr(path, '.');

    return dot && strcmp(dot, ".jsonl") == 0 ? STEPS_JSON : STEPS_CSV;
}

void steps_head(FILE *out, enum steps_form form)
{
    if (form == STEPS_CSV)
        fputs("system,seed,phase,epoch,step,loss,top1,rate,seconds,v,staleness\n", out);
}

void steps_begin(struct steps *steps, FILE *out, enum steps_form form, const struct plan *plan, uint64_t start_ns)
{
    *steps = (struct steps){.out = out, .form = form, .plan = plan, .start_ns = start_ns};
}

/* Whole numbers have none of the digits behind the point. */
static void print_row(const struct steps *steps, const char *phase, const struct cell *cells, int count)
{
    const struct config *config = &steps->plan->config;
    const bool json = steps->form == STEPS_JSON;

    fprintf(steps->out, json ? "{\"system\":\"%s\",\"seed\":%lld,\"phase\":\"%s\"" : "%s,%lld,%s",
            config->pipeline.system, (long long)config->run.seed, phase);
    for (int k = 0; k < count; k++) {
        if (json && isfinite(cells[k].value))
            fprintf(steps->out, ",\"%s\":%.*g", cells[k].name, cells[k].digits, cells[k].value);
        else if (json)
            fprintf(steps->out, ",\"%s\":null", cells[k].name);
        else if (isnan(cells[k].value))
            fputc(',', steps->out);
        else
            fprintf(steps->out, ",%.*g", cells[k].digits, cells[k].value);
    }
    fputs(json ? "}\n" : "\n", steps->out);
}

static double seconds_at(const struct steps *steps, uint64_t ns)
{
    return 1e-9 * (double)(ns - min_u64(ns, steps->start_ns));
}

static void print_step(const struct steps *steps, const struct step *step)
{
    const struct plan *plan = steps->plan;
    const struct cell cells[] = {
        {"epoch", step->epoch, 9},
        {"step", step->number, 9},
        {"loss", step->loss, 9},
        {"top1", (double)NAN, 9},
        {"rate", learning_rate(&plan->config, plan->minibatches_per_epoch, step->number - 1), 9},
        {"seconds", seconds_at(steps, step->end_ns), 9},
        {"v", step->difference > 0 ? step->difference : (double)NAN, 9},
        {"staleness", step->backwards > 0 ? step->staleness / step->backwards : (double)NAN, 6},
    };

    print_row(steps, "train", cells, sizeof(cells) / sizeof(cells[0]));
}

/* The mini-batch's, new if it is another's. */
static struct step *step_of(struct steps *steps, const struct op_record *record)
{
    const int number = timeline_number(steps->plan, record->epoch, record->minibatch);
    struct step *step = &steps->pending[number % STEPS_PENDING];

    if (step->number != number)
        *step = (struct step){.number = number, .epoch = record->epoch, .minibatch = record->minibatch};
    return step;
}

/* Where the loss is; the first backward knows how far stage 1 had come. */
static void add_last(const struct steps *steps, struct step *step, const struct op_record *record)
{
    if (record->first == 1 && record->kind != OP_BACKWARD_WEIGHTS && steps->plan->part_count > 1)
        step->difference = step->number - record->version_sent;
    if (record->updated) {
        step->loss = (double)record->loss;
        step->lost = true;
    }
}

void steps_op(struct steps *steps, int part, const struct op_record *record)
{
    const struct backward_versions versions = {record->version_forward, record->version_live, record->version_read};

    if (!steps->out || record->phase != PHASE_TRAIN || record->kind == OP_FORWARD)
        return;
    struct step *step = step_of(steps, record);
    if (record->kind != OP_BACKWARD_WEIGHTS) {
        step->staleness += plan_staleness_of(steps->plan, &versions);
        step->backwards++;
    }
    if (part == steps->plan->part_count)
        add_last(steps, step, record);
    if (part == 1 && record->updated) {
        step->updated = true;
        step->end_ns = record->end_ns;
    }
    if (step->lost && step->updated) {
        print_step(steps, step);
        *step = (struct step){.number = 0};
    }
}

void steps_tests(struct steps *steps, const struct segment *segment)
{
    for (; steps->out && steps->tests < segment_epochs_done(segment); steps->tests++) {
        const struct epoch_result *result = &segment_epochs(segment)[steps->tests];
        const struct cell cells[] = {
            {"epoch", steps->tests + 1, 9},
            {"step", (double)(steps->tests + 1) * steps->plan->minibatches_per_epoch, 9},
            {"loss", result->test_loss, 9},
            {"top1", result->test_top1, 9},
            {"rate", (double)NAN, 9},
            {"seconds", seconds_at(steps, result->end_ns), 9},
            {"v", (double)NAN, 9},
            {"staleness", (double)NAN, 9},
        };

        if (result->end_ns > 0)
            print_row(steps, "test", cells, sizeof(cells) / sizeof(cells[0]));
    }
}
