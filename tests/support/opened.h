/* Data sets opened as a test expects it: with images and targets, or refused. */
#ifndef TP_TESTS_OPENED_H
#define TP_TESTS_OPENED_H

#include "data/data.h"

/* Fails the test if it, or those parts of it, cannot be opened. The caller closes it. */
struct dataset *opened(const struct data_options *options);
struct dataset *opened_parts(const struct data_options *options, int parts);

/* Fails the test unless it is refused by one line that has both texts. */
void opened_not(const struct data_options *options, const char *name, const char *phrase);

/* All images of a half as a network sees them, [count][height][width][channels]. They stay until the test ends. */
uint8_t *opened_images(const struct samples *samples);

#endif
