#include "coordinator/outlet.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    TEXT_BYTES = 1 << 20,
    DATA_BYTES = 16 << 20,
    WRITE_BYTES = 1 << 16, /* at once */
    STACK_BYTES = 256 << 10,
    PATIENCE_SECONDS = 10,
    LOOK_MS = 20 /* between two looks for an interruption */
};

struct outlet {
    int descriptor;
    enum outlet_kind kind;
    FILE *stream;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t filled, emptied;
    uint64_t put, taken; /* bytes so far; byte n lies at n % size */
    int failure;         /* the first errno; 0: none */
    bool lost, closing;
    size_t size;
    unsigned char bytes[]; /* [size] */
};

static size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Called with the lock. */
static void put(struct outlet *outlet, const char *text, size_t length)
{
    const size_t at = outlet->put % outlet->size, first = min_size(length, outlet->size - at);

    memcpy(outlet->bytes + at, text, first);
    memcpy(outlet->bytes, text + first, length - first);
    outlet->put += length;
    pthread_cond_signal(&outlet->filled);
}

/* The stream's way out; 0 is its word for a failure. */
static ssize_t write_cookie(void *cookie, const char *text, size_t length)
{
    struct outlet *outlet = cookie;

    pthread_mutex_lock(&outlet->lock);
    const bool fits = length <= outlet->size - (size_t)(outlet->put - outlet->taken);
    if (!fits)
        outlet->lost = true;
    if (!fits && outlet->kind == OUTLET_DATA && outlet->failure == 0)
        outlet->failure = EAGAIN;
    const int failure = outlet->failure;
    if (fits && failure == 0)
        put(outlet, text, length);
    pthread_mutex_unlock(&outlet->lock);
    errno = failure;
    return failure ? 0 : (ssize_t)length;
}

/* Somebody else may have made the terminal one that does not wait. */
static ssize_t write_some(int descriptor, const void *bytes, size_t length)
{
    struct pollfd writable = {.fd = descriptor, .events = POLLOUT};
    ssize_t written;

    while ((written = write(descriptor, bytes, length)) < 0 && (errno == EAGAIN || errno == EINTR))
        poll(&writable, 1, -1);
    return written;
}

/* The thread. It can be cancelled while it writes, where it has no lock. */
static void *empty(void *context)
{
    struct outlet *outlet = context;
    int unused;

    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
    pthread_mutex_lock(&outlet->lock);
    while (!outlet->closing) {
        if (outlet->taken == outlet->put) {
            pthread_cond_wait(&outlet->filled, &outlet->lock);
            continue;
        }
        const size_t at = outlet->taken % outlet->size;
        const size_t length = min_size(min_size((size_t)(outlet->put - outlet->taken), outlet->size - at), WRITE_BYTES);
        pthread_mutex_unlock(&outlet->lock);
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &unused);
        const ssize_t written = write_some(outlet->descriptor, outlet->bytes + at, length);
        const int reason = errno;
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &unused);
        pthread_mutex_lock(&outlet->lock);
        if (written < 0 && outlet->failure == 0)
            outlet->failure = reason;
        outlet->taken = written < 0 ? outlet->put : outlet->taken + (uint64_t)written;
        pthread_cond_broadcast(&outlet->emptied);
    }
    pthread_mutex_unlock(&outlet->lock);
    return NULL;
}

/* A small stack: the address space may be limited. */
static int start(struct outlet *outlet)
{
    pthread_attr_t attributes;
    int reason;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    reason = pthread_create(&outlet->thread, &attributes, empty, outlet);
    pthread_attr_destroy(&attributes);
    if (reason == 0)
        pthread_setname_np(outlet->thread, OUTLET_THREAD);
    return reason;
}

static FILE *open_cookie(struct outlet *outlet, int buffering)
{
    FILE *stream = fopencookie(outlet, "w", (cookie_io_functions_t){.write = write_cookie});

    if (stream)
        setvbuf(stream, NULL, buffering, BUFSIZ);
    return stream;
}

struct outlet *outlet_open(int descriptor, enum outlet_kind kind, struct error *error)
{
    const size_t size = kind == OUTLET_TEXT ? TEXT_BYTES : DATA_BYTES;
    struct outlet *outlet = calloc(1, sizeof(*outlet) + size);
    int reason = ENOMEM;

    if (outlet) {
        outlet->descriptor = descriptor;
        outlet->kind = kind;
        outlet->size = size;
        pthread_mutex_init(&outlet->lock, NULL);
        pthread_cond_init(&outlet->filled, NULL);
        pthread_cond_init(&outlet->emptied, NULL);
        outlet->stream = open_cookie(outlet, _IOFBF);
        if (outlet->stream && (reason = start(outlet)) == 0)
            return outlet;
        if (outlet->stream)
            fclose(outlet->stream);
        free(outlet);
    }
    error_set(error, "cannot start writing in the background: %s", strerror(reason));
    return NULL;
}

FILE *outlet_stream(const struct outlet *outlet)
{
    return outlet->stream;
}

bool outlet_is_behind(struct outlet *outlet)
{
    pthread_mutex_lock(&outlet->lock);
    const bool behind = outlet->taken != outlet->put;
    pthread_mutex_unlock(&outlet->lock);
    return behind;
}

/* Called with the lock: until something was taken, but no longer than a look. */
static void wait_a_look(struct outlet *outlet)
{
    const uint64_t end = clock_now_ns() + LOOK_MS * 1000000ull;
    const struct timespec until = {.tv_sec = (time_t)(end / 1000000000u), .tv_nsec = (long)(end % 1000000000u)};

    pthread_cond_clockwait(&outlet->emptied, &outlet->lock, CLOCK_MONOTONIC, &until);
}

int outlet_finish(struct outlet *outlet, struct signals *signals)
{
    uint64_t since = clock_now_ns(), taken;

    fflush(outlet->stream);
    pthread_mutex_lock(&outlet->lock);
    taken = outlet->taken;
    while (outlet->taken != outlet->put) {
        wait_a_look(outlet);
        if (outlet->taken != taken)
            since = clock_now_ns();
        taken = outlet->taken;
        const bool hopeless =
            outlet->kind == OUTLET_DATA && clock_now_ns() - since > PATIENCE_SECONDS * UINT64_C(1000000000);
        if (hopeless || (signals && signals_read(signals) > 0))
            break;
    }
    outlet->lost |= outlet->taken != outlet->put;
    const int failure = outlet->failure ? outlet->failure : outlet->lost ? EAGAIN : 0;
    pthread_mutex_unlock(&outlet->lock);
    errno = failure;
    return failure ? -1 : 0;
}

void outlet_close(struct outlet *outlet)
{
    if (!outlet)
        return;
    pthread_mutex_lock(&outlet->lock);
    outlet->closing = true;
    pthread_cond_signal(&outlet->filled);
    pthread_mutex_unlock(&outlet->lock);
    pthread_cancel(outlet->thread);
    pthread_join(outlet->thread, NULL);
    fclose(outlet->stream);
    pthread_cond_destroy(&outlet->filled);
    pthread_cond_destroy(&outlet->emptied);
    pthread_mutex_destroy(&outlet->lock);
    free(outlet);
}

static bool same_file(int one, int other)
{
    struct stat a, b;

    return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int standard_outlets_begin(struct standard_outlets *outlets, struct error *error)
{
    *outlets = (struct standard_outlets){.streams = {stdout, stderr}};
    fflush(stdout);
    outlets->out = outlet_open(STDOUT_FILENO, OUTLET_TEXT, error);
    if (outlets->out)
        outlets->err =
            same_file(STDOUT_FILENO, STDERR_FILENO) ? outlets->out : outlet_open(STDERR_FILENO, OUTLET_TEXT, error);
    if (outlets->err)
        outlets->error_stream = open_cookie(outlets->err, _IOLBF);
    if (!outlets->error_stream) {
        if (outlets->err != outlets->out)
            outlet_close(outlets->err);
        outlet_close(outlets->out);
        return outlets->err ? error_set(error, "out of memory for standard error") : -1;
    }
    stdout = outlet_stream(outlets->out);
    stderr = outlets->error_stream;
    return 0;
}

bool standard_outlets_behind(const struct standard_outlets *outlets, const FILE *stream)
{
    return outlets && outlet_is_behind(stream == outlets->error_stream ? outlets->err : outlets->out);
}

int standard_outlets_end(struct standard_outlets *outlets, struct signals *signals)
{
    int result, reason;

    fflush(outlets->error_stream);
    result = outlet_finish(outlets->out, signals);
    reason = errno;
    if (outlets->err != outlets->out)
        outlet_finish(outlets->err, signals);
    stdout = outlets->streams[0];
    stderr = outlets->streams[1];
    fclose(outlets->error_stream);
    if (outlets->err != outlets->out)
        outlet_close(outlets->err);
    outlet_close(outlets->out);
    errno = reason;
    return result;
}

int standard_descriptor(FILE *stream)
{
    return stream == stdout ? STDOUT_FILENO : stream == stderr ? STDERR_FILENO : fileno(stream);
}
