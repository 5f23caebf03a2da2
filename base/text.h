/* Texts for the eye. */
#ifndef TP_BASE_TEXT_H
#define TP_BASE_TEXT_H

#include <stddef.h>

/* Puts a question mark in the place of every byte by which a text could do more to a terminal than be seen: control
 * characters, those of UTF-8 (U+0080 to U+009F) included. One line stays one line. */
void text_clean(char *text);

/* "272,474" */
const char *text_with_commas(size_t number, char text[32]);

#endif
