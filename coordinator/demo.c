#include "coordinator/demo.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/program.h"
#include "coordinator/examples.h"
#include "coordinator/signals.h"
#include "data/source.h"

/* How long it goes on, and how long a process may take to end before it is asked again, harder. */
enum { DEMO_SECONDS = 30, END_SECONDS = 5 };

enum { FOLDER_MAX = 64 };

struct demo {
    char folder[FOLDER_MAX], config[FOLDER_MAX + 16], log[FOLDER_MAX + 16], run[FOLDER_MAX + 16];
    char tpcoord[PATH_MAX], tpmon[PATH_MAX];
    pid_t trainer, monitor; /* 0: does not run */
    int trainer_status, monitor_status;
};

static int write_config(const struct demo *demo, bool has_data)
{
    FILE *file = fopen(demo->config, "w");

    if (!file)
        return -1;
    /* One epoch is longer than the demo; ops are long enough to be seen, and the first updates not too large. */
    fprintf(file,
            "[run]\nname = demo\noutput = %s\nepochs = 1\n"
            "[pipeline]\nsystem = timeprest\nstages = 4\nmicrobatches = 3\n"
            "[model]\narch = resnet20\n[data]\nset = %s\nlimit = 20000\n"
            "[train]\nlr = 0.02\nwarmup_epochs = 0.1\n[checkpoints]\nkeep = 0\n[device]\nbackend = auto\n",
            demo->folder, has_data ? "fashion-mnist" : "synthetic");
    return fclose(file);
}

static int make_folder(struct demo *demo, bool has_data, struct error *error)
{
    strcpy(demo->folder, "/tmp/tp-demo-XXXXXX");
    if (!mkdtemp(demo->folder))
        return error_set(error, "a folder for the demo cannot be made in /tmp: %s", strerror(errno));
    snprintf(demo->config, sizeof(demo->config), "%s/demo.ini", demo->folder);
    snprintf(demo->log, sizeof(demo->log), "%s/log", demo->folder);
    snprintf(demo->run, sizeof(demo->run), "%s/demo", demo->folder);
    return write_config(demo, has_data) ? error_set(error, "%s cannot be written: %s", demo->config, strerror(errno))
                                        : 0;
}

/* In the child: what ends this program must not leave it behind. */
static void begin_child(pid_t parent)
{
    signals_unblock();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
}

/* Out of the terminal's reach: an interruption there is answered here, by ending the monitor first. */
static void become_trainer(const struct demo *demo, pid_t parent)
{
    const int log = open(demo->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

    begin_child(parent);
    setpgid(0, 0);
    if (log < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(log, STDOUT_FILENO) < 0 ||
        dup2(log, STDERR_FILENO) < 0)
        _exit(1);
    execl(demo->tpcoord, demo->tpcoord, demo->config, "--interactive=slow", "--quiet", (char *)NULL);
    _exit(1);
}

static void become_monitor(const struct demo *demo, pid_t parent)
{
    begin_child(parent);
    execl(demo->tpmon, demo->tpmon, demo->run, (char *)NULL);
    fprintf(stderr, "tpcoord: %s cannot be started: %s\n", demo->tpmon, strerror(errno));
    _exit(1);
}

static int start(struct demo *demo, struct error *error)
{
    const pid_t parent = getpid();

    demo->trainer = fork();
    if (demo->trainer == 0)
        become_trainer(demo, parent);
    if (demo->trainer > 0)
        demo->monitor = fork();
    if (demo->trainer > 0 && demo->monitor == 0)
        become_monitor(demo, parent);
    if (demo->trainer > 0 && demo->monitor > 0)
        return 0;
    error_set(error, "the demo cannot be started: %s", strerror(errno));
    demo->monitor = 0;
    return -1;
}

static void reap(struct demo *demo)
{
    if (demo->trainer > 0 && waitpid(demo->trainer, &demo->trainer_status, WNOHANG) == demo->trainer)
        demo->trainer = 0;
    if (demo->monitor > 0 && waitpid(demo->monitor, &demo->monitor_status, WNOHANG) == demo->monitor)
        demo->monitor = 0;
}

/* Waits for a signal that says more than that a child has ended, or until the time comes. Its number, or 0. */
static int wait_until(struct demo *demo, const sigset_t *signals, uint64_t deadline_ns, const pid_t *either,
                      const pid_t *other)
{
    while (*either > 0 && *other > 0) {
        const uint64_t now = clock_now_ns();
        const uint64_t left = deadline_ns > now ? deadline_ns - now : 0;
        const struct timespec time = {(time_t)(left / 1000000000u), (long)(left % 1000000000u)};
        const int signal = sigtimedwait(signals, NULL, &time);

        if (signal > 0 && signal != SIGCHLD)
            return signal;
        reap(demo);
        if (signal < 0 && errno == EAGAIN)
            return 0;
    }
    return 0;
}

/* Asks, waits, asks once more, and then does not ask. */
static void end(struct demo *demo, const sigset_t *signals, pid_t *process, const int asks[3])
{
    for (int k = 0; k < 3 && *process > 0; k++) {
        kill(*process, asks[k]);
        wait_until(demo, signals, clock_now_ns() + END_SECONDS * UINT64_C(1000000000), process, process);
    }
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

/* The first line that the run has said of what went wrong. */
static void read_log(const struct demo *demo, char *line, size_t size)
{
    FILE *file = fopen(demo->log, "r");

    line[0] = '\0';
    while (file && fgets(line, (int)size, file) && strncmp(line, "tpcoord: ", 9) != 0)
        ;
    line[strcspn(line, "\n")] = '\0';
    if (file)
        fclose(file);
}

static bool failed(int status)
{
    return !WIFEXITED(status) || WEXITSTATUS(status) == 1 || WEXITSTATUS(status) == 2;
}

/* Both have ended, or are ended now. */
static enum exit_status finish(struct demo *demo, const sigset_t *signals, struct error *error)
{
    static const int softly[] = {SIGTERM, SIGTERM, SIGKILL}, in_order[] = {SIGINT, SIGINT, SIGKILL};
    const bool trainer_ended = demo->trainer == 0, monitor_ended = demo->monitor == 0;
    char line[512];

    end(demo, signals, &demo->monitor, softly);
    end(demo, signals, &demo->trainer, in_order);
    if (trainer_ended && failed(demo->trainer_status)) {
        read_log(demo, line, sizeof(line));
        error_set(error, "the run failed%s%s", line[0] ? ": " : "", line[0] ? line + strlen("tpcoord: ") : "");
        return EXIT_FAILED;
    }
    if (monitor_ended && failed(demo->monitor_status)) {
        error_set(error, "the monitor could not show the run");
        return EXIT_FAILED;
    }
    return EXIT_DONE;
}

static void say_what_it_was(FILE *out, const char *program, bool has_data)
{
    const struct {
        const char *what, *arguments;
    } next[] = {
        {"What it does:", "explain timeprest"},
        {"What a pipeline is:", "explain pipeline"},
        {"Other systems, and what words mean:", "explain"},
        {"To step through a run:",
         has_data ? "CONFIG --interactive=paused" : "CONFIG --interactive=paused --set data.set=synthetic"},
    };
    char monitor[PROGRAM_CALL_MAX];

    fprintf(out,
            "That was TiMePReSt: four processes, each with a part of a ResNet-20, slowed down\n"
            "eight times%s.\n\n",
            has_data ? "" : ". There is no data set here: its images were made up");
    for (size_t k = 0; k < sizeof(next) / sizeof(next[0]); k++) {
        fprintf(out, "%-37s", next[k].what);
        example_print(out, program, next[k].arguments);
        fputc('\n', out);
    }
    program_beside(monitor, program, "tpmon");
    fprintf(out, "%-37sand %s in a second terminal\n", "", monitor);
}

enum exit_status demo_run(FILE *out, const char *program, struct error *error)
{
    const bool has_data = access(source_fashion_mnist.default_dir, R_OK) == 0;
    struct demo demo = {.trainer = 0};
    enum exit_status status = EXIT_FAILED;
    char config[PATH_MAX];
    sigset_t signals;

    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
        error_set(error, "the demo draws on a terminal, and standard %s is none; train without one: %s %s",
                  isatty(STDIN_FILENO) ? "output" : "input", program, example_config(config, "resnet.ini"));
        return EXIT_USAGE;
    }
    sigemptyset(&signals);
    for (int k = 0; k < 4; k++)
        sigaddset(&signals, (const int[]){SIGCHLD, SIGINT, SIGTERM, SIGHUP}[k]);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    if (program_find(demo.tpcoord, "tpcoord", error) || program_find(demo.tpmon, "tpmon", error) ||
        make_folder(&demo, has_data, error) || start(&demo, error)) {
        struct error ignored;

        finish(&demo, &signals, &ignored);
    } else {
        wait_until(&demo, &signals, clock_now_ns() + DEMO_SECONDS * UINT64_C(1000000000), &demo.trainer, &demo.monitor);
        status = finish(&demo, &signals, error);
    }
    if (demo.folder[0])
        nftw(demo.folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    if (status == EXIT_DONE)
        say_what_it_was(out, program, has_data);
    return status;
}
