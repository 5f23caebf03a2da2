/* Files of tokens as samples: windows of data.context tokens, one after the other, whose targets are the next tokens. */
#ifndef TP_DATA_STREAM_H
#define TP_DATA_STREAM_H

#include "data/source.h"

/* A file's bytes: mapped, or inflated if it is gzip (or dictzip) and `inflates`. The data set releases them. -1 also if it
 * has none. */
int stream_load(struct data_memory *memory, const char *path, bool inflates, uint64_t room, struct error *error);

/* Tokens of a file, from number `first` of the file's on. */
struct stream_piece {
    const char *path;
    const void *tokens;
    int bytes;
    size_t first, count;
};

/* Makes samples of the pieces, as many as data.limit leaves. -1 if one is too short for a sample, or a token is not below
 * the classes. */
int stream_fill(struct dataset *dataset, const struct stream_piece *train, const struct stream_piece *test,
                const struct data_options *options, struct error *error);

/* Splits a file's tokens in two: the last twentieth is the test's. */
enum { STREAM_TEST_SHARE = 20 };
void stream_split(const struct stream_piece *whole, struct stream_piece *train, struct stream_piece *test);

#endif
