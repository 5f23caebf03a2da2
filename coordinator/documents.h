/* Documents that are built in: what tpcoord explains is what they say. */
#ifndef TP_COORDINATOR_DOCUMENTS_H
#define TP_COORDINATOR_DOCUMENTS_H

#include <stddef.h>
#include <stdio.h>

/* Names (glossary, systems) and texts, ended by NULL: made by the Makefile from docs/. */
extern const char *const documents[][2];

/* A piece of a document: a heading of the second level, "## name (other name, ...)", and what is under it. */
struct section {
    const char *heading, *text;
    size_t heading_length, length; /* of the text: up to the next such heading */
};

/* Finds the n-th section (from 0) of a document. -1: there are no more. */
int section_at(struct section *section, const char *document, int n);

/* Finds a section by its name, or another of its names, capitals or not. -1 if there is none. */
int section_find(struct section *section, const char *document, const char *name);

/* Room for a section's name. */
enum { SECTION_NAME_MAX = 64 };

/* The name, without the others. */
void section_name(const struct section *section, char name[SECTION_NAME_MAX]);

/* Prints the section's text for a terminal: without Markdown's signs, paragraphs in lines of at most `width` columns,
 * blocks of code as they are, but for commands: there tpcoord is `program`, and configs are named as they are found. */
void section_print(FILE *out, const struct section *section, const char *program, int width);

#endif
