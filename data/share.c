/* A data set in memory that several processes map: one of them reads and inflates the files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/elements.h"
#include "data/source.h"

/* What the memory begins with. The labels of training and of the test follow, then the images or tokens: what has the
 * larger elements comes first. */
struct head {
    struct {
        int count, targets_per_sample;
        struct shape shape, stored;
        int token_bytes; /* of each token; 0: there are images */
        size_t elements;
    } halves[2];
    struct normalisation normalisation;
};

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static size_t stride(const struct head *head, int half)
{
    return head->halves[half].token_bytes > 0 ? (size_t)head->halves[half].token_bytes
                                              : shape_size(head->halves[half].stored);
}

static size_t element_bytes(const struct head *head, int half)
{
    return head->halves[half].elements * stride(head, half);
}

static size_t label_bytes(const struct head *head, int half)
{
    return head->halves[half].token_bytes > 0 ? 0 : (size_t)head->halves[half].count * sizeof(int32_t);
}

static size_t total_bytes(const struct head *head)
{
    size_t bytes = sizeof(*head);

    for (int half = 0; half < 2; half++)
        bytes += element_bytes(head, half) + label_bytes(head, half);
    return bytes;
}

struct sink {
    int descriptor;
    size_t stride; /* of the elements */
};

static int put(int descriptor, const void *bytes, size_t size)
{
    const unsigned char *from = bytes;

    while (size > 0) {
        const ssize_t written = write(descriptor, from, size);

        if (written < 0 && errno != EINTR)
            return -1;
        from += written > 0 ? written : 0;
        size -= written > 0 ? (size_t)written : 0;
    }
    return 0;
}

static int put_elements(void *context, const uint8_t *begin, size_t count)
{
    const struct sink *sink = context;

    return put(sink->descriptor, begin, count * sink->stride);
}

int dataset_share(struct dataset *dataset, struct error *error)
{
    struct samples *halves[] = {&dataset->train, &dataset->test};
    struct head head = {.normalisation = dataset->normalisation};
    if (dataset_is_mapped(dataset)) {
        dataset_close(dataset);
        return 0;
    }
    const int descriptor = memfd_create("tp-data", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int failed = descriptor < 0;

    for (int half = 0; half < 2; half++) {
        head.halves[half].count = halves[half]->count;
        head.halves[half].targets_per_sample = halves[half]->targets_per_sample;
        head.halves[half].shape = halves[half]->shape;
        head.halves[half].stored = halves[half]->stored;
        head.halves[half].token_bytes = halves[half]->token_bytes;
        head.halves[half].elements = halves[half]->elements.count;
    }
    failed = failed || put(descriptor, &head, sizeof(head));
    for (int half = 0; half < 2; half++)
        failed = failed || put(descriptor, halves[half]->targets, label_bytes(&head, half));
    for (int half = 0; half < 2; half++) {
        struct sink sink = {.descriptor = descriptor, .stride = halves[half]->elements.stride};

        failed = failed || elements_show(&halves[half]->elements, SIZE_MAX, put_elements, &sink);
    }
    failed = failed || fcntl(descriptor, F_ADD_SEALS, SEALS);
    if (failed)
        error_set(error, "cannot share the data set's %zu bytes: %s", total_bytes(&head), strerror(errno));
    dataset_close(dataset);
    if (failed && descriptor >= 0)
        close(descriptor);
    return failed ? -1 : descriptor;
}

/* Whether the file holds what its head says. Nobody can change that any more. */
static bool is_sound(const struct head *head, size_t size)
{
    if (size < sizeof(*head))
        return false;
    for (int half = 0; half < 2; half++)
        if (head->halves[half].count < 1 || head->halves[half].targets_per_sample < 1 ||
            head->halves[half].token_bytes < 0 || head->halves[half].token_bytes > 4 ||
            head->halves[half].elements < (size_t)head->halves[half].count)
            return false;
    return total_bytes(head) == size;
}

int dataset_map(struct dataset **out, int descriptor, struct error *error)
{
    struct dataset *dataset = calloc(1, sizeof(*dataset));
    struct samples *halves[] = {&dataset->train, &dataset->test};
    struct data_memory memory;
    struct stat status;

    if (!dataset)
        return error_set(error, "out of memory for a data set");
    if (fcntl(descriptor, F_GET_SEALS) != SEALS || fstat(descriptor, &status)) {
        error_set(error, "descriptor %d is no shared data set", descriptor);
        goto fail;
    }
    void *map = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED) {
        error_set(error, "cannot map the data set: %s", strerror(errno));
        goto fail;
    }
    memory = (struct data_memory){.bytes = map, .size = (size_t)status.st_size, .mapped = true};
    if (source_hold(dataset, memory, error))
        goto fail;
    const struct head *head = map;
    if (!is_sound(head, memory.size)) {
        error_set(error, "descriptor %d is no shared data set", descriptor);
        goto fail;
    }
    dataset->labels_held = true;
    unsigned char *at = (unsigned char *)map + sizeof(*head);
    for (int half = 0; half < 2; half++) {
        *halves[half] = (struct samples){.count = head->halves[half].count,
                                         .shape = head->halves[half].shape,
                                         .stored = head->halves[half].stored,
                                         .token_bytes = head->halves[half].token_bytes,
                                         .elements = {.stride = stride(head, half)},
                                         .targets_per_sample = head->halves[half].targets_per_sample};
        if (label_bytes(head, half) > 0)
            halves[half]->targets = (int32_t *)(void *)at;
        at += label_bytes(head, half);
    }
    for (int half = 0; half < 2; half++) {
        if (elements_add(&halves[half]->elements, at, head->halves[half].elements, error))
            goto fail;
        at += element_bytes(head, half);
    }
    if (dataset_prepare(dataset, error))
        goto fail;
    dataset->normalisation = head->normalisation;
    *out = dataset;
    return 0;
fail:
    dataset_close(dataset);
    return -1;
}
