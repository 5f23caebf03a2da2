#include "tests/gpu/shared_file.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

namespace gpu
{
namespace
{

constexpr size_t PAGE = 4096;

/* A protection key closes device memory to every thread that has not opened it for itself. */
int key()
{
    static const int k = pkey_alloc(0, PKEY_DISABLE_ACCESS);

    return k;
}

} // namespace

bool device_memory_protected()
{
    return key() >= 0;
}

device_access::device_access() : before(0)
{
    if (key() < 0)
        return;
    before = pkey_get(key());
    pkey_set(key(), 0);
}

device_access::~device_access()
{
    if (key() >= 0)
        pkey_set(key(), (unsigned)before);
}

shared_file::shared_file(int descriptor, const ipc_handle &handle) : file(descriptor), name(handle)
{
}

shared_file::~shared_file()
{
    if (base != nullptr)
        munmap(base, name.bytes);
    close(file);
}

bool shared_file::map(bool is_device_memory)
{
    void *memory = mmap(nullptr, name.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, PAGE);

    if (memory == MAP_FAILED)
        return false;
    base = (char *)memory;
    return !is_device_memory || key() < 0 || pkey_mprotect(base, name.bytes, PROT_READ | PROT_WRITE, key()) == 0;
}

std::unique_ptr<shared_file> shared_file::create(int kind, int device, size_t bytes, bool is_device_memory)
{
    int descriptor = memfd_create("gpu-double", MFD_CLOEXEC);
    ipc_handle handle = {};

    if (descriptor < 0)
        return nullptr;
    handle.bytes = bytes;
    handle.kind = kind;
    handle.device = device;
    handle.pid = getpid();
    handle.fd = descriptor;
    if (getrandom(&handle.nonce, sizeof handle.nonce, 0) != (ssize_t)sizeof handle.nonce)
        handle.nonce = (uint64_t)handle.pid << 32 | (uint64_t)descriptor;
    std::unique_ptr<shared_file> created(new shared_file(descriptor, handle));
    if (posix_fallocate(descriptor, 0, (off_t)(PAGE + bytes)) != 0 ||
        pwrite(descriptor, &handle, sizeof handle, 0) != (ssize_t)sizeof handle || !created->map(is_device_memory))
        return nullptr;
    return created;
}

std::unique_ptr<shared_file> shared_file::open(const ipc_handle &handle, bool is_device_memory)
{
    char path[64];
    ipc_handle found;

    snprintf(path, sizeof path, "/proc/%d/fd/%d", handle.pid, handle.fd);
    int descriptor = ::open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0)
        return nullptr;
    std::unique_ptr<shared_file> opened(new shared_file(descriptor, handle));
    /* The lock goes when the last descriptor of this opening does, however its process ends. */
    struct flock lock = {};
    lock.l_type = F_RDLCK;
    lock.l_start = getpid();
    lock.l_len = 1;
    if (pread(descriptor, &found, sizeof found, 0) != (ssize_t)sizeof found || found.nonce != handle.nonce ||
        found.kind != handle.kind || found.bytes != handle.bytes || fcntl(descriptor, F_OFD_SETLK, &lock) != 0 ||
        !opened->map(is_device_memory))
        return nullptr;
    return opened;
}

pid_t shared_file::opened_by() const
{
    struct flock lock = {};

    lock.l_type = F_WRLCK;
    if (fcntl(file, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
        return 0;
    return (pid_t)lock.l_start;
}

} // namespace gpu
