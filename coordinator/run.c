#include "coordinator/run.h"

#include <stdlib.h>

#include "base/json.h"
#include "base/shell.h"
#include "board/guard.h"
#include "coordinator/room.h"
#include "coordinator/run_internal.h"
#include "telemetry/controls.h"
#include "transport/rings.h"

static void start(struct run *run)
{
    const char *const arguments[] = {run->segment.name, NULL};
    struct error error;
    int failed = processes_start(&run->processes, &run->segment, &error);

    for (int part = 1; part <= run->segment.header->block_count; part++) {
        const int stage = plan_stage_of(&run->segment.header->plan, part);

        atomic_store(&segment_stage(&run->segment, part)->pid, (int32_t)run->processes.stage[stage - 1].pid);
    }
    if (failed || segment_publish(&run->segment, &error) ||
        (run->request->plan->machine_count > 1 &&
         (run->request->joins
              ? launch_join(&run->launch, arguments, &error)
              : launch_start(&run->launch, run->request->plan, run->request->launch, arguments, &error)))) {
        run_fail(run, "%s", error.text);
        /* Stages elsewhere were never started: nobody will tell that they have ended. */
        processes_lose(&run->processes);
        run_abort(run);
    }
}

static void say_failed(const struct run_request *request, const struct error *error)
{
    fprintf(stderr, "tpcoord: %s%s%s\n", request->label ? request->label : "", request->label ? ": " : "", error->text);
}

/* What was trained is as good as ever. */
static void lose(struct run *run, const struct error *error)
{
    run->lost = true;
    say_failed(run->request, error);
}

/* A disk may be full: what it should hold comes after what can be said. */
static void write_results(struct run *run, json_t *json)
{
    const struct run_request *request = run->request;
    struct error error;

    if (request->trace)
        trace_planned(&run->trace);
    if (request->trace && (trace_end(&run->trace) | outlet_finish(request->trace, request->signals))) {
        error_set(&error, "the trace could not be written to its end");
        lose(run, &error);
    }
    if (report_add_json(json, &run->segment, &run->outcome)) {
        error_set(&error, "out of memory for the report");
        lose(run, &error);
    }
    if (request->only_test)
        return;
    if (run_folder_write(request->folder, "report.json", json, &error))
        lose(run, &error);
    else if (run->outcome.state != RUN_FAILED && !request->label)
        fprintf(request->out, "report: %s/report.json\n", request->folder->path);
}

static enum exit_status report(struct run *run, json_t *json)
{
    const struct run_request *request = run->request;

    if (run->outcome.state == RUN_FAILED)
        say_failed(request, &run->outcome.error);
    else if (!request->label) /* who runs several says what they did */
        (request->quiet ? report_print_essentials : report_print)(request->out, &run->segment, &run->outcome);
    fflush(request->out);
    write_results(run, json);
    if (run->outcome.state == RUN_FAILED || run->lost)
        return EXIT_FAILED;
    if (run->outcome.state == RUN_INTERRUPTED)
        return EXIT_INTERRUPTED;
    return run->outcome.checkpoints_failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

static void say_option(FILE *out, const char *name, const char *value)
{
    if (!value)
        return;
    fprintf(out, " --%s ", name);
    shell_word(out, value);
}

/* How to go on with a run that is not at its end. */
static void say_how_to_continue(const struct run *run)
{
    const struct run_request *request = run->request;

    if (run->outcome.state == RUN_FINISHED || !request->config || !run->checkpoints.newest[0])
        return;
    fputs("continue with: ", request->out);
    shell_word(request->out, request->program);
    fputc(' ', request->out);
    shell_word(request->out, request->config);
    for (int i = 0; i < request->override_count; i++) {
        fputs(" --set ", request->out);
        shell_word(request->out, request->overrides[i]);
    }
    say_option(request->out, "hosts", request->hosts);
    say_option(request->out, "launch", request->launch);
    fputs(" --resume=", request->out);
    shell_word(request->out, request->folder->path);
    fputc('\n', request->out);
}

static int attempt(struct run *run, struct checkpoint_set *from, struct error *error)
{
    const struct run_request *request = run->request;

    const bool writes = !request->only_test;

    if (room_check(request->plan, error) || (writes && run_folder_start(request->folder, request->config, error)) ||
        segment_create(&run->segment, request->plan, rings_bytes, writes ? request->folder->path : "", error))
        return -1;
    run->drain.segment = &run->segment;
    if (writes)
        checkpoints_begin(&run->checkpoints, &run->segment, request->folder, from);
    else
        checkpoints_begin_test(&run->segment, request->folder, from);
    if (request->trace && !run->trace.file)
        trace_begin(&run->trace, outlet_stream(request->trace), request->plan, run->segment.header->start_ns);
    if (request->trace && !run->snapshot)
        run->snapshot = malloc(sizeof(*run->snapshot));
    if (request->steps)
        steps_begin(&run->steps, outlet_stream(request->steps), request->steps_form, request->plan,
                    run->segment.header->start_ns);
    run->segment.header->interactive = request->interactive;
    if (request->paused && run->outcome.restarts == 0)
        controls_await(segment_controls(&run->segment));
    else if (request->slow && run->outcome.restarts == 0)
        controls_begin_slow(segment_controls(&run->segment));
    run->segment.header->data = request->data;
    segment_seal(&run->segment);
    if (run->outcome.restarts == 0 && keep_begin(&run->keep, request, &run->segment, error))
        run_fail(run, "%s", error->text);
    else
        start(run);
    supervise(run);
    judge_run(run);
    if (keep_end(&run->keep, request, error))
        lose(run, error);
    return 0;
}

/* Whether another attempt follows; then the run is as new, but for its trace. It begins with the newest checkpoint of
 * those that came before: as long as no stage has begun, that from which the run was to go on is not the folder's newest.
 * *from is NULL, or `set`. */
static bool begin_again(struct run *run, struct checkpoint_set *set, struct checkpoint_set **from)
{
    const struct run_request *request = run->request;
    const int restarts = run->outcome.restarts + 1, allowed = request->plan->config.run.restarts;
    const char *newest = run->checkpoints.newest;
    const struct trace trace = run->trace;
    struct snapshot *const snapshot = run->snapshot;
    const bool lost = run->lost;
    struct error error;

    if (!run->may_restart || restarts > allowed || run->stopping || request->signals->interruptions > 0)
        return false;
    say_failed(request, &run->outcome.error);
    *from = newest[0] && !set_open_newest(set, request->folder, newest, &error) ? set : NULL;
    fprintf(stderr, "tpcoord: starting again from %s (restart %d of %d)\n", *from ? set->name : "the beginning",
            restarts, allowed);
    checkpoints_end(&run->checkpoints);
    segment_close(&run->segment);
    *run = (struct run){.request = request,
                        .outcome = {.folder = request->folder->path, .restarts = restarts},
                        .trace = trace,
                        .snapshot = snapshot,
                        .lost = lost};
    return true;
}

enum exit_status run_execute(const struct run_request *request, json_t *json)
{
    struct run run = {.request = request, .outcome = {.folder = request->folder->path}};
    struct checkpoint_set *from = request->from, set = {.manifest = {.stage_count = 0}};
    enum exit_status status;
    struct error error;

    guard_install();
    do {
        if (attempt(&run, from, &error)) {
            say_failed(request, &error);
            free(run.snapshot);
            report_add_failure(json, &error);
            set_release(&set);
            return EXIT_FAILED;
        }
    } while (begin_again(&run, &set, &from));
    status = report(&run, json);
    free(run.snapshot);
    say_how_to_continue(&run);
    if (run.outcome.state == RUN_FINISHED && request->plan->config.checkpoints.keep == 0 && !request->only_test)
        sets_remove_all(request->folder);
    checkpoints_end(&run.checkpoints);
    segment_close(&run.segment);
    return status;
}
