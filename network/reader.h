/* What the readers of a network file share: reader.c, which runs its lines, and read_layer.c. */
#ifndef TP_NETWORK_READER_H
#define TP_NETWORK_READER_H

#include "network/internal.h"

enum { LINE_LENGTH_MAX = 400 };

struct reader {
    const struct network_options *options;
    struct network_mistakes *mistakes;
    const char **lines; /* [line_count]: their begins in the text */
    int line_count;
    bool *wrong; /* [line_count]: something is wrong with the line, and told */
    int line;    /* that is being read, 0.. */
    int steps;   /* lines that were looked at, as often as a repeat did */
    struct variables variables;
    struct network *network;
    int *readers; /* [NETWORK_LAYERS_MAX]: how many layers read each layer's output */
    struct block *block;
    int block_first; /* the block's first layer, */
    int block_input; /* and what it reads */
    bool has_input, has_loss, has_stopped;
};

/* Adds a mistake in a line (0..), unless something is wrong with the line already. */
void reader_mistake(struct reader *reader, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* In the line that is being read. */
#define mistake(reader, ...) reader_mistake(reader, (reader)->line, __VA_ARGS__)

/* The value of an expression; the name "block3" that the word "block{i}" is. False after a mistake. */
bool reader_value(struct reader *reader, const char *text, long *value);
bool reader_fill_in(struct reader *reader, const char *word, char name[NETWORK_NAME_MAX]);

/* Adds the layer that the line's words are, or a mistake. */
void reader_read_layer(struct reader *reader, char **words, int count);

#endif
