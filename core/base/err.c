#include "err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Cuts the text where its last character would stand half: texts end up in JSON, which must be valid UTF-8. */
static void text_cut(char *text, size_t n) {
    size_t start = n;
    while (start > 0 && n - start < 3 && ((unsigned char)text[start - 1] & 0xc0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (n - (start - 1) < need)
        text[start - 1] = '\0';
}

void err_format(char *out, size_t size, const char *format, va_list args) {
    int n = vsnprintf(out, size, format, args);
    if (n < 0)
        out[0] = '\0';
    else if ((size_t)n >= size)
        text_cut(out, size - 1);
}

int err_set(struct err *err, int code, const char *format, ...) {
    if (err) {
        err->code = code;
        va_list args;
        va_start(args, format);
        err_format(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return -code;
}
