/* What was built. The Makefile and its manual pages take the number from here, too. */
#ifndef TP_BASE_VERSION_H
#define TP_BASE_VERSION_H

#define TP_VERSION "0.2.0"

/* "0.2.0", with the commit behind it if that was known: "0.2.0 (1a2b3c4d5e)". */
const char *version_text(void);

#endif
