/* Texts for the eye. */
#ifndef TP_BASE_TEXT_H
#define TP_BASE_TEXT_H

#include <stddef.h>

/* Puts a question mark in the place of every byte by which a text could do more to a terminal than be seen: control
 * characters, those of UTF-8 (U+0080 to U+009F) included. One line stays one line. */
void text_clean(char *text);

/* "272,474" */
const char *text_with_commas(size_t number, char text[32]);

/* Characters in `length` bytes of UTF-8, each of which takes a column. */
int text_columns(const char *text, size_t length);

/* Adds to the end of a text in `size` bytes; what does not fit is left out. */
__attribute__((format(printf, 3, 4))) void text_append(char *text, size_t size, const char *format, ...);

#endif
