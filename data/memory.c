#include "data/memory.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void *data_allocate(const char *where, const char *elements, uint64_t bytes, uint64_t room, struct error *error)
{
    void *memory = NULL;

    if (room > 0 && bytes > room)
        error_set(error,
                  "%s: its %s need %" PRIu64 " MiB of memory and this machine has %" PRIu64 " MiB left; use fewer",
                  where, elements, (bytes >> 20) + 1, room >> 20);
    else if (!(memory = malloc(bytes)))
        error_set(error, "%s: out of memory for %" PRIu64 " bytes of %s", where, bytes, elements);
    return memory;
}

int data_memory_map(struct data_memory *memory, int descriptor, const char *path, struct error *error)
{
    struct stat status;
    void *bytes;

    if (fstat(descriptor, &status))
        return error_set(error, "%s: cannot read: %s", path, strerror(errno));
    if (status.st_size == 0)
        return error_set(error, "%s: is empty", path);
    bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (bytes == MAP_FAILED)
        return error_set(error, "%s: cannot map its %lld bytes: %s", path, (long long)status.st_size, strerror(errno));
    *memory = (struct data_memory){.bytes = bytes, .size = (size_t)status.st_size, .mapped = true};
    return 0;
}

void data_memory_release(struct data_memory *memory)
{
    if (memory->mapped)
        munmap(memory->bytes, memory->size);
    else
        free(memory->bytes);
    *memory = (struct data_memory){.bytes = NULL};
}

void data_memory_let_go(const void *from, const void *to)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)from + page - 1) / page * page,
                    end = (uintptr_t)to / page * page;

    if (end > begin)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}
