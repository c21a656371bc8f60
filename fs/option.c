#include "option.h"

#include <errno.h>
#include <string.h>

const char *option_value(const char *option, const char *name) {
    size_t n = strlen(name);
    return strncmp(option, name, n) == 0 && option[n] == '=' ? option + n + 1 : NULL;
}

int option_bare(const char *option, const char *const names[][2], size_t n, struct err *err) {
    for (size_t i = 0; i < n; i++)
        if (strcmp(option, names[i][0]) == 0)
            return err_set(err, EINVAL, "%s: %s=%s is meant", option, option, names[i][1]);
    return OPTION_OTHER;
}
