/* A failure in words, for a person: what was being done, to what, and why it did not work.
 *
 * Functions that can fail for reasons an errno cannot tell take a `struct err *` last; it may be NULL. They
 * return the negative errno that err_set() gives back, so `return err_set(err, EIO, ...)` is the whole path. */
#ifndef ESFS_ERR_H
#define ESFS_ERR_H

#include <stdarg.h>
#include <stddef.h>

struct err {
    int code; /* positive errno, 0 when nothing has failed */
    char text[512];
};

/* Writes the text (truncated at the end of err->text) and returns -code. err may be NULL. */
int err_set(struct err *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* vsnprintf() that cuts what does not fit at the end of a UTF-8 character. */
void err_format(char *out, size_t size, const char *format, va_list args) __attribute__((format(printf, 3, 0)));

#endif
