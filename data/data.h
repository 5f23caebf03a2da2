/* Data sets, their order in an epoch, and batches of normalised images.
 *
 * A data set is immutable once open. Who needs only targets opens only targets. */
#ifndef TP_DATA_DATA_H
#define TP_DATA_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "network/network.h"

enum data_part { DATA_IMAGES = 1, DATA_TARGETS = 2 };

struct data_options {
    const char *set;        /* "fashion-mnist", "idx" (four IDX files in `dir`), "synthetic" */
    const char *dir;        /* where the IDX files lie; "" = where Debian's dataset-fashion-mnist puts them */
    int limit;              /* use only the first `limit` training and limit/5 (at least 1) test images; 0 = all, or
                             * 10000 and 2000 synthetic ones */
    int classes;            /* targets must be below */
    struct shape synthetic; /* shape of synthetic images */
    bool enlarge;           /* images by a border, and grey ones to three channels (data/enlarge.h) */
    uint64_t seed;          /* of synthetic images */
    uint64_t room;          /* bytes that images or targets may take; 0: any number */
};

/* One half of a data set. */
struct samples {
    int count;
    struct shape shape;     /* of an image, all 0 if images were not opened */
    uint8_t *images;        /* [count][height][width][channels], NULL if not opened */
    int targets_per_sample; /* 1 of images: the label */
    int32_t *targets;       /* [count][targets_per_sample], NULL if not opened */
};

struct dataset {
    struct samples train, test;
    /* Of the training images' bytes / 255, over all channels; images are normalised with these. 0 and 1 if images were
     * not opened. */
    float mean, deviation;
    void *map; /* where all samples lie, [map_bytes]; NULL: each array is memory of its own */
    size_t map_bytes;
};

/* Opens the parts named (DATA_IMAGES | DATA_TARGETS). Reads each file to its end, so damage anywhere is found here. An
 * error names the file, what is wrong, and what would be right. The caller owns the data set. */
int dataset_open(struct dataset **out, const struct data_options *options, int parts, struct error *error);
void dataset_close(struct dataset *dataset);

/* How many images `options` leave of a data set, and of which shape, without a look at it. False if nobody can know: they
 * are the user's own. */
bool dataset_foretell(const struct data_options *options, struct samples *train, struct samples *test);

/* Only their shape, which is known of made-up ones, too. */
bool dataset_foretell_shape(const struct data_options *options, struct shape *shape);

/* Moves a data set with all its parts to memory that other processes can map and nobody can change. Returns its
 * descriptor, which the caller closes. Closes the data set, also after a failure. */
int dataset_share(struct dataset *dataset, struct error *error);

/* Opens what dataset_share has left; the descriptor stays the caller's. */
int dataset_map(struct dataset **out, int descriptor, struct error *error);

/* The order in which an epoch visits the samples: a permutation of 0..count-1 by (seed, epoch). order[count]. */
void data_order(uint64_t seed, int epoch, int count, int *order);

struct augmentation {
    bool enabled; /* random shift of up to 2 pixels with zero padding of the normalised image, and horizontal flip */
    uint64_t seed;
    int epoch;
};

/* Writes the normalised images samples->images[indices[r]] to out [rows][height][width][channels]. */
void data_gather_images(const struct dataset *dataset, const struct samples *samples, const int *indices, int rows,
                        const struct augmentation *augmentation, float *out);

/* Writes samples->targets[indices[r]] to out [rows][targets_per_sample]. */
void data_gather_targets(const struct samples *samples, const int *indices, int rows, int32_t *out);

/* Rows of micro-batch j (0-based) of a mini-batch of `rows` samples in `microbatches` parts: first row; the next one's
 * first row is its end. As even as can be, larger parts first; a small last mini-batch may leave parts empty. */
static inline int microbatch_start(int rows, int microbatches, int j)
{
    int base = rows / microbatches, extra = rows % microbatches;
    return j * base + (j < extra ? j : extra);
}

#endif
