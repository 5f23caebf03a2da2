/* Texts that a person has looked at, kept in tests/golden. */
#ifndef TP_TESTS_GOLDEN_H
#define TP_TESTS_GOLDEN_H

/* Fails the test unless tests/golden/NAME.txt is this text; with UPDATE_GOLDEN in the environment, writes it anew. */
void golden_check(const char *name, const char *text);

#endif
