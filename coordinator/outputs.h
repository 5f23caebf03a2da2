/* The files that a command's options name, and standard output: opened before anything starts, written in the background
 * while a run trains, and closed with a line if something could not be written. */
#ifndef TP_COORDINATOR_OUTPUTS_H
#define TP_COORDINATOR_OUTPUTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"
#include "coordinator/outlet.h"
#include "coordinator/prepare.h"
#include "coordinator/signals.h"
#include "picture/render.h"

/* Prints the error; returns `status`. */
enum exit_status command_fail(enum exit_status status, const struct error *error);

/* Opens what an option names; "-" is standard output, and no path is no file. -1, with the reason printed. */
int output_open(FILE **out, const char *option, const char *path);
void output_close(FILE *out);

/* Removes the file that was opened, if nothing has been written to it. It stays to be closed. */
void output_discard(FILE *out, const char *path);

/* The same for a picture of each format. */
int output_open_pictures(FILE *files[PICTURE_FORMATS], const char *const paths[PICTURE_FORMATS]);
void output_close_pictures(FILE *files[PICTURE_FORMATS]);

/* Writes the object to `out`, if there is one. */
enum exit_status output_write_json(FILE *out, const char *name, const json_t *object);

/* What is written to `file` in the background; NULL if there is no file. -1 if it cannot begin. */
int output_begin_outlet(struct outlet **outlet, FILE *file, struct error *error);

/* Write what is left, also where a signal has come, and close. They return `status`, or EXIT_FAILED with the reason printed
 * if it was EXIT_DONE and something could not be written. */
enum exit_status output_end_standard(struct standard_outlets *standard, struct signals *signals,
                                     enum exit_status status);
enum exit_status output_end_steps(struct outlet *steps, struct signals *signals, enum exit_status status);

/* The reader of standard output, such as head, has seen enough. That is no failure. */
bool output_reader_has_gone(void);

#endif
