/* The lines of an ini text: [sections], key = value (or key: value), comments behind # or ;, and nothing else. Knows no
 * key. */
#ifndef TP_BASE_INI_H
#define TP_BASE_INI_H

enum ini_kind { INI_NOTHING, INI_SECTION, INI_VALUE };

/* Strings lie in the line that was split, or are constant. */
struct ini_line {
    enum ini_kind kind;
    const char *name;  /* the section's ("" if it has no end) or the key's */
    const char *value; /* the key's; "" if it has none */
    const char *wrong; /* what is, and what would be right; NULL: nothing */
    const char *extra; /* of what is wrong: the text that stands where none may, or "" */
};

/* The next line of *rest, without its end, which is LF, CR LF or CR. NULL behind the last. Writes into the text. */
char *ini_next(char **rest);

/* Splits one line, and writes into it. A comment begins with the line, or behind a blank. */
struct ini_line ini_split(char *line);

/* Without the blanks around it; cuts those behind it off. */
char *ini_trim(char *text);

#endif
