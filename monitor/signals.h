/* Signals of a program that has the terminal: however it is ended, and be it by a crash, the terminal is as it was found.
 * Handlers set flags, which the program reads between two pictures; only those after which it does nothing more give
 * the terminal back themselves. */
#ifndef TP_MONITOR_SIGNALS_H
#define TP_MONITOR_SIGNALS_H

#include <stdbool.h>
#include <termios.h>

/* Signals that were ignored stay so. `mode` is the terminal's, as it was found. */
void signals_take(const struct termios *mode);
void signals_release(void);

/* What is to be written to the terminal to give it back, once it has been drawn on. */
enum { SIGNALS_TEXT_MAX = 256 };
void signals_farewell(const char text[SIGNALS_TEXT_MAX]);

/* The program shall end: SIGINT, SIGTERM, SIGHUP. A second one, which comes when the program is stuck, ends it at once. */
bool signals_end_wanted(void);

/* The program shall stop (Ctrl-Z), which signals_stop does when the terminal has been left to the shell. */
bool signals_stop_wanted(void);
void signals_stop(void);

/* True once after each stop, also by SIGSTOP: whoever had the terminal meanwhile may have written on it. */
bool signals_continued(void);

#endif
