#include "coordinator/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wordexp.h>

#include "base/clock.h"
#include "base/numbers.h"
#include "base/program.h"
#include "base/text.h"

/* After which what was said is told. And between being told to end and being killed. */
enum { HOLD_NS = 2000000000, GRACE_NS = 2000000000 };

enum { LOOK_MS = 20 };

enum { WORDS_TEXT_MAX = 512 + MAX_STAGES * (CONFIG_NAME_MAX + 4) };

static int expand(wordexp_t *expanded, const char *words, struct error *error)
{
    const int result = wordexp(words, expanded, WRDE_NOCMD | WRDE_UNDEF);

    if (result == WRDE_NOSPACE)
        return error_set(error, "out of memory");
    if (result)
        return error_set(error, "--launch: a shell would not read \"%s\" as words", words);
    if (expanded->we_wordc > 0)
        return 0;
    wordfree(expanded);
    return error_set(error, "--launch: which launcher? such as \"srun --mpi=pmix\"");
}

int launch_check(const char *words, struct error *error)
{
    char node[PATH_MAX];
    wordexp_t expanded;

    if (program_find(node, "tpnode", error))
        return -1;
    if (access(node, X_OK))
        return error_set(error,
                         "this tp was built without MPI, and runs on one machine only: there is no %s; make MPI=1 "
                         "builds it",
                         node);
    if (!words)
        return 0;
    if (expand(&expanded, words, error))
        return -1;
    wordfree(&expanded);
    return 0;
}

/* Open MPI's. A node is bound to no core, as its stages inherit that; a daemon that is cut off from this machine ends within
 * seconds. */
static void say_own_words(const struct plan *plan, char words[WORDS_TEXT_MAX])
{
    int length = snprintf(words, WORDS_TEXT_MAX,
                          "mpirun %s--bind-to none --mca oob_tcp_keepalive_time 5 --mca oob_tcp_keepalive_intvl 2 "
                          "--mca oob_tcp_keepalive_probes 3 -n %d --host ",
                          geteuid() == 0 ? "--allow-run-as-root " : "", plan->machine_count);

    for (int m = 0; m < plan->machine_count; m++)
        length += snprintf(words + length, WORDS_TEXT_MAX - (size_t)length, "%s%s:1", m > 0 ? "," : "",
                           plan->machines[m].host);
}

static int spawn(struct launch *launch, char **words, int output, struct error *error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;

    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions))
        return error_set(error, "out of memory for the launcher's start");
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    int reason = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (!reason)
        reason = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    if (!reason)
        reason = posix_spawn_file_actions_adddup2(&actions, output, STDERR_FILENO);
    if (!reason)
        reason = posix_spawnp(&launch->pid, words[0], &actions, &attributes, words, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (!reason)
        return 0;
    launch->pid = 0;
    return error_set(error, "cannot start %s: %s%s", words[0], strerror(reason),
                     reason == ENOENT ? "; Debian's is in openmpi-bin, and --launch names another" : "");
}

/* By those words, then tpnode with its arguments. */
static int start(struct launch *launch, char *const *words, size_t word_count, const char *const *arguments,
                 struct error *error)
{
    int pipes[2] = {-1, -1}, result = -1;
    char node[PATH_MAX], **all;
    size_t count = 0;

    if (program_find(node, "tpnode", error))
        return -1;
    while (arguments[count])
        count++;
    all = calloc(word_count + 1 + count + 1, sizeof(*all));
    if (!all || pipe2(pipes, O_CLOEXEC | O_NONBLOCK)) {
        error_set(error, "the launcher's start: %s", strerror(errno));
        goto out;
    }
    if (word_count > 0)
        memcpy(all, words, word_count * sizeof(*all));
    all[word_count] = node;
    /* posix_spawn changes none of them. */
    memcpy(all + word_count + 1, arguments, count * sizeof(*all));
    /* What is started writes as it always does: only this end never waits. */
    fcntl(pipes[1], F_SETFL, 0);
    result = spawn(launch, all, pipes[1], error);
    launch->output = pipes[0];
    pipes[0] = -1;
out:
    for (int end = 0; end < 2; end++)
        if (pipes[end] >= 0)
            close(pipes[end]);
    free(all);
    return result;
}

int launch_start(struct launch *launch, const struct plan *plan, const char *words, const char *const *arguments,
                 struct error *error)
{
    char own[WORDS_TEXT_MAX];
    wordexp_t expanded;

    *launch = (struct launch){.output = -1, .death = {.rank = -1, .status = -1}};
    say_own_words(plan, own);
    if (expand(&expanded, words ? words : own, error))
        return -1;
    const int result = start(launch, expanded.we_wordv, expanded.we_wordc, arguments, error);
    wordfree(&expanded);
    return result;
}

int launch_join(struct launch *launch, const char *const *arguments, struct error *error)
{
    *launch = (struct launch){.joined = true, .output = -1, .death = {.rank = -1, .status = -1}};
    return start(launch, NULL, 0, arguments, error);
}

void launch_look(struct launch *launch, uint64_t now_ns)
{
    char bytes[1024];
    ssize_t got;

    if (launch->pid == 0)
        return;
    /* Before what it has said last. */
    if (!launch->ended && waitpid(launch->pid, &launch->status, WNOHANG) == launch->pid) {
        launch->ended = true;
        if (launch->joined)
            launch->death = (struct launch_death){.rank = 0, .status = launch->status};
    }
    while ((got = read(launch->output, bytes, sizeof(bytes))) > 0) {
        const size_t room = sizeof(launch->said) - 1 - launch->length, kept = min_size((size_t)got, room);

        if (launch->length == 0)
            launch->said_ns = now_ns;
        memcpy(launch->said + launch->length, bytes, kept);
        launch->length += kept;
    }
}

bool launch_has_said(const struct launch *launch, uint64_t now_ns)
{
    return launch->length > 0 && now_ns > launch->said_ns + HOLD_NS;
}

enum death_fact { DEATH_RANK, DEATH_HOST, DEATH_SIGNAL, DEATH_EXIT, DEATH_STATUS };

/* A fact stands behind `before`, in lines with `sign`. */
static const struct {
    const char *sign, *before;
    enum death_fact fact;
} death_facts[] = {
    /* Open MPI: mpirun noticed that process rank 1 with PID 16 on node b exited on signal 9 (Killed). */
    {" noticed that process rank ", " rank ", DEATH_RANK},
    {" noticed that process rank ", " signal ", DEATH_SIGNAL},
    /* Or: Process name: [[23644,1],1], and in the next line: Exit code:    1 */
    {"Process name: ", "],", DEATH_RANK},
    {"Exit code: ", ":", DEATH_EXIT},
    /* Its daemon: HNP daemon   : [[61210,0],0] on node a, and in the next line: Remote daemon: [[61210,0],1] on node b */
    {"Remote daemon: ", " on node ", DEATH_HOST},
    /* MPICH: =   PID 16 RUNNING AT b, and in the next line: =   EXIT CODE: 9, which is waitpid's status */
    {"RUNNING AT ", " AT ", DEATH_HOST},
    {"EXIT CODE: ", ":", DEATH_STATUS},
    /* Slurm: srun: error: b: task 1: Killed */
    {"srun: error: ", " task ", DEATH_RANK},
};

void launch_death_read(struct launch_death *death, const char *line)
{
    for (size_t i = 0; i < sizeof(death_facts) / sizeof(death_facts[0]); i++) {
        const char *sign = strstr(line, death_facts[i].sign);
        const char *fact = sign ? strstr(sign, death_facts[i].before) : NULL;

        if (!fact)
            continue;
        fact += strlen(death_facts[i].before);
        const int number = (int)strtol(fact, NULL, 10);
        const bool known = death->rank >= 0 || death->host[0];
        if (death_facts[i].fact == DEATH_RANK && !known)
            death->rank = number;
        else if (death_facts[i].fact == DEATH_HOST && !known)
            snprintf(death->host, sizeof(death->host), "%.*s", (int)strcspn(fact, " ,"), fact);
        else if (death->status < 0 && known && death_facts[i].fact > DEATH_HOST)
            death->status = death_facts[i].fact == DEATH_EXIT ? number << 8 : number;
    }
}

void launch_tell(struct launch *launch, FILE *out)
{
    launch->said[launch->length] = '\0';
    for (char *line = launch->said, *end; *line; line = end) {
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = '\0';
        text_clean(line);
        launch_death_read(&launch->death, line);
        if (line[strspn(line, "- ")])
            fprintf(out, "tpcoord: launcher: %s\n", line);
    }
    launch->length = 0;
}

void launch_hurry(const struct launch *launch, uint64_t until_ns)
{
    const uint64_t now_ns = clock_now_ns();

    /* And all that it has started here. */
    if (launch->pid > 0 && !launch->ended && now_ns >= until_ns)
        kill(-launch->pid, now_ns < until_ns + GRACE_NS ? SIGTERM : SIGKILL);
}

void launch_await(struct launch *launch, uint64_t until_ns)
{
    while (launch->pid > 0 && !launch->ended) {
        launch_look(launch, clock_now_ns());
        launch_hurry(launch, until_ns);
        poll(NULL, 0, LOOK_MS);
    }
}

void launch_release(struct launch *launch)
{
    if (launch->pid > 0)
        close(launch->output);
    launch->pid = 0;
}
