/* Pictures as files, through cairo. tp is built without it where it is missing: then these say so. */
#ifndef TP_PICTURE_RENDER_H
#define TP_PICTURE_RENDER_H

#include <stdio.h>

#include "base/error.h"
#include "picture/picture.h"

enum picture_format { PICTURE_SVG, PICTURE_PDF, PICTURE_PNG, PICTURE_FORMATS };

/* "svg", ...: as options and the ends of file names have it. */
const char *picture_format_name(enum picture_format format);

/* The format that a path's end names: -1 and what would be right if it names none. */
int picture_format_of(const char *path, enum picture_format *format, struct error *error);

/* -1 and the reason if no picture can be made here, or a path ends as a file of another format does. To be asked before
 * anything takes time. */
int picture_check(enum picture_format format, const char *path, struct error *error);

/* Writes the picture to a stream, which stays the caller's; PNG with 144 pixels per inch. `name` is the stream's, for
 * messages. */
int picture_write(const struct picture *picture, enum picture_format format, FILE *out, const char *name,
                  struct error *error);

#endif
