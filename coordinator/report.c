#include "coordinator/report.h"

#include <math.h>

#include "base/numbers.h"
#include "coordinator/measured.h"
#include "coordinator/progress.h"
#include "coordinator/room.h"
#include "coordinator/show_plan.h"
#include "plan/describe.h"
#include "plan/idle.h"
#include "telemetry/snapshot.h"

static double percent_of(uint64_t nanoseconds, const struct outcome *outcome)
{
    return 100.0 * (double)nanoseconds / (double)(outcome->end_ns - outcome->start_ns);
}

/* What the plan has promised, beside what has become of it. */
static void print_idle(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    const int stages = room_stages(plan), cores = room_cores(plan);
    struct idle_figures figures;
    char text[IDLE_TEXT_MAX];

    if (plan->stage_count == 1)
        return;
    fprintf(out, "idle: ");
    if (plan_idle(plan, &figures) == 0) {
        idle_describe(&figures, text);
        fprintf(out, "%s, with a core for each stage; ", text);
    }
    fprintf(out, "%.1f%% here", 100.0 * measured_idle(segment, outcome));
    if (cores > 0 && stages == plan->stage_count)
        fprintf(out, ", where %d stages %s %d core%s", stages, stages > cores ? "share" : "have", cores,
                cores == 1 ? "" : "s");
    fputc('\n', out);
}

/* A row per part (part_format). */
static void print_time(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    char name[PART_TEXT_SIZE];

    fprintf(
        out,
        "stage    busy  of it updates  waiting for activation  gradient    slot%s    data%s   staleness mean  most\n",
        plan_waits_for(plan, WAIT_NORM) ? "    norm" : "", plan_waits_for(plan, WAIT_CORE) ? "    core" : "");
    for (int s = 1; s <= segment->header->block_count; s++) {
        const struct counters *counters = &segment_stage(segment, s)->counters;
        const struct distribution staleness = measured_distribution(counters->staleness_backward, STALENESS_BUCKETS);

        part_format(&plan->schedule, s, name);
        fprintf(out, "%5s %6.1f%% %13.1f%% %22.1f%%", name, percent_of(measured_counter(&counters->busy_ns), outcome),
                percent_of(measured_counter(&counters->update_ns), outcome),
                percent_of(measured_counter(&counters->wait_ns[WAIT_ACTIVATION]), outcome));
        fprintf(out, " %8.1f%% %6.1f%%", percent_of(measured_counter(&counters->wait_ns[WAIT_GRADIENT]), outcome),
                percent_of(measured_counter(&counters->wait_ns[WAIT_SLOT]), outcome));
        for (int cause = WAIT_NORM; cause < WAIT_CAUSES; cause++)
            if (plan_waits_for(plan, (enum wait_cause)cause))
                fprintf(out, " %6.1f%%", percent_of(measured_counter(&counters->wait_ns[cause]), outcome));
        fprintf(out, " %16.2f %5d\n", measured_staleness(counters), staleness.high);
    }
    fprintf(out, "staleness: updates between a backward's weights and the newest ones\n");
    print_idle(out, segment, outcome);
    fputc('\n', out);
}

static void print_memory(FILE *out, const struct segment *segment)
{
    const struct plan *plan = &segment->header->plan;

    fprintf(out, "stage  versions  %13s in flight   memory at its peak  planned", describe_in_flight(plan));
    place_print_head(out, plan, 4);
    for (int s = 1; s <= plan->part_count; s++) {
        const struct counters *counters = &segment_stage(segment, s)->counters;
        const struct plan_part *part = &plan->parts[s - 1];
        size_t memory[MEMORY_CATEGORIES];
        char versions[32], in_flight[32], name[PART_TEXT_SIZE];

        measured_memory(counters, memory);
        snprintf(versions, sizeof(versions), "%d of %d", atomic_load(&counters->versions_peak),
                 part->weight_version_buffers);
        snprintf(in_flight, sizeof(in_flight), "%d of %d", atomic_load(&counters->slots_peak), part->activation_sets);
        part_format(&plan->schedule, s, name);
        fprintf(out, "%5s %9s %24s %16.2f MiB %8.2f MiB", name, versions, in_flight,
                (double)memory_total(memory) / (1 << 20), (double)memory_total(part->memory) / (1 << 20));
        place_print(out, plan, s);
    }
    fputc('\n', out);
}

static void print_version_difference(FILE *out, const struct segment *segment)
{
    const struct plan *plan = &segment->header->plan;
    struct distribution measured = measured_version_difference(segment);

    if (measured.count == 0)
        return;
    fprintf(out, "version difference v: ");
    if (plan->version_difference_exact > 0)
        fprintf(out, "papers %d, exact %d, ", plan->version_difference_paper, plan->version_difference_exact);
    fprintf(out, "simulated %d; measured %d (median; %d to %d)\n", plan->version_difference_simulated, measured.median,
            measured.low, measured.high);
}

static void print_traffic(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;
    struct traffic all = measured_traffic(segment), training = measured_training_traffic(segment, outcome);

    fprintf(out, "sent between stages: %.0f messages, %.1f MiB", all.messages, all.bytes / (1 << 20));
    if (isfinite(training.messages))
        fprintf(out, "; in training %.1f messages, %.2f MiB per mini-batch", training.messages,
                training.bytes / (1 << 20));
    if (isfinite(training.messages) && plan->schedule.parts == 1)
        fprintf(out,
                "\n  papers: (W-1)(N+1) = %d with one backward per mini-batch, 2(W-1)N = %d with one per "
                "micro-batch",
                papers_messages_whole_backward(plan), papers_messages_microbatch_backward(plan));
    fputc('\n', out);
    if (outcome->records_lost > 0)
        fprintf(out, "%llu ops came too fast to be followed, and are not in a trace\n",
                (unsigned long long)outcome->records_lost);
}

static void print_machines(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const struct plan *plan = &segment->header->plan;

    if (plan->machine_count < 2)
        return;
    fprintf(out, "\nmachine           stages  sent over links    received  node's core  clock ahead of here\n");
    for (int m = 0; m < plan->machine_count; m++) {
        const int first = plan_first_stage(plan, m), count = plan_machine_stages(plan, m);
        struct machine_snapshot machine;

        snapshot_take_machine(&machine, segment, m);
        fprintf(out, "%-16s %3d-%-3d %13.1f MiB %7.1f MiB %10.1f%%", machine.host, first, first + count - 1,
                (double)machine.bytes_sent / (1 << 20), (double)machine.bytes_received / (1 << 20),
                percent_of(machine.processor_ns, outcome));
        if (m > 0)
            fprintf(out, "  %.3f ms +- %.3f", 1e-6 * (double)machine.clock_offset_ns,
                    1e-6 * (double)machine.clock_bound_ns);
        fputc('\n', out);
    }
}

static void print_ending(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const int epochs = segment_epochs_done(segment);
    const struct plan *plan = &segment->header->plan;
    const struct epoch_result *last = &segment_epochs(segment)[max_int(epochs, 1) - 1];

    fprintf(out, "%s after %d of %d epochs, %.1f s", measured_state_name(outcome->state), epochs,
            plan->config.run.epochs, measured_seconds(outcome));
    if (epochs > 0)
        fprintf(out, "; %.0f %s in training; test top-1 %.2f%%",
                measured_samples_per_second(segment) * plan_targets_per_sample(plan), plan_rate_unit(plan),
                100.0 * last->test_top1);
    if (epochs > 0 && plan->data.tokens)
        fprintf(out, ", perplexity %.4g", exp(last->test_loss));
    if (outcome->checkpoints_failed > 0)
        fprintf(out, "; %d checkpoints could not be written", outcome->checkpoints_failed);
    fputc('\n', out);
}

void report_print(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    if (outcome->end_ns > outcome->start_ns) {
        fputc('\n', out);
        print_time(out, segment, outcome);
        print_memory(out, segment);
        print_version_difference(out, segment);
        print_traffic(out, segment, outcome);
        print_machines(out, segment, outcome);
    }
    print_ending(out, segment, outcome);
}

void report_print_essentials(FILE *out, const struct segment *segment, const struct outcome *outcome)
{
    const int epochs = segment_epochs_done(segment);

    if (epochs > 0)
        epoch_print_head(out, &segment->header->plan);
    for (int e = 1; e <= epochs; e++)
        epoch_print(out, &segment->header->plan, e, &segment_epochs(segment)[e - 1]);
    print_ending(out, segment, outcome);
}
