#include "tests/support/golden.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1 << 18 };

static void read_golden(const char *path, char *text)
{
    FILE *file = fopen(path, "re");
    size_t length;

    ck_assert_msg(file != NULL, "%s: %s; UPDATE_GOLDEN=1 writes it", path, strerror(errno));
    length = fread(text, 1, TEXT_MAX - 1, file);
    text[length] = '\0';
    fclose(file);
}

void golden_check(const char *name, const char *text)
{
    static char golden[TEXT_MAX];
    char path[256];

    snprintf(path, sizeof(path), "tests/golden/%s.txt", name);
    if (getenv("UPDATE_GOLDEN")) {
        FILE *file = fopen(path, "we");

        ck_assert_msg(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0, "%s: %s", path, strerror(errno));
        return;
    }
    read_golden(path, golden);
    ck_assert_msg(strcmp(text, golden) == 0, "%s is\n%s\nbut drawn was\n%s", path, golden, text);
}
