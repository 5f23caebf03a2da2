/* Data sets, their order in an epoch, and batches: of normalised images and a label each, or of tokens and the next
 * tokens.
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

enum { DATA_CHANNELS_MAX = 3, DATA_CONTEXT_MAX = 65536 };

/* What images were normalised with: the mean and the deviation of each channel's bytes / 255 in training. 0 and 1 where
 * there are no images. */
struct normalisation {
    float mean[DATA_CHANNELS_MAX], deviation[DATA_CHANNELS_MAX];
};

struct data_options {
    const char *set;        /* the name of a source (data/source.h) */
    const char *dir, *file; /* where the files lie, "" = where Debian's package puts them; docs/data.md says which */
    const char *cache;      /* folder: where decoded images are kept, "" = the user's cache */
    int size, channels;     /* folder: of the images that pictures become */
    double held_out;        /* folder: share of each class that is the test's, where no folder is */
    int limit;              /* use only the first `limit` training and limit/5 (at least 1) test samples; 0 = all, or
                             * 10000 and 2000 synthetic ones */
    int classes;            /* targets and tokens must be below */
    int context;            /* tokens in a sample */
    struct shape synthetic; /* shape of synthetic images */
    bool enlarge;           /* images by a border, and grey ones to three channels (data/enlarge.h) */
    uint64_t seed;          /* of synthetic images */
    uint64_t room;          /* bytes that images or targets may take; 0: any number */
    const struct normalisation *normalisation;           /* NULL: measured */
    void (*notice)(const char *what, const char *where); /* told before what takes long; NULL: nobody */
};

/* Images or tokens in memory of the data set's, in pieces: each in one file, and one piece goes on where the other
 * ends. */
struct elements {
    struct elements_piece {
        const uint8_t *begin;
        size_t first; /* number of its first element */
    } * pieces;
    int piece_count; /* 0: not opened */
    size_t count;    /* of elements */
    size_t stride;   /* bytes from one to the next */
    bool mapped;     /* in files */
};

/* One half of a data set. */
struct samples {
    int count;
    struct shape
        shape; /* of an image as a network sees it, all 0 if images were not opened; of tokens {context, 1, 1} */
    struct elements
        elements;    /* one image a sample; or tokens, little-endian: sample i's input begins at token i * context, and
                               * its targets end one token behind it */
    int token_bytes; /* 1, 2 or 4; 0: there are images */
    struct shape stored;    /* images: as they lie there, [height][width][channels], or with `planes` */
    bool planes;            /* [channels][height][width]; and if `shape` is larger they are still to be enlarged */
    int targets_per_sample; /* 1 of images: the label; of tokens the context */
    int32_t *targets;       /* images: [count] labels, NULL if not opened */
};

/* Memory in which samples lie. */
struct data_memory {
    void *bytes; /* NULL: none */
    size_t size;
    bool mapped; /* else allocated */
};

struct dataset {
    struct samples train, test;
    struct normalisation normalisation;
    struct data_memory *held; /* [held_count] where elements lie; labels are memory of their own */
    int held_count;
    bool labels_held; /* but for labels that lie there, too */
    uint8_t *scratch; /* an image, for whoever gathers some that are stored otherwise than seen; else NULL */
};

/* Whether its samples lie in mapped files, which each process had better map itself. */
bool dataset_is_mapped(const struct dataset *dataset);

/* A checksum of all samples, which another order, format or place of the same ones does not change. */
uint32_t dataset_crc32(const struct dataset *dataset, int classes);

/* Opens the parts named (DATA_IMAGES | DATA_TARGETS). Looks at each file to its end, so damage anywhere is found
 * here: but with options->normalisation, which somebody has who has done that. Plain files are mapped, and what has
 * been looked at does not stay in memory. An error names the file, what is wrong, and what would be right. The
 * caller owns the data set. */
int dataset_open(struct dataset **out, const struct data_options *options, int parts, struct error *error);
void dataset_close(struct dataset *dataset);

/* How many images `options` leave of a data set, and of which shape, without a look at it. False if nobody can know:
 * they are the user's own. */
bool dataset_foretell(const struct data_options *options, struct samples *train, struct samples *test);

/* Only their shape, which is known of made-up ones, too. */
bool dataset_foretell_shape(const struct data_options *options, struct shape *shape);

/* The n-th source's name (0..), NULL behind the last; and whether a name is that of a source of tokens. */
const char *data_source_name(int n);
bool data_source_has_tokens(const char *name);

/* Moves a data set with all its parts to memory that other processes can map and nobody can change. Returns its
 * descriptor, which the caller closes, or 0 if each process maps the files itself. Closes the data set, also after a
 * failure. */
int dataset_share(struct dataset *dataset, struct error *error);

/* Opens what dataset_share has left; the descriptor stays the caller's. */
int dataset_map(struct dataset **out, int descriptor, struct error *error);

/* The order in which an epoch visits the samples: a permutation of 0..count-1 by (seed, epoch). order[count]. */
void data_order(uint64_t seed, int epoch, int count, int *order);

/* What training images go through. */
enum augment {
    AUGMENT_NONE,
    AUGMENT_SHIFT, /* a random shift of up to 2 pixels, then a flip of half of them; what comes in is the mean */
    AUGMENT_CROP   /* the same with 4 pixels, and black comes in: padded by 4, cropped, flipped */
};

struct augmentation {
    enum augment kind;
    uint64_t seed;
    int epoch;
};

/* Writes an image's bytes as a network sees them to out [height][width][channels]. */
void data_copy_image(const struct samples *samples, int index, uint8_t *out);

/* Writes the normalised images indices[r] to out [rows][height][width][channels]. One thread of a process at a time. */
void data_gather_images(const struct dataset *dataset, const struct samples *samples, const int *indices, int rows,
                        const struct augmentation *augmentation, float *out);

/* Writes the tokens of samples indices[r] to out [rows][context]. -1 if one is not below `classes`: the file has
 * changed since it was opened. */
int data_gather_tokens(const struct samples *samples, const int *indices, int rows, int classes, int32_t *out,
                       struct error *error);

/* Writes samples' targets to out [rows][targets_per_sample]; likewise. */
int data_gather_targets(const struct samples *samples, const int *indices, int rows, int classes, int32_t *out,
                        struct error *error);

/* Rows of micro-batch j (0-based) of a mini-batch of `rows` samples in `microbatches` parts: first row; the next one's
 * first row is its end. As even as can be, larger parts first; a small last mini-batch may leave parts empty. */
static inline int microbatch_start(int rows, int microbatches, int j)
{
    int base = rows / microbatches, extra = rows % microbatches;
    return j * base + (j < extra ? j : extra);
}

#endif
