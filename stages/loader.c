#include "stages/loader.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { STACK_BYTES = 256 << 10 };

struct loader {
    struct loader_job job;
    pthread_t thread;
    bool started;
    _Atomic int loaded;   /* micro-batches, counted from the first one of mini-batch 1 on */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool ends, paused, loads; /* `loads`: the thread is in `load`, without the lock */
    int released, last;       /* mini-batches */
    bool failed;
    struct error error; /* of the micro-batch behind `loaded`, if it failed */
};

static bool has_work(const struct loader *loader, int minibatch)
{
    return !loader->paused && !loader->failed && minibatch <= loader->last &&
           minibatch <= loader->released + loader->job.ahead;
}

static void *run(void *context)
{
    struct loader *loader = context;
    const struct loader_job *job = &loader->job;
    struct error error;

    pthread_mutex_lock(&loader->lock);
    while (!loader->ends) {
        const int before = atomic_load_explicit(&loader->loaded, memory_order_relaxed);
        const int minibatch = before / job->microbatches + 1, microbatch = before % job->microbatches + 1;

        if (!has_work(loader, minibatch)) {
            pthread_cond_wait(&loader->changed, &loader->lock);
            continue;
        }
        loader->loads = true;
        pthread_mutex_unlock(&loader->lock);
        const int failed = job->load(job->context, minibatch, microbatch, &error);
        pthread_mutex_lock(&loader->lock);
        loader->loads = false;
        loader->failed = failed != 0;
        if (failed)
            loader->error = error;
        /* Pairs with the load in loader_count: who sees the number sees the micro-batch. */
        atomic_store_explicit(&loader->loaded, before + 1, memory_order_release);
        pthread_cond_broadcast(&loader->changed);
        job->loaded(job->context);
    }
    pthread_mutex_unlock(&loader->lock);
    return NULL;
}

/* Signals are the process's first thread's. */
static int start(struct loader *loader)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int reason = pthread_create(&loader->thread, &attributes, run, loader);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    loader->started = reason == 0;
    if (loader->started)
        pthread_setname_np(loader->thread, "tp-loader");
    return reason;
}

int loader_create(struct loader **out, const struct loader_job *job, struct error *error)
{
    struct loader *loader = calloc(1, sizeof(*loader));
    int reason;

    *out = NULL;
    if (!loader)
        return error_set(error, "out of memory for the loader");
    loader->job = *job;
    loader->paused = true;
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    reason = start(loader);
    if (reason != 0) {
        loader_destroy(loader);
        return error_set(error, "cannot start the loader's thread: %s", strerror(reason));
    }
    *out = loader;
    return 0;
}

void loader_destroy(struct loader *loader)
{
    if (!loader)
        return;
    if (loader->started) {
        pthread_mutex_lock(&loader->lock);
        loader->ends = true;
        pthread_cond_broadcast(&loader->changed);
        pthread_mutex_unlock(&loader->lock);
        pthread_join(loader->thread, NULL);
    }
    pthread_cond_destroy(&loader->changed);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}

void loader_pause(struct loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    loader->paused = true;
    while (loader->loads)
        pthread_cond_wait(&loader->changed, &loader->lock);
    pthread_mutex_unlock(&loader->lock);
}

void loader_resume(struct loader *loader, int first, int last)
{
    pthread_mutex_lock(&loader->lock);
    loader->paused = loader->failed = false;
    loader->released = first - 1;
    loader->last = last;
    atomic_store_explicit(&loader->loaded, (first - 1) * loader->job.microbatches, memory_order_relaxed);
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}

int loader_count(const struct loader *loader)
{
    /* Pairs with the thread's release store. */
    return atomic_load_explicit(&loader->loaded, memory_order_acquire);
}

int loader_take(struct loader *loader, int minibatch, int microbatch, struct error *error)
{
    const int number = (minibatch - 1) * loader->job.microbatches + microbatch;
    bool failed;

    pthread_mutex_lock(&loader->lock);
    failed = loader->failed && number >= atomic_load_explicit(&loader->loaded, memory_order_relaxed);
    if (failed)
        *error = loader->error;
    pthread_mutex_unlock(&loader->lock);
    return failed ? -1 : 0;
}

void loader_release(struct loader *loader, int minibatch)
{
    pthread_mutex_lock(&loader->lock);
    loader->released = minibatch;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
}
