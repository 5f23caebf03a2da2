#include "tests/gpu/test_support.h"

#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/gpu/test_kernels.h"

cudaStream_t stream_create(void)
{
    cudaStream_t stream;

    ok(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

cudaEvent_t event_create(unsigned flags)
{
    cudaEvent_t event;

    ok(cudaEventCreateWithFlags(&event, flags));
    return event;
}

float *gpu_floats(const float *values, int count)
{
    float *memory;

    ok(cudaMalloc((void **)&memory, (size_t)count * sizeof *values));
    if (values)
        ok(cudaMemcpy(memory, values, (size_t)count * sizeof *values, cudaMemcpyHostToDevice));
    return memory;
}

float first_float(const float *memory)
{
    float value;

    ok(cudaMemcpy(&value, memory, sizeof value, cudaMemcpyDeviceToHost));
    return value;
}

struct peer peer_start(void (*body)(struct peer *parent))
{
    int down[2], up[2];
    struct peer child;

    ck_assert_int_eq(pipe(down) | pipe(up), 0);
    child = (struct peer){.pid = fork(), .in = up[0], .out = down[1]};
    ck_assert_int_ge(child.pid, 0);
    if (child.pid == 0) {
        struct peer parent = {.pid = getppid(), .in = down[0], .out = up[1]};

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(down[1]);
        close(up[0]);
        body(&parent);
        exit(0);
    }
    close(down[0]);
    close(up[1]);
    return child;
}

void tell(struct peer *peer, const void *data, size_t bytes)
{
    ck_assert_int_eq(write(peer->out, data, bytes), (ssize_t)bytes);
}

void hear(struct peer *peer, void *data, size_t bytes)
{
    ck_assert_int_eq(read(peer->in, data, bytes), (ssize_t)bytes);
}

void peer_end(struct peer *child)
{
    int status;

    close(child->out);
    ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
    ck_assert_int_eq(status, 0);
}

int end_of(void (*body)(void), char *said, size_t size)
{
    int status, ends[2];
    ssize_t length = 0, more = 1;
    pid_t pid;

    ck_assert_int_eq(pipe(ends), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0});
        signal(SIGSEGV, SIG_DFL);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        body();
        exit(0);
    }
    close(ends[1]);
    for (; more > 0 && length + 1 < (ssize_t)size; length += more)
        more = read(ends[0], said + length, size - 1 - (size_t)length);
    said[length] = '\0';
    close(ends[0]);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

void is_fatal(void (*body)(void), const char *message)
{
    char said[1000];

    ck_assert_msg(end_of(body, said, sizeof said) == SIGABRT && strstr(said, message), "\"%s\" is not \"%s\"", said,
                  message);
}

volatile int *gate_close(cudaStream_t stream)
{
    int *gate;

    ok(cudaMallocHost((void **)&gate, 2 * sizeof *gate));
    gate[0] = gate[1] = 0;
    ok(test_hold(gate, stream));
    return gate;
}

void gate_open(volatile int *gate)
{
    gate[0] = 1;
}
