/* What every program of tp does first. */
#ifndef TP_BASE_PROGRAM_H
#define TP_BASE_PROGRAM_H

/* Opens /dev/null in the place of each standard descriptor that is closed: the next file that is opened would get its
 * number, and what is meant for the terminal would be written into it. Before anything else is opened. */
void program_begin(void);

#endif
