/* Text whose bytes are its tokens. Any language and any alphabet has a vocabulary of 256 so, and nobody has to train a
 * tokenizer. */
#include <errno.h>
#include <sys/stat.h>

#include "data/file.h"
#include "data/stream.h"

enum { VOCABULARY = 256 };

/* Webster's dictionary of 1913 and what was added since: in dictzip, which is gzip. */
static const char default_file[] = "/usr/share/dictd/gcide.dict.dz";

static int open_text(struct dataset *dataset, const struct source *source, const struct data_options *options,
                     int parts, struct error *error)
{
    const bool own = options->file && *options->file;
    const char *path = own ? options->file : default_file;
    struct data_memory memory;
    struct stat status;

    (void)parts;
    if (options->classes < VOCABULARY)
        return error_set(error, "text is bytes: set model.classes = %d, it is %d", VOCABULARY, options->classes);
    if (!own && stat(path, &status) && errno == ENOENT)
        return error_set(error, "%s: is not there; %s", path, source->if_missing);
    if (data_file_load(&memory, path, true, options->room, error) || source_hold(dataset, memory, error))
        return -1;
    const struct stream_piece piece = {.path = path, .tokens = memory.bytes, .count = memory.size};
    const struct stream whole = {.pieces = &piece, .count = 1, .bytes = 1, .mapped = memory.mapped};
    return stream_fill_split(dataset, &whole, options, error);
}

const struct source source_text = {
    .name = "text",
    .if_missing = "install the Debian package dict-gcide, or set data.file to a text of your own",
    .tokens = true,
    .open = open_text,
};
