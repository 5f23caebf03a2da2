/* A place that computes, and its memory: the host, or one GPU.
 *
 * Work for a device is queued: a call returns when the work is in the device's one queue, and the device does it in that
 * order. On the host all is done when the call returns. Memory of a device is touched by the calls below and by the
 * backends that compute there, by nobody else.
 *
 * Calls return 0, or -1 and what went wrong. An error of work that was queued earlier may show at any later call. */
#ifndef TP_DEVICE_DEVICE_H
#define TP_DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct device_type;
struct device_event; /* opaque, one per type */

struct device {
    const struct device_type *type; /* first member of each type's own structure */
};

/* With which another process opens memory or an event. */
struct device_handle {
    unsigned char bytes[64];
};

/* What `tpcoord devices` shows of a device. */
struct device_facts {
    char name[128];
    char id[64]; /* that stays the same whatever its ordinal is; "" where there is none */
    size_t memory_bytes, free_bytes;
    int major, minor; /* a GPU's compute capability */
};

/* Marks that may be unreached at a time. */
enum { DEVICE_MARKS = 64 };

struct device_type {
    const char *name;

    /* Devices that there are, numbered from 0. 0 and the reason if there are none. Like `facts` and `peers`, for
     * processes of their own: who has called one must not fork. */
    int (*count)(struct error *reason);
    int (*facts)(int ordinal, struct device_facts *facts, struct error *error);

    /* Whether work of device `from` can touch memory of device `to`, which another process has exported. */
    bool (*peers)(int from, int to);

    int (*open)(struct device **out, int ordinal, struct error *error);
    void (*close)(struct device *device);

    /* Memory of the device, at a 64-byte boundary or better, contents undefined. `what` names it in the error. Zero bytes
     * give a valid pointer, and NULL may be released. */
    int (*allocate)(struct device *device, void **out, size_t bytes, const char *what, struct error *error);
    void (*release)(struct device *device, void *memory);

    /* Host memory that the device's work can read and write. On the host, the same as above. */
    int (*allocate_host)(struct device *device, void **out, size_t bytes, const char *what, struct error *error);
    void (*release_host)(struct device *device, void *memory);

    /* Makes memory of the host that is there already such memory, until it is forgotten. */
    int (*adopt_host)(struct device *device, void *memory, size_t bytes, struct error *error);
    void (*forget_host)(struct device *device, void *memory);

    /* Queued. From and to memory of the device or host memory that it can reach, in any direction. */
    int (*copy)(struct device *device, void *to, const void *from, size_t bytes, struct error *error);
    int (*clear)(struct device *device, void *memory, size_t bytes, struct error *error);

    /* A mark in the queue, behind all that is queued. `reached`: 1 when the device has come by, 0 before; -1: it never
     * will. `time_ns`: when that was, on the clock of base/clock.h; of a mark that was reached and is among the newest
     * DEVICE_MARKS. `set_clock`, with an empty queue, keeps the device's clock together with it. */
    int (*mark)(struct device *device, uint64_t *mark, struct error *error);
    int (*reached)(struct device *device, uint64_t mark, struct error *error);
    uint64_t (*time_ns)(struct device *device, uint64_t mark);
    int (*set_clock)(struct device *device, struct error *error);

    /* Between processes; NULL where there is nothing to export. A handle names a whole allocation. Whoever opened an
     * export closes it before its owner releases it. */
    int (*export_memory)(struct device *device, void *memory, struct device_handle *handle, struct error *error);
    int (*import_memory)(struct device *device, const struct device_handle *handle, void **out, struct error *error);
    void (*close_memory)(struct device *device, void *memory);

    /* An event is recorded by one process and waited for by another: the waiter's queue goes on when the recorder's has
     * come to the newest record AT THE TIME OF THE CALL of event_wait. So that call must come after the record's. */
    int (*event_create)(struct device *device, struct device_event **out, struct device_handle *handle,
                        struct error *error);
    int (*event_import)(struct device *device, struct device_event **out, const struct device_handle *handle,
                        struct error *error);
    void (*event_destroy)(struct device *device, struct device_event *event);
    int (*event_record)(struct device *device, struct device_event *event, struct error *error);
    int (*event_wait)(struct device *device, struct device_event *event, struct error *error);
};

extern const struct device_type device_host;

/* NULL in a program that is linked without it. */
extern const struct device_type device_cuda __attribute__((weak));

/* `count` floats of the device's memory, as `allocate` gives it. */
int device_floats(struct device *device, float **out, size_t count, const char *what, struct error *error);

/* How whoever waits passes the time: a moment's sleep; -1 and the reason if it must wait no longer. */
struct device_waiter {
    int (*moment)(void *context, struct error *error);
    void *context;
};

/* Waits until the device has reached the mark, or has done all that is queued. */
int device_await(struct device *device, uint64_t mark, const struct device_waiter *waiter, struct error *error);
int device_await_all(struct device *device, const struct device_waiter *waiter, struct error *error);

/* The latter, however long it takes; not for a queue that waits for another process. */
int device_finish(struct device *device, struct error *error);

#endif
