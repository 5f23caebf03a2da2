#include "base/text.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_control(unsigned char byte, unsigned char next)
{
    return byte < 0x20 || byte == 0x7f || (byte == 0xc2 && next >= 0x80 && next < 0xa0);
}

void text_clean(char *text)
{
    for (; *text; text++)
        if (is_control((unsigned char)text[0], (unsigned char)text[1])) {
            /* Both bytes of a longer one: the second alone is a control character in old encodings. */
            if ((unsigned char)*text == 0xc2)
                *text++ = '?';
            *text = '?';
        }
}

const char *text_with_commas(size_t number, char text[32])
{
    char digits[24];
    int length = snprintf(digits, sizeof(digits), "%zu", number), used = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}

int text_columns(const char *text, size_t length)
{
    int columns = 0;

    for (size_t i = 0; i < length; i++)
        columns += ((unsigned char)text[i] & 0xC0) != 0x80;
    return columns;
}

void text_append(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}
