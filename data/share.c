/* A data set in memory that several processes map: one of them reads and inflates the files. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/data.h"

/* What the memory begins with. The targets of training and of the test follow, then the images or tokens: what has the
 * larger elements comes first. */
struct head {
    struct {
        int count, targets_per_sample;
        struct shape shape;
        int token_bytes; /* of each token; 0: there are images */
    } halves[2];
    struct normalisation normalisation;
};

enum { SEALS = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };

static size_t image_bytes(const struct head *head, int half)
{
    const size_t size = (size_t)head->halves[half].count * shape_size(head->halves[half].shape);

    return head->halves[half].token_bytes > 0 ? (size + 1) * (size_t)head->halves[half].token_bytes : size;
}

static size_t target_bytes(const struct head *head, int half)
{
    if (head->halves[half].token_bytes > 0)
        return 0;
    return (size_t)head->halves[half].count * (size_t)head->halves[half].targets_per_sample * sizeof(int32_t);
}

static size_t total_bytes(const struct head *head)
{
    size_t bytes = sizeof(*head);

    for (int half = 0; half < 2; half++)
        bytes += image_bytes(head, half) + target_bytes(head, half);
    return bytes;
}

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

/* What has been copied is given back at once. */
static int put_and_free(int descriptor, void *bytes, size_t size)
{
    const int failed = put(descriptor, bytes, size);

    free(bytes);
    return failed;
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
        head.halves[half].token_bytes = halves[half]->stream.bytes;
    }
    failed = failed || put(descriptor, &head, sizeof(head));
    for (int half = 0; half < 2 && !failed; half++) {
        failed = put_and_free(descriptor, halves[half]->targets, target_bytes(&head, half));
        halves[half]->targets = NULL;
    }
    for (int half = 0; half < 2 && !failed; half++) {
        if (halves[half]->stream.tokens)
            failed = put(descriptor, halves[half]->stream.tokens, image_bytes(&head, half));
        else
            failed = put_and_free(descriptor, halves[half]->images, image_bytes(&head, half));
        halves[half]->images = NULL;
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
            head->halves[half].token_bytes < 0 || head->halves[half].token_bytes > 4)
            return false;
    return total_bytes(head) == size;
}

int dataset_map(struct dataset **out, int descriptor, struct error *error)
{
    struct dataset *dataset = calloc(1, sizeof(*dataset));
    struct samples *halves[] = {&dataset->train, &dataset->test};
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
    dataset->shared = (struct data_memory){.bytes = map, .size = (size_t)status.st_size, .mapped = true};
    const struct head *head = map;
    if (!is_sound(head, dataset->shared.size)) {
        error_set(error, "descriptor %d is no shared data set", descriptor);
        goto fail;
    }
    unsigned char *at = (unsigned char *)map + sizeof(*head);
    for (int half = 0; half < 2; half++) {
        *halves[half] = (struct samples){.count = head->halves[half].count,
                                         .shape = head->halves[half].shape,
                                         .targets_per_sample = head->halves[half].targets_per_sample,
                                         .targets = (int32_t *)(void *)at};
        at += target_bytes(head, half);
    }
    for (int half = 0; half < 2; half++) {
        if (head->halves[half].token_bytes > 0)
            halves[half]->stream = (struct token_stream){.tokens = at, .bytes = head->halves[half].token_bytes};
        else
            halves[half]->images = at;
        at += image_bytes(head, half);
    }
    dataset->normalisation = head->normalisation;
    *out = dataset;
    return 0;
fail:
    dataset_close(dataset);
    return -1;
}
