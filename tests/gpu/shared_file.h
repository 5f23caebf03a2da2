/* Files without a name that another process opens by a handle of 64 bytes, as /proc/PID/fd/N: what device memory and
 * interprocess events are made of. A first page, which only the double sees, says which file it is. */
#ifndef TESTS_GPU_SHARED_FILE_H
#define TESTS_GPU_SHARED_FILE_H

#include <cstddef>
#include <cstdint>
#include <memory>
#include <sys/types.h>

namespace gpu
{

struct ipc_handle {
    uint64_t nonce, bytes; /* bytes: of the data */
    int32_t kind;          /* what is in it: the caller's word */
    int32_t device;
    int32_t pid, fd;
};

class shared_file
{
  public:
    /* NULL if there is no memory; filled with 0. `device`: protected from host threads. */
    static std::unique_ptr<shared_file> create(int kind, int device, size_t bytes, bool is_device_memory);

    /* NULL if the handle is not (or no longer) one of these files. */
    static std::unique_ptr<shared_file> open(const ipc_handle &handle, bool is_device_memory);

    ~shared_file();
    shared_file(const shared_file &) = delete;
    shared_file &operator=(const shared_file &) = delete;

    char *data() const
    {
        return base;
    }

    size_t size() const
    {
        return name.bytes;
    }

    const ipc_handle &handle() const
    {
        return name;
    }

    /* A process that has opened it, or 0. Dead ones have not. */
    pid_t opened_by() const;

  private:
    shared_file(int descriptor, const ipc_handle &handle);
    bool map(bool is_device_memory);

    int file;
    ipc_handle name;
    char *base = nullptr;
};

/* While one lives, its thread may touch device memory. */
class device_access
{
  public:
    device_access();
    ~device_access();
    device_access(const device_access &) = delete;
    device_access &operator=(const device_access &) = delete;

  private:
    int before;
};

bool device_memory_protected();

} // namespace gpu

#endif
