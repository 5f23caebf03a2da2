#include "coordinator/cables.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "coordinator/launch.h"
#include "coordinator/process.h"
#include "coordinator/world.h"

enum { LOOK_MS = 20 };

/* When somebody who waits wants to know for what. And what a launcher may take to end by itself. */
enum { PATIENCE_SECONDS = 3, GRACE_SECONDS = 3 };

/* What a node says of a cable, if it is that; they are counted from 1. */
static void read_line(struct plan *plan, const char *line)
{
    const char *said = strstr(line, "tpnode: cable ");
    struct plan_cable cable;
    int number;

    if (!said || sscanf(said, "tpnode: cable %d: %lf Mbit/s, %lf us", &number, &cable.mbit, &cable.us) != 3 ||
        number < 1 || number > plan_cables(plan) || !(cable.mbit > 0) || !(cable.us >= 0) || !isfinite(cable.mbit) ||
        !isfinite(cable.us))
        return;
    plan->machines[number - 1].cable = cable;
}

/* Of whole lines. */
static void read_said(struct plan *plan, struct launch *launch)
{
    char *line = launch->said, *end;

    launch->said[launch->length] = '\0';
    for (; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        read_line(plan, line);
        *end = '\n';
    }
}

/* The first machine whose cable is not known yet; -1: all are. */
static int find_unknown(const struct plan *plan)
{
    for (int m = 0; m < plan_cables(plan); m++)
        if (plan->machines[m].cable.mbit <= 0)
            return m;
    return -1;
}

static int say_end(const struct launch *launch, struct error *error)
{
    char how[PROCESS_TEXT_MAX];

    process_describe_status(launch->status, how);
    return error_set(error, "the launcher (pid %d) %s before it was", (int)launch->pid, how);
}

/* Until all cables are known, or will not be. */
static int follow(struct plan *plan, struct launch *launch, struct signals *signals, struct error *error)
{
    const int seconds = plan->config.run.stall_seconds;
    const uint64_t begun_ns = clock_now_ns();
    uint64_t heard_ns = begun_ns;
    struct pollfd asked = {.fd = signals->descriptor, .events = POLLIN};
    bool patient = true;
    int unknown = 0;

    while (unknown >= 0 && !launch->ended) {
        poll(&asked, 1, LOOK_MS);
        const uint64_t now_ns = clock_now_ns();
        const int before = unknown;

        if (signals_read(signals) > 0)
            return error_set(error, "interrupted");
        launch_look(launch, now_ns);
        read_said(plan, launch);
        unknown = find_unknown(plan);
        if (unknown != before)
            heard_ns = now_ns;
        if (unknown >= 0 && now_ns > heard_ns + (uint64_t)seconds * 1000000000u)
            return error_set(error, "nothing was heard of the cable between %s and %s for run.stall_seconds = %d s",
                             plan->machines[unknown].host, plan->machines[(unknown + 1) % plan->machine_count].host,
                             seconds);
        if (patient && now_ns > begun_ns + PATIENCE_SECONDS * 1000000000ull) {
            fprintf(stderr, "tpcoord: measuring what the network between the machines carries\n");
            patient = false;
        }
    }
    return unknown < 0 ? 0 : say_end(launch, error);
}

int cables_measure(struct plan *plan, const char *words, struct signals *signals, struct error *error)
{
    char machines[16];
    const char *const arguments[] = {"--links", machines, NULL};
    struct launch launch;

    snprintf(machines, sizeof(machines), "%d", plan->machine_count);
    if (world_refuse(world_find(), "plan with one", error) || launch_check(words, error) ||
        launch_start(&launch, plan, words, arguments, error))
        return -1;
    const int result = follow(plan, &launch, signals, error);
    launch_await(&launch, result ? 0 : clock_now_ns() + GRACE_SECONDS * 1000000000ull);
    if (result && signals->interruptions == 0)
        launch_tell(&launch, stderr);
    launch_release(&launch);
    return result;
}
