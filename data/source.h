/* Where samples come from: a row each, in a file each. data/dataset.c lists them and does what all of them need. */
#ifndef TP_DATA_SOURCE_H
#define TP_DATA_SOURCE_H

#include "data/data.h"

struct source {
    const char *name;
    const char *default_dir; /* where a Debian package puts the files; NULL if none has them */
    const char *if_missing;  /* what to do where they are not */

    /* What is known without a look: samples, 0 if nobody can know, and the shape of an image, all 0 likewise. */
    int train, test;
    struct shape shape;

    bool tokens; /* not images */
    bool sized;  /* images of data.size and data.channels */

    /* Fills both halves with the parts named, `limit` and all; what it took remains the data set's after a failure. */
    int (*open)(struct dataset *dataset, const struct source *source, const struct data_options *options, int parts,
                struct error *error);
};

extern const struct source source_fashion_mnist, source_idx, source_synthetic, source_cifar10, source_cifar100,
    source_folder, source_tiny_imagenet, source_text, source_tokens;

/* data.dir, or else the default; NULL and an error that names `what` if there is neither. */
const char *source_dir(const struct source *source, const struct data_options *options, const char *what,
                       struct error *error);

/* Forgets all images but those that data.limit leaves. */
void source_limit(struct dataset *dataset, const struct data_options *options);

/* Whether samples are looked at that somebody has looked at before. */
bool source_trusts(const struct data_options *options);

/* The data set holds and releases that memory from now on; also after a failure. */
int source_hold(struct dataset *dataset, struct data_memory memory, struct error *error);

/* When shapes are known: what gathering images needs beside them. */
int dataset_prepare(struct dataset *dataset, struct error *error);

/* How many test samples a limit of so many training samples leaves. */
int source_test_limit(int limit);

#endif
