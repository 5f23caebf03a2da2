#include "board/guard.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>

/* A signal's handler knows nothing but this. */
enum { GUARDED_MAX = 8 };
static struct {
    _Atomic uintptr_t address; /* 0: free */
    size_t size;
    _Atomic bool lost;
} guarded[GUARDED_MAX];
static struct sigaction before;

static bool was_sent(const siginfo_t *information)
{
    return information->si_code <= 0;
}

/* Memory of this process alone takes the place of the whole mapping: the read that failed is done again, and finds 0. */
bool guard_answer(const siginfo_t *information)
{
    const uintptr_t fault = (uintptr_t)information->si_addr;

    for (int g = 0; g < GUARDED_MAX && !was_sent(information); g++) {
        const uintptr_t address = atomic_load(&guarded[g].address);

        if (address == 0 || fault < address || fault - address >= guarded[g].size)
            continue;
        atomic_store(&guarded[g].lost, true);
        return mmap((void *)address, guarded[g].size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) != MAP_FAILED;
    }
    return false;
}

static void handle(int number, siginfo_t *information, void *context)
{
    (void)context;
    if (guard_answer(information))
        return;
    /* A fault happens again, now under the old handler; what was sent does not. */
    sigaction(number, &before, NULL);
    if (was_sent(information))
        raise(number);
}

void guard_install(void)
{
    static bool installed;
    const struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_ONSTACK};

    if (!installed)
        sigaction(SIGBUS, &action, &before);
    installed = true;
}

void guard_add(void *address, size_t size)
{
    for (int g = 0; g < GUARDED_MAX; g++)
        if (atomic_load(&guarded[g].address) == 0) {
            guarded[g].size = size;
            atomic_store(&guarded[g].lost, false);
            atomic_store(&guarded[g].address, (uintptr_t)address);
            return;
        }
}

void guard_remove(const void *address)
{
    for (int g = 0; g < GUARDED_MAX; g++)
        if (atomic_load(&guarded[g].address) == (uintptr_t)address)
            atomic_store(&guarded[g].address, 0);
}

bool guard_has_lost(const void *address)
{
    for (int g = 0; g < GUARDED_MAX; g++)
        if (address && atomic_load(&guarded[g].address) == (uintptr_t)address)
            return atomic_load(&guarded[g].lost);
    return false;
}
