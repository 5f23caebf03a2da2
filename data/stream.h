/* Files of tokens as samples: windows of data.context tokens, one after the other, whose targets are the next
 * tokens. A window may begin in one file and end in the next. */
#ifndef TP_DATA_STREAM_H
#define TP_DATA_STREAM_H

#include "data/source.h"

/* Tokens of a file, from number `first` of the file's on. */
struct stream_piece {
    const char *path;
    const void *tokens;
    size_t first, count;
};

/* The pieces of one half, in memory that the data set holds. */
struct stream {
    const struct stream_piece *pieces;
    int count;
    int bytes; /* of a token */
    bool mapped;
};

/* Makes samples of them, as many as data.limit leaves. -1 if they are too few for a sample, or a token is not below the
 * classes. */
int stream_fill(struct dataset *dataset, const struct stream *train, const struct stream *test,
                const struct data_options *options, struct error *error);

/* The same of one file: the last twentieth of it is the test's. */
enum { STREAM_TEST_SHARE = 20 };
int stream_fill_split(struct dataset *dataset, const struct stream *whole, const struct data_options *options,
                      struct error *error);

#endif
