#include "data/foreign.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PAGE         "is a web page and not the file that was asked for; get the file again"
#define BEGIN(bytes) bytes, sizeof(bytes) - 1

/* Letters may be of either case. */
static const struct kind {
    const char *begin;
    size_t size;
    const char *what;
} kinds[] = {
    {BEGIN("version https://git-lfs"), "is a Git LFS pointer and not the file itself; git lfs pull gets that"},
    {BEGIN("<!doctype"), PAGE},
    {BEGIN("<html"), PAGE},
    {BEGIN("<head"), PAGE},
    {BEGIN("<?xml"), "is XML, perhaps a server's error, and not the file that was asked for; get the file again"},
    {BEGIN("PK\3\4"), "is a ZIP archive; unpack it"},
    {BEGIN("\x1f\x8b"), "was compressed twice; unpack it once with gunzip"},
    {BEGIN("BZh"), "was compressed with bzip2; unpack it"},
    {BEGIN("\xfd"
           "7zXZ"),
     "was compressed with xz; unpack it"},
    {BEGIN("\x28\xb5\x2f\xfd"), "was compressed with zstd; unpack it"},
    {BEGIN("\x93NUMPY"), "is a NumPy array and no IDX file"},
    {BEGIN("\x89PNG"), "is one PNG picture and no IDX file"},
    {BEGIN("\xff\xd8\xff"), "is one JPEG picture and no IDX file"},
    {BEGIN("\x89HDF"), "is an HDF5 file and no IDX file"},
};

/* Behind blanks and a byte order mark, as pages may have. */
static const unsigned char *skip_blanks(const unsigned char *begin, size_t *size)
{
    const bool marked = *size >= 3 && memcmp(begin, "\xef\xbb\xbf", 3) == 0;
    size_t skipped = marked ? 3 : 0;

    while (skipped < *size && isspace(begin[skipped]))
        skipped++;
    *size -= skipped;
    return begin + skipped;
}

/* Length of the text at the begin, to its first line's end; 0 if it is none. */
static int text_length(const unsigned char *begin, size_t size)
{
    size_t length = 0;

    while (length < size && begin[length] >= ' ' && begin[length] <= '~')
        length++;
    return length == size || begin[length] == '\n' || begin[length] == '\r' ? (int)length : 0;
}

void foreign_describe(const unsigned char *begin, size_t size, char text[FOREIGN_TEXT_MAX])
{
    size_t left = size;
    const unsigned char *at = skip_blanks(begin, &left);

    text[0] = '\0';
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (left >= kinds[i].size && strncasecmp((const char *)at, kinds[i].begin, kinds[i].size) == 0) {
            snprintf(text, FOREIGN_TEXT_MAX, "%s", kinds[i].what);
            return;
        }
    const int length = text_length(at, left);
    if (size == 0)
        snprintf(text, FOREIGN_TEXT_MAX, "is empty; get the file again");
    else if (length > 0)
        snprintf(text, FOREIGN_TEXT_MAX, "is text that begins with \"%.*s\"; get the file again", length, at);
}
