/* The bytes of a file, plain or gzip, read strictly from its first to its last.
 *
 * zlib's gzread would do but for damage at the end: it passes over whatever follows the gzip data. */
#ifndef TP_DATA_FILE_H
#define TP_DATA_FILE_H

#include "data/memory.h"

struct data_file;

/* The caller closes the file. `path` must outlive it. */
int data_file_open(struct data_file **out, const char *path, struct error *error);
void data_file_close(struct data_file *file);

/* Whether it is gzip. */
bool data_file_is_compressed(const struct data_file *file);

/* More bytes than this the file cannot hold, whatever its header promises. */
uint64_t data_file_size_limit(const struct data_file *file);

/* Reads `size` bytes, fewer only if the data ends properly before; *got says how many. */
int data_file_read(struct data_file *file, void *out, size_t size, size_t *got, struct error *error);

/* Maps the whole of a file that is not gzip. */
int data_file_map(struct data_file *file, struct data_memory *memory, struct error *error);

/* All bytes of a file: mapped, or inflated if it is gzip (or dictzip) and `inflates`. The caller releases them. -1
 * also if it has none. `room` as struct data_options has it. */
int data_file_load(struct data_memory *memory, const char *path, bool inflates, uint64_t room, struct error *error);

#endif
