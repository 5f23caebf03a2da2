/* What a file is that was given for a data set's and is none: the usual accidents of getting data, told by how the file
 * begins. */
#ifndef TP_DATA_FOREIGN_H
#define TP_DATA_FOREIGN_H

#include <stddef.h>

enum { FOREIGN_BEGIN_BYTES = 64, FOREIGN_TEXT_MAX = 256 };

/* Writes "is a web page, ...": to follow the file's name, with what would be right. `begin` is the file's begin, inflated,
 * or all of it if that is shorter. An empty text if it looks like nothing that is known. */
void foreign_describe(const unsigned char *begin, size_t size, char text[FOREIGN_TEXT_MAX]);

#endif
