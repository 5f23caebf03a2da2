#include "base/guess.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/numbers.h"

enum { LETTERS_MAX = 64, BEGINNING_MIN = 3 };

static bool same_letter(char a, char b)
{
    return strncasecmp(&a, &b, 1) == 0;
}

/* The optimal string alignment distance, of texts of at most LETTERS_MAX bytes. */
static int distance(const char *a, const char *b)
{
    const int rows = (int)strlen(a), columns = (int)strlen(b);
    int edits[LETTERS_MAX + 1][LETTERS_MAX + 1];

    for (int i = 0; i <= rows; i++) {
        for (int j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                edits[i][j] = i + j;
                continue;
            }
            const int either = min_int(edits[i - 1][j], edits[i][j - 1]) + 1;
            edits[i][j] = min_int(either, edits[i - 1][j - 1] + !same_letter(a[i - 1], b[j - 1]));
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) && same_letter(a[i - 2], b[j - 1]))
                edits[i][j] = min_int(edits[i][j], edits[i - 2][j - 2] + 1);
        }
    }
    return edits[rows][columns];
}

void guess_begin(struct guess *guess, const char *word)
{
    *guess = (struct guess){.word = word, .edits = INT_MAX};
}

void guess_consider(struct guess *guess, const char *candidate)
{
    const size_t letters = strlen(guess->word);

    if (letters == 0 || letters > LETTERS_MAX || strlen(candidate) > LETTERS_MAX)
        return;
    const int most = max_int(1, (int)letters / 3), edits = distance(guess->word, candidate);
    const bool begins = letters >= BEGINNING_MIN && strncasecmp(guess->word, candidate, letters) == 0;
    /* Something must be left of the word. */
    if ((begins || (edits <= most && edits < (int)letters)) && edits < guess->edits) {
        guess->nearest = candidate;
        guess->edits = edits;
    }
}

const char *guess_text(const struct guess *guess, const char *before, const char *after, char text[GUESS_TEXT_MAX])
{
    text[0] = '\0';
    if (guess->nearest)
        snprintf(text, GUESS_TEXT_MAX, "%sdid you mean %s?%s", before, guess->nearest, after);
    return text;
}
