/* The pictures of a folder with their classes, in the order that a data set has them: the first of each class, the second of
 * each, and so on, so that the first few are of all classes. */
#ifndef TP_DATA_LISTING_H
#define TP_DATA_LISTING_H

#include "data/source.h"

struct listed {
    char *path;
    int label, rank; /* place among the pictures of its class */
};

struct listing {
    int count;
    struct listed *pictures;
};

struct listings {
    struct listing train, test;
    int classes;
    uint64_t fingerprint; /* of all names, labels, sizes and times of change */
};

/* Folders of a class each: in train/ and test/ or val/; or in the folder itself, of which then `held_out` of each class is
 * the test's. The caller releases it, also after a failure. */
int listing_folders(struct listings *listings, const char *dir, double held_out, struct error *error);

/* Tiny-ImageNet-200: wnids.txt names the classes, train/ID/images holds theirs, and val/val_annotations.txt says whose the
 * pictures of val/images are. */
int listing_tiny_imagenet(struct listings *listings, const char *dir, struct error *error);

void listing_release(struct listings *listings);

#endif
