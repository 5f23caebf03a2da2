/* Thread 0 of a block runs as a fibre. If it comes to an end without a barrier, so must the others, and they are plain calls.
 * If it waits at a barrier, the others become fibres too, and all are resumed in turn from barrier to barrier: at each one
 * all must be at the same place of the source.
 *
 * A fibre is entered once with setcontext(), and from then on with the compiler's own longjmp(), which makes no system call. */
#include "tests/gpu/fibres.h"

#include <cstring>
#include <cuda_runtime.h>
#include <memory>
#include <sys/mman.h>
#include <ucontext.h>
#include <vector>

#include "tests/gpu/context.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#else
#define __sanitizer_start_switch_fiber(fake, bottom, size)  ((void)(fake), (void)(bottom), (void)(size))
#define __sanitizer_finish_switch_fiber(fake, bottom, size) ((void)(fake), (void)(bottom), (void)(size))
#endif

namespace gpu
{
namespace
{

constexpr size_t STACK = 256 << 10, GUARD = 4096;

struct context {
    void *jump[5];
    const void *stack = nullptr; /* for the sanitizer */
    size_t stack_size = 0;
    void *fake_stack = nullptr;
};

struct fibre {
    context self;
    ucontext_t entry;
    bool entered = false, ended = false;
    const char *file = nullptr; /* where it waits */
    int line = 0;
    void *memory = nullptr;

    fibre();
    ~fibre()
    {
        munmap(memory, GUARD + STACK);
    }
    fibre(const fibre &) = delete;
    fibre &operator=(const fibre &) = delete;
};

/* Of one host thread. */
struct crew {
    context host;
    std::vector<std::unique_ptr<fibre>> fibres;
    fibre *running = nullptr;
    const std::function<void()> *thread = nullptr;
};

thread_local crew crew_of_thread;

/* The compiler wants its longjmp() in another function than its setjmp(). */
[[noreturn]] __attribute__((noinline)) void jump(context &to)
{
    __builtin_longjmp(to.jump, 1);
}

__attribute__((noinline)) void leave_for(context &from, context &to, ucontext_t *first_time)
{
    __sanitizer_start_switch_fiber(&from.fake_stack, to.stack, to.stack_size);
    if (__builtin_setjmp(from.jump) == 0) {
        if (first_time != nullptr)
            setcontext(first_time);
        jump(to);
    }
    __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}

void yield()
{
    crew &crew = crew_of_thread;

    leave_for(crew.running->self, crew.host, nullptr);
}

/* A fibre's life: one thread of a block after another. */
void live()
{
    crew &crew = crew_of_thread;

    __sanitizer_finish_switch_fiber(nullptr, &crew.host.stack, &crew.host.stack_size);
    for (;;) {
        (*crew.thread)();
        crew.running->ended = true;
        yield();
    }
}

fibre::fibre()
{
    memory = mmap(nullptr, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, GUARD, PROT_NONE) != 0)
        fatal("no memory for the stack of a thread");
    self.stack = (char *)memory + GUARD;
    self.stack_size = STACK;
    getcontext(&entry);
    entry.uc_stack.ss_sp = (char *)memory + GUARD;
    entry.uc_stack.ss_size = STACK;
    makecontext(&entry, live, 0);
}

void resume(crew &crew, fibre &fibre)
{
    bool first = !fibre.entered;

    fibre.entered = true;
    fibre.ended = false;
    crew.running = &fibre;
    leave_for(crew.host, fibre.self, first ? &fibre.entry : nullptr);
    crew.running = nullptr;
}

void check(const fibre &first, const fibre &other)
{
    if (first.ended != other.ended)
        fatal("__syncthreads() at %s:%d: a thread of the block has ended instead",
              first.ended ? other.file : first.file, first.ended ? other.line : first.line);
    if (!first.ended && (first.line != other.line || (first.file != other.file && strcmp(first.file, other.file) != 0)))
        fatal("__syncthreads(): threads of one block wait at %s:%d and at %s:%d", first.file, first.line, other.file,
              other.line);
}

template <class Visit> void for_each_thread(Visit visit)
{
    size_t i = 0;

    for (unsigned z = 0; z < blockDim.z; z++) {
        for (unsigned y = 0; y < blockDim.y; y++) {
            for (unsigned x = 0; x < blockDim.x; x++) {
                threadIdx = {x, y, z};
                visit(i++);
            }
        }
    }
}

fibre &fibre_of(crew &crew, size_t i)
{
    while (crew.fibres.size() <= i)
        crew.fibres.push_back(std::make_unique<fibre>());
    return *crew.fibres[i];
}

} // namespace

void run_block(const std::function<void()> &thread)
{
    crew &crew = crew_of_thread;
    fibre &first = fibre_of(crew, 0);

    crew.thread = &thread;
    threadIdx = {0, 0, 0};
    resume(crew, first);
    if (first.ended) {
        for_each_thread([&](size_t i) {
            if (i > 0)
                thread();
        });
        return;
    }
    for (bool again = false; !again || !first.ended; again = true) {
        for_each_thread([&](size_t i) {
            fibre &fibre = fibre_of(crew, i);
            if (i > 0 || again)
                resume(crew, fibre);
            check(first, fibre);
        });
    }
}

} // namespace gpu

void double_barrier(const char *file, int line)
{
    gpu::fibre *self = gpu::crew_of_thread.running;

    if (self == nullptr)
        gpu::fatal("__syncthreads() at %s:%d: a thread of the block has ended instead", file, line);
    self->file = file;
    self->line = line;
    gpu::yield();
}
