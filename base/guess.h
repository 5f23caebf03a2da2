/* What a misspelt word may have meant: the nearest of the words that there are. */
#ifndef TP_BASE_GUESS_H
#define TP_BASE_GUESS_H

struct guess {
    const char *word;
    const char *nearest; /* NULL: none that was considered is near */
    int edits;           /* to it: letters that are wrong, missing, too many, or swapped with the next */
};

void guess_begin(struct guess *guess, const char *word);

/* Takes the candidate if it is nearer than those before: a third of the word's letters may differ, but one always, and
 * capitals count as small letters; or the word is its beginning. The candidate must live as long as the guess. */
void guess_consider(struct guess *guess, const char *candidate);

/* Room for "; did you mean WORD?" */
enum { GUESS_TEXT_MAX = 160 };

/* `before`, "did you mean WORD?" and `after`; "" where nothing is near. Returns `text`. */
const char *guess_text(const struct guess *guess, const char *before, const char *after, char text[GUESS_TEXT_MAX]);

#endif
