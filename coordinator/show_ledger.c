/* A stage's weight versions, tick by tick: which there are, and who still reads each of them. */
#include "coordinator/show_plan.h"

#include <stdlib.h>

#include "base/numbers.h"
#include "schedule/follower.h"

/* Readers that are named; of the others there is a mark. */
enum { READERS_MAX = 4 };

/* One part's ops, with what each reads and makes. */
struct ledger {
    const struct schedule *schedule;
    int part, count;
    struct entry {
        struct timed_op timed;
        struct op_versions versions;
    } * entries; /* [count] */
};

static int fill(struct ledger *ledger, const struct simulation *simulation)
{
    const int stage = schedule_stage_of(ledger->schedule, ledger->part);
    const int count = simulation_op_count(simulation, stage);
    struct follower *follower = follower_create(ledger->schedule, simulation);

    ledger->entries = calloc((size_t)max_int(count, 1), sizeof(*ledger->entries));
    for (int n = 0; follower && ledger->entries && n < count; n++) {
        const struct timed_op timed = simulation_op(simulation, stage, n);

        if (timed.op.part != ledger->part)
            continue;
        ledger->entries[ledger->count++] = (struct entry){timed, follower_begin(follower, &timed.op)};
        follower_end(follower, &timed.op);
    }
    follower_destroy(follower);
    return follower && ledger->entries ? 0 : -1;
}

static bool reads(const struct op_versions *versions, int version)
{
    return versions->read_first != VERSION_SUM && version >= versions->read_first && version <= versions->read_last;
}

/* The ops from number n on that read the version: forwards of one mini-batch in one word, "3A-C". Returns how many. */
static int print_readers(FILE *out, const struct ledger *ledger, int n, int version)
{
    int words = 0;

    for (; n < ledger->count; n++) {
        const struct entry *entry = &ledger->entries[n];
        char text[OP_TEXT_SIZE], last[OP_TEXT_SIZE];
        int end = n;

        if (!reads(&entry->versions, version))
            continue;
        while (end + 1 < ledger->count && entry->timed.op.kind == OP_FORWARD &&
               ledger->entries[end + 1].timed.op.kind == OP_FORWARD &&
               ledger->entries[end + 1].timed.op.minibatch == entry->timed.op.minibatch &&
               reads(&ledger->entries[end + 1].versions, version))
            end++;
        if (++words > READERS_MAX) {
            fputs(" ...", out);
            break;
        }
        op_format(&entry->timed.op, ledger->schedule, text);
        op_format(&ledger->entries[end].timed.op, ledger->schedule, last);
        fprintf(out, end > n ? "%s%s-%s" : "%s%s", words == 1 ? " for " : " ", text, last);
        n = end;
    }
    return words;
}

/* What is held once the first `done` ops have ended. */
static void print_held(FILE *out, const struct ledger *ledger, const struct follower *follower, int done)
{
    struct version_use uses[VERSION_USES_MAX];
    const int count = follower_uses(follower, ledger->part, uses);

    fprintf(out, "%d:", count);
    for (int k = 0; k < count; k++) {
        fprintf(out, "%s v%d%s", k > 0 ? ";" : "", uses[k].version, uses[k].uses & USE_LIVE ? " live" : "");
        if (print_readers(out, ledger, done, uses[k].version) == 0 && !(uses[k].uses & USE_LIVE))
            fputs(" in case an op asks for it", out);
    }
    fputc('\n', out);
}

static void print_op(FILE *out, const struct ledger *ledger, const struct entry *entry)
{
    char text[OP_TEXT_SIZE], read[32] = "", made[16] = "";

    op_format(&entry->timed.op, ledger->schedule, text);
    if (entry->versions.read_first == VERSION_SUM)
        snprintf(read, sizeof(read), "a sum");
    else if (entry->versions.read_first != VERSION_UNKNOWN)
        snprintf(read, sizeof(read), entry->versions.read_first == entry->versions.read_last ? "v%d" : "v%d-%d",
                 entry->versions.read_first, entry->versions.read_last);
    if (entry->versions.made != VERSION_UNKNOWN)
        snprintf(made, sizeof(made), "v%d", entry->versions.made);
    fprintf(out, "%4d  %-6s %-6s %-6s ", (int)entry->timed.end, text, read, made);
}

static int print_part(FILE *out, struct ledger *ledger, const struct simulation *simulation, int ticks)
{
    struct follower *follower = follower_create(ledger->schedule, simulation);
    char name[PART_TEXT_SIZE];
    int result = follower ? fill(ledger, simulation) : -1;

    part_format(ledger->schedule, ledger->part, name);
    fprintf(out,
            "stage %s: after each op the weight versions that are held, and the ops still to come that read them\n",
            name);
    fprintf(out, "tick  %-6s %-6s %-6s held\n", "op", "reads", "makes");
    for (int n = 0; result == 0 && n < ledger->count && ledger->entries[n].timed.end <= ticks; n++) {
        const struct entry *entry = &ledger->entries[n];

        follower_begin(follower, &entry->timed.op);
        follower_end(follower, &entry->timed.op);
        print_op(out, ledger, entry);
        print_held(out, ledger, follower, n + 1);
    }
    free(ledger->entries);
    follower_destroy(follower);
    return result;
}

/* Why more versions are held than ops to come will read. */
static void print_reason(FILE *out, const struct plan *plan, int part)
{
    const struct schedule *schedule = &plan->schedule;

    fprintf(out, "most at once: %d\n", plan_part(plan, part)->weight_versions);
    if (forward_reading(schedule->forward)->source == SOURCE_PINNED)
        fputs("A forward reads the version that stage 1 had when its micro-batch entered. This stage learns which that "
              "was\n"
              "when the activation comes, and holds until then every version that may be named.\n",
              out);
    if (schedule->backward == BACKWARD_COMMITTED)
        fputs("A backward reads the newest version that stage 1 has made when the last stage begins it.\n", out);
}

int plan_print_ledger(FILE *out, const struct plan *plan, int stage, int ticks, int minibatches, struct error *error)
{
    struct schedule schedule = plan_training(plan);
    struct simulation *simulation;
    int result = 0;

    if (stage > schedule.stages)
        return error_set(error, "--stage %d: there are %d", stage, schedule.stages);
    if (minibatches > 0)
        schedule.minibatches = minibatches;
    if (plan_simulate_ticks(plan, &schedule, &simulation, error))
        return -1;
    if (ticks == 0)
        ticks = (int)simulation_until(simulation, schedule.stages + 1);
    for (int part = 1; part <= schedule_part_count(&schedule) && result == 0; part++) {
        if (schedule_stage_of(&schedule, part) != stage)
            continue;
        result = print_part(out, &(struct ledger){.schedule = &schedule, .part = part}, simulation, ticks);
        print_reason(out, plan, part);
        fputs(schedule.parts > 1 ? "\n" : "", out);
    }
    simulation_destroy(simulation);
    return result ? error_set(error, "out of memory for the ledger") : 0;
}
