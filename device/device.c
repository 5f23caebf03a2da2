#include "device/device.h"

#include <time.h>

int device_floats(struct device *device, float **out, size_t count, const char *what, struct error *error)
{
    void *memory;

    if (device->type->allocate(device, &memory, count * sizeof(float), what, error))
        return -1;
    *out = memory;
    return 0;
}

int device_await(struct device *device, uint64_t mark, const struct device_waiter *waiter, struct error *error)
{
    int reached;

    while ((reached = device->type->reached(device, mark, error)) == 0)
        if (waiter->moment(waiter->context, error))
            return -1;
    return reached < 0 ? -1 : 0;
}

int device_await_all(struct device *device, const struct device_waiter *waiter, struct error *error)
{
    uint64_t mark;

    return device->type->mark(device, &mark, error) || device_await(device, mark, waiter, error) ? -1 : 0;
}

static int sleep_a_moment(void *context, struct error *error)
{
    const struct timespec moment = {.tv_nsec = 20000};

    (void)context, (void)error;
    nanosleep(&moment, NULL);
    return 0;
}

int device_finish(struct device *device, struct error *error)
{
    return device_await_all(device, &(struct device_waiter){.moment = sleep_a_moment}, error);
}
