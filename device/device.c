#include "device/device.h"

#include <time.h>

int device_finish(struct device *device, struct error *error)
{
    const struct timespec moment = {.tv_nsec = 20000};
    uint64_t mark;
    int reached;

    if (device->type->mark(device, &mark, error))
        return -1;
    while ((reached = device->type->reached(device, mark, error)) == 0)
        nanosleep(&moment, NULL);
    return reached < 0 ? -1 : 0;
}
