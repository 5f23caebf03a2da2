#include "tests/support/machine.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "tests/support/gpu.h"

enum { GUARD = 16, ALIGNMENT = 64 };

static const unsigned char GUARD_BYTE = 0xff; /* four of them are a NaN */

int dice_between(struct dice *dice, int low, int high)
{
    return low + (int)random_below(dice->seed, RANDOM_TEST, 0, dice->drawn++, (uint32_t)(high - low + 1));
}

float dice_normal(struct dice *dice)
{
    return random_normal(dice->seed, RANDOM_TEST, 0, dice->drawn++);
}

struct guarded guarded_create(struct dice *dice, size_t count)
{
    const size_t before = dice->aligned ? GUARD : (size_t)dice_between(dice, GUARD, 2 * GUARD - 1);
    const size_t floats = before + count + GUARD;
    const size_t bytes = (floats * sizeof(float) / ALIGNMENT + 1) * ALIGNMENT;
    float *memory = aligned_alloc(ALIGNMENT, bytes);

    ck_assert_ptr_nonnull(memory);
    memset(memory, GUARD_BYTE, bytes);
    return (struct guarded){memory, memory + before, count, bytes};
}

struct guarded guarded_normal(struct dice *dice, size_t count, float scale)
{
    struct guarded tensor = guarded_create(dice, count);

    for (size_t i = 0; i < count; i++)
        tensor.values[i] = scale * dice_normal(dice);
    return tensor;
}

struct guarded guarded_squares(struct dice *dice, size_t count)
{
    struct guarded tensor = guarded_normal(dice, count, 1.0f);

    for (size_t i = 0; i < count; i++)
        tensor.values[i] *= tensor.values[i];
    return tensor;
}

struct guarded guarded_copy(struct dice *dice, const struct guarded *from)
{
    struct guarded tensor = guarded_create(dice, from->count);

    memcpy(tensor.values, from->values, from->count * sizeof(float));
    return tensor;
}

static bool untouched(const void *memory, size_t bytes)
{
    const unsigned char *byte = memory;

    for (size_t i = 0; i < bytes; i++)
        if (byte[i] != GUARD_BYTE)
            return false;
    return true;
}

void guarded_destroy(struct guarded *tensor)
{
    ck_assert_msg(untouched(tensor->values - GUARD, GUARD * sizeof(float)), "wrote before the start of a tensor");
    ck_assert_msg(untouched(tensor->values + tensor->count, GUARD * sizeof(float)), "wrote past the end of a tensor");
    free(tensor->memory);
}

double *guarded_doubles(const struct guarded *tensor)
{
    double *values = calloc(tensor->count + 1, sizeof(double));

    ck_assert_ptr_nonnull(values);
    for (size_t i = 0; i < tensor->count; i++)
        values[i] = (double)tensor->values[i];
    return values;
}

const struct backend *usable_backend(int n)
{
    const struct backend *backend;
    struct error error;

    for (int i = 0; (backend = backend_at(i)); i++) {
        const bool usable = backend->available(&error) == 0;

        ck_assert_msg(usable || backend->device == &device_host || !getenv("REQUIRE_GPU"), "%s: %s", backend->name,
                      error.text);
        if (usable && !(gpu_is_double() && backend->device == &device_host) && n-- == 0)
            break;
    }
    return backend;
}

static void check(const struct machine *machine, int result, const struct error *error)
{
    ck_assert_msg(result == 0, "%s: %s", machine->backend->name, error->text);
}

void machine_open(struct machine *machine, const struct backend *backend, const struct engine_options *options)
{
    struct error error;

    *machine = (struct machine){.backend = backend, .options = *options};
    check(machine, backend->device->open(&machine->device, 0, &error), &error);
    check(machine, backend->open(&machine->engine, machine->device, options, &error), &error);
}

void machine_close(struct machine *machine)
{
    machine_return(machine);
    machine->backend->close(machine->engine);
    machine->device->type->close(machine->device);
}

static void finish(struct machine *machine)
{
    struct error error;

    check(machine, device_finish(machine->device, &error), &error);
}

static void send(struct machine *machine, const struct mirror *mirror)
{
    const struct guarded *tensor = &mirror->tensor;
    struct error error;

    memcpy(mirror->staging, tensor->memory, tensor->bytes);
    check(machine, machine->device->type->copy(machine->device, mirror->memory, mirror->staging, tensor->bytes, &error),
          &error);
}

static float *values(const struct mirror *mirror)
{
    return (float *)mirror->memory + (mirror->tensor.values - mirror->tensor.memory);
}

float *machine_lend(struct machine *machine, const struct guarded *tensor)
{
    const struct device_type *type = machine->device->type;
    struct mirror *mirror = machine->mirrors;
    struct error error;

    if (type == &device_host)
        return tensor->values;
    for (; mirror < machine->mirrors + machine->mirror_count; mirror++)
        if (mirror->tensor.memory == tensor->memory)
            return values(mirror);
    ck_assert_int_lt(machine->mirror_count++, MIRRORS_MAX);
    mirror->tensor = *tensor;
    check(machine, type->allocate(machine->device, &mirror->memory, tensor->bytes, "a tensor", &error), &error);
    check(machine, type->allocate_host(machine->device, &mirror->staging, tensor->bytes, "a tensor", &error), &error);
    send(machine, mirror);
    return values(mirror);
}

void machine_send(struct machine *machine)
{
    for (int i = 0; i < machine->mirror_count; i++)
        send(machine, &machine->mirrors[i]);
}

void machine_fetch(struct machine *machine)
{
    struct error error;

    for (int i = 0; i < machine->mirror_count; i++) {
        const struct mirror *mirror = &machine->mirrors[i];

        check(
            machine,
            machine->device->type->copy(machine->device, mirror->staging, mirror->memory, mirror->tensor.bytes, &error),
            &error);
    }
    finish(machine);
    for (int i = 0; i < machine->mirror_count; i++)
        memcpy(machine->mirrors[i].tensor.memory, machine->mirrors[i].staging, machine->mirrors[i].tensor.bytes);
}

void machine_return(struct machine *machine)
{
    machine_fetch(machine);
    for (int i = 0; i < machine->mirror_count; i++) {
        machine->device->type->release(machine->device, machine->mirrors[i].memory);
        machine->device->type->release_host(machine->device, machine->mirrors[i].staging);
    }
    machine->mirror_count = 0;
}
